"""internal-key: what lets a backend tell the gateway's requests from everybody else's.

Not Kong's. With ``mode: header`` a secret goes along; with ``mode: signature`` it stays here, and an HMAC over the
request proves it. ``proxyd.guard`` is the other side, and says what exactly is signed.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.guard.signature import UNSIGNED, sign
from proxyd.http1.headers import is_field_value
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange, Reply

MIN_SECRET = 16  # characters: 128 bits in hexadecimal are 32


class Key(plugin.Config):
    """A secret, and what it is called."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Name of the key, sent along in the clear so that the backend knows which one was used."""
    secret: str = Field(repr=False, min_length=MIN_SECRET)
    """The secret, of at least 16 characters."""


class Config(plugin.Config):
    """Settings of internal-key."""

    mode: Literal["header", "signature"] = "signature"
    """Whether the secret itself is sent, or an HMAC-SHA256 made with it."""
    keys: tuple[Key, ...] = Field(min_length=1, max_length=2)
    """One or two keys: the first is used. For a rotation the backend learns the new one before it stands here."""
    header_name: Annotated[str, Changeable] = Field("X-Internal-Key", pattern=plugin.HEADER_NAME)
    """Header that carries the secret or the signature; a client's own is taken out."""
    sign_body: bool = False
    """Whether the signature covers the body too; it is then read whole before the request is sent."""
    max_body_size: int = Field(1_048_576, ge=0)
    """Bytes of the largest body that is read for its digest; a larger one is answered with 413."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same id")
        if self.mode == "header" and not all(is_field_value(key.secret.encode()) for key in self.keys):
            raise ValueError("a secret holds characters that cannot stand in a header")
        if self.mode == "header" and self.sign_body:
            raise ValueError("sign_body needs mode: signature")
        return self


class InternalKey(plugin.Plugin[Config]):
    """Marks requests as the gateway's, so that the backend can refuse all others."""

    name = "internal-key"
    priority = 3  # behind everything that changes the request
    answers = ((413, "sign_body, and the body is larger than max_body_size"),)

    def prepare(self) -> None:
        """Take the first key."""
        config = self.config
        self._header = config.header_name.encode()
        self.secret_arguments = (config.header_name,)
        self._id = config.keys[0].id
        self._secret = config.keys[0].secret.encode()
        self._alone = self._secret if config.mode == "header" else None

    def access(self, exchange: Exchange) -> Awaitable[Reply | None] | None:
        """Set the header; a copy from the client is replaced."""
        self._take_out(exchange)
        if self._alone is not None:
            exchange.headers.set(self._header, self._alone)
        elif self.config.sign_body:
            return self._sign_with_body(exchange)
        else:
            self._sign(exchange, UNSIGNED)
        return None

    def _take_out(self, exchange: Exchange) -> None:
        # WSGI and CGI read _ as -: such a copy would stand beside ours.
        wanted = self._header.lower().replace(b"_", b"-")
        lines = exchange.headers.lines
        for name in [name for name in lines if name.replace(b"_", b"-") == wanted]:
            del lines[name]

    async def _sign_with_body(self, exchange: Exchange) -> None:
        body = exchange.buffered
        if body is None:
            body = await exchange.body.read(self.config.max_body_size) if exchange.body is not None else b""
        self._sign(exchange, hashlib.sha256(body).hexdigest())

    def _sign(self, exchange: Exchange, digest: str) -> None:
        consumer = exchange.consumer.id if exchange.consumer is not None else ""
        value = sign(
            self._id,
            self._secret,
            method=exchange.upstream_method,
            target=self.kit.upstream_target(exchange),
            consumer=consumer,
            digest=digest,
            timestamp=int(self.kit.clock.time()),
            nonce=secrets.token_hex(16),
        )
        exchange.headers.set(self._header, value.encode())
