"""key-auth: callers prove themselves by an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, unquote_to_bytes

from pydantic import Field

from proxyd import bodies
from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication, unauthorized
from proxyd.bodies.fields import Fields
from proxyd.identity import identify
from proxyd.model.grammar import HeaderName

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange, Reply

MAX_BODY = 1024 * 1024  # bytes of a body that is looked through for a key
_NO_FIELDS = Fields()
NO_KEY = "No API key found in request"


class Config(authentication.Config):
    """Settings of key-auth (Kong's ``kong/plugins/key-auth/schema.lua``)."""

    key_names: tuple[HeaderName, ...] = Field(("apikey",), min_length=1)
    """Names under which the key is looked for, each in every place before the next; the first that is there counts."""
    hide_credentials: bool = False
    """Whether whatever stands under these names is kept from the upstream."""
    key_in_header: bool = True
    """Whether it is looked for in headers, before anything else."""
    key_in_query: bool = True
    """Whether it is looked for in the query, after the headers."""
    key_in_body: bool = False
    """Whether it is looked for in a form, a multipart form or a JSON object, last; a larger one than 1 MiB is refused."""
    realm: str | None = None
    """Realm of the challenge."""


class KeyAuth(Authentication[Config]):
    """Finds the consumer by an API key."""

    name = "key-auth"
    priority = 1250
    answers = (
        *Authentication.answers,
        (
            413,
            "key_in_body asks for a look into a body that is larger than 1 MiB, or has more than 2000 fields",
        ),
    )

    def prepare(self) -> None:
        """Write the names as headers have them, and have no log show what stands under them."""
        self.secret_arguments = self.config.key_names
        config = self.config
        self._names = tuple((name, _headers(name)) for name in config.key_names)
        self._in_header = config.key_in_header
        self._in_query = config.key_in_query
        self._hides = config.hide_credentials
        self._reads_body = config.key_in_body
        # What to look for in a query before it is taken apart: a name, or what may be one in another spelling.
        self._hints = tuple(dict.fromkeys(("%", "+", *config.key_names)))

    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Look the key up; the body is waited for only where it may decide, or holds what is to be hidden."""
        if self._reads_body and exchange.body is not None and _has_fields(exchange):
            name, headers = self._names[0]
            if self._hides or not self._in_head(exchange, name, headers):
                return self._look_in_body(exchange)
        return self._decide(exchange, _NO_FIELDS)

    async def _look_in_body(self, exchange: Exchange) -> Reply | None:
        body = exchange.buffered
        if body is None:
            body = await exchange.body.read(MAX_BODY)  # type: ignore[union-attr]  # looked at before
        return self._decide(exchange, bodies.find(exchange.headers.get(b"content-type") or b"", body))

    def _decide(self, exchange: Exchange, fields: Fields) -> Reply | None:
        key = None
        for name, headers in self._names:
            found = self._in_head(exchange, name, headers)
            if not found and fields is not _NO_FIELDS:
                members = fields.named(name.encode())
                found = [one.value for one in members]
                if any(one.several for one in members):
                    return self._refuse("Duplicate API key found")
            if len(found) > 1:
                return self._refuse("Duplicate API key found")
            if found and found[0] is not None:
                key = found[0]
                break
        if self._hides and key is not None:
            self._hide(exchange, fields)
        if not key:
            return self._refuse(NO_KEY)
        credential = self.kit.consumers.key(key, self.kit.clock.time())
        consumer = self.kit.consumers.by_id.get(credential.consumer) if credential is not None else None
        if credential is None or consumer is None:
            return self._refuse("Unauthorized")
        identify(exchange, consumer, credential, credential.id)
        return None

    def _refuse(self, message: str) -> Reply:
        return unauthorized(message, "Key", self.config.realm)

    def _in_head(self, exchange: Exchange, name: str, headers: tuple[bytes, ...]) -> list[bytes | None]:
        """Return what stands under a name in the headers or else the query; None is an argument without a value."""
        found: list[bytes | None] = []
        if self._in_header:
            for header in headers:
                found += exchange.headers.get_all(header)
        if not found and self._in_query and exchange.request.query:
            for part in exchange.request.query[1:].split("&"):
                if _name(part) == name:
                    _, mark, value = part.partition("=")
                    found.append(unquote_to_bytes(value.replace("+", " ")) if mark else None)
        return found

    def _hide(self, exchange: Exchange, fields: Fields) -> None:
        """Take out what stands under any of the names, wherever it stands."""
        for _, headers in self._names:
            for header in headers:
                exchange.headers.remove(header)
        request = exchange.request
        query = request.query
        if query and _holds_any(query, self._hints):
            names = self.config.key_names
            kept = [part for part in query[1:].split("&") if _name(part) not in names]
            request.query = "?" + "&".join(kept) if kept else ""
        if fields is _NO_FIELDS:
            return
        encoded = [name.encode() for name in self.config.key_names]
        if any(name in fields for name in encoded):
            exchange.buffered = fields.without(encoded)


def _headers(name: str) -> tuple[bytes, ...]:
    """Return the headers that a name means: one with ``-`` for ``_`` too, as in Kong."""
    header = name.lower().encode()
    return tuple(dict.fromkeys((header, header.replace(b"_", b"-"))))


def _holds_any(query: str, hints: tuple[str, ...]) -> bool:
    for hint in hints:  # noqa: SIM110  # any() would make a generator for each request
        if hint in query:
            return True
    return False


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _has_fields(exchange: Exchange) -> bool:
    return bodies.media_type(exchange.headers.get(b"content-type") or b"") in bodies.READERS
