"""basic-auth: callers prove themselves by a name and a password (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication, unauthorized
from proxyd.identity import identify

if TYPE_CHECKING:
    from proxyd.exchange import Exchange, Reply


class Config(authentication.Config):
    """Settings of basic-auth (Kong's ``kong/plugins/basic-auth/schema.lua``)."""

    hide_credentials: bool = False
    """Whether the credentials are kept from the upstream."""
    realm: str = "service"
    """Realm of the challenge."""


class BasicAuth(Authentication[Config]):
    """Finds the consumer by a name and a password."""

    name = "basic-auth"
    priority = 1100

    def authenticate(self, exchange: Exchange) -> Reply | None:
        """Compare the password. Proxy-Authorization counts, as in Kong, if it names somebody who is known."""
        consumers = self.kit.consumers
        for header in (b"proxy-authorization", b"authorization"):
            given = self._take(exchange, header)
            if given is None:
                continue
            username, password = given
            credential = consumers.basic(username)
            right = consumers.is_password(credential, password)
            if credential is None:
                continue
            consumer = consumers.by_id.get(credential.consumer) if right else None
            if consumer is None:
                break
            identify(exchange, consumer, credential, username)
            return None
        return unauthorized("Unauthorized", "Basic", self.config.realm)

    def _take(self, exchange: Exchange, header: bytes) -> tuple[str, str] | None:
        """Read a header, and hide it if it is of this scheme: another one is another plugin's or the upstream's."""
        scheme, _, encoded = (exchange.headers.get(header) or b"").partition(b" ")
        if scheme.lower() != b"basic":
            return None
        if self.config.hide_credentials:
            exchange.headers.remove(header)
        return _credentials(encoded)


def _credentials(encoded: bytes) -> tuple[str, str] | None:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    username, colon, password = text.partition(":")
    return (username, password) if colon else None
