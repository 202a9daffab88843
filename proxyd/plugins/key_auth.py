"""key-auth: callers prove themselves by an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus, urlencode

import orjson
from pydantic import Field

from proxyd import authentication
from proxyd.authentication import Authentication, unauthorized
from proxyd.identity import identify

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange, Reply

MAX_BODY = 1024 * 1024  # bytes of a body that is looked through for a key
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class Config(authentication.Config):
    """Settings of key-auth (Kong's ``kong/plugins/key-auth/schema.lua``)."""

    key_names: tuple[str, ...] = Field(("apikey",), min_length=1)
    """Names under which the key is looked for; the first one that is there counts."""
    hide_credentials: bool = False
    """Whether the key is kept from the upstream."""
    key_in_header: bool = True
    """Whether it is looked for in headers, before anything else."""
    key_in_query: bool = True
    """Whether it is looked for in the query, after the headers."""
    key_in_body: bool = False
    """Whether it is looked for in a form or a JSON object of up to 1 MiB, last."""
    realm: str | None = None
    """Realm of the challenge."""


class KeyAuth(Authentication[Config]):
    """Finds the consumer by an API key."""

    name = "key-auth"
    priority = 1250

    def prepare(self) -> None:
        """Write the names as headers have them, and have no log show what stands under them."""
        self.secret_arguments = self.config.key_names
        self._names = tuple((name, name.lower().encode()) for name in self.config.key_names)

    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Look the key up."""
        config = self.config
        query = exchange.request.query if config.key_in_query else ""
        for name, header in self._names:
            found = exchange.headers.get_all(header) if config.key_in_header else []
            if not found and query:
                found = _in_query(query, name)
            if found:
                return self._decide(exchange, name, found)
        if config.key_in_body and exchange.body is not None and _media_type(exchange) in {FORM, JSON}:
            return self._look_in_body(exchange)
        return self._refuse("No API key found in request")

    async def _look_in_body(self, exchange: Exchange) -> Reply | None:
        body = exchange.buffered
        if body is None:
            body = await exchange.body.read(MAX_BODY)  # type: ignore[union-attr]  # looked at before
        fields = _fields(exchange, body)
        for name, _ in self._names:
            values = [value.encode() for key, value in fields if key == name]
            if values:
                return self._decide(exchange, name, values)
        return self._refuse("No API key found in request")

    def _decide(self, exchange: Exchange, name: str, found: list[bytes]) -> Reply | None:
        if len(found) > 1:
            return self._refuse("Duplicate API key found")
        credential = self.kit.consumers.key(found[0], self.kit.clock.time())
        if credential is None:
            return self._refuse("Unauthorized")
        consumer = self.kit.consumers.by_id.get(credential.consumer)
        if consumer is None:
            return self._refuse("Unauthorized")
        if self.config.hide_credentials:
            self._hide(exchange, name)
        identify(exchange, consumer, credential, credential.id)
        return None

    def _refuse(self, message: str) -> Reply:
        return unauthorized(message, "Key", self.config.realm)

    def _hide(self, exchange: Exchange, name: str) -> None:
        exchange.headers.remove(name.lower().encode())
        request = exchange.request
        if request.query:
            kept = [part for part in request.query[1:].split("&") if _name(part) != name]
            request.query = "?" + "&".join(kept) if kept else ""
        if exchange.buffered and self.config.key_in_body:
            exchange.buffered = _without(exchange, exchange.buffered, name)


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _in_query(query: str, name: str) -> list[bytes]:
    return [
        unquote_plus(part.partition("=")[2]).encode() for part in query[1:].split("&") if _name(part) == name
    ]


def _media_type(exchange: Exchange) -> str:
    value = exchange.headers.get(b"content-type") or b""
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def _fields(exchange: Exchange, body: bytes) -> list[tuple[str, str]]:
    """Return the body's texts by name; none of what cannot be read."""
    if _media_type(exchange) == FORM:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(document, dict):
        return []
    return [(name, value) for name, value in document.items() if isinstance(value, str)]


def _without(exchange: Exchange, body: bytes, name: str) -> bytes:
    if _media_type(exchange) == FORM:
        return urlencode([(key, value) for key, value in _fields(exchange, body) if key != name]).encode()
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(document, dict) or name not in document:
        return body
    del document[name]
    return orjson.dumps(document)
