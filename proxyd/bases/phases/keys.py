"""key-auth's work with every request: the key is found, hidden, and looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus, unquote_to_bytes

from proxyd.bases.authentication import unauthorized
from proxyd.bodies.fields import Fields
from proxyd.exchange import Reply
from proxyd.identity import identity_lines, introduce
from proxyd.model.credentials import key_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Block
    from proxyd.model.entities import Consumer, KeyAuthCredential
    from proxyd.store.consumers import Consumers
    from proxyd.store.used import LastUsed

NO_FIELDS: Final = Fields()
_REMEMBERED: Final = 4096  # keys whose consumer is remembered
_NOTED: Final = 60.0  # seconds in which a use is noted once
_DUPLICATE: Final = "Duplicate API key found"


class _Known:
    """Whose a key is, until when, what it may, and what the upstream is told of it.

    ``until`` is when more is to be looked at than that: at first, at its end, and once a minute to note that it is used.
    """

    __slots__ = ("allowed", "consumer", "credential", "end", "lines", "until")

    def __init__(
        self, credential: KeyAuthCredential, consumer: Consumer, end: float, lines: Block, *, allowed: bool
    ) -> None:
        self.credential = credential
        self.consumer = consumer
        self.end = end
        self.lines = lines
        self.allowed = allowed
        self.until = 0.0


class Keys:
    """Looks for keys under ``names``, in each place before the next name, and for whose they are among ``consumers``.

    ``hides`` takes out what stands under any of the names; ``time`` gives seconds since the epoch. ``scopes`` are those
    that a key needs, all of them or ``any_scope``; ``used`` hears of keys that are used.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        consumers: Consumers,
        time: Callable[[], float],
        *,
        in_header: bool,
        in_query: bool,
        hides: bool,
        realm: str | None,
        scopes: frozenset[str],
        any_scope: bool,
        used: LastUsed,
    ) -> None:
        self.names = tuple([(name, _headers(name)) for name in names])
        self._texts = frozenset(names)
        # What to look for in a query before it is taken apart: a name, or what may be one in another spelling.
        self._hints = tuple(dict.fromkeys(("%", "+", *names)))
        self._hidden = tuple([header for _, headers in self.names for header in headers])
        self._consumers = consumers
        self._time = time
        self._in_header = in_header
        self._in_query = in_query
        self._hides = hides
        self._realm = realm
        self._scopes = scopes
        self._any_scope = any_scope
        self._used = used
        self._known: dict[str, _Known] = {}

    def __repr__(self) -> str:
        return f"<Keys {' '.join(name for name, _ in self.names)} known={len(self._known)}>"

    def access(self, exchange: Exchange) -> Reply | None:
        """Let a request in by a key in its head, or refuse it."""
        return self.decide(exchange, NO_FIELDS)

    def decide(self, exchange: Exchange, fields: Fields) -> Reply | None:
        """Do so by a key in its head, or in the fields of its body."""
        key: bytes | None = None
        for name, headers in self.names:
            found = self.in_head(exchange, name, headers)
            if not found and fields is not NO_FIELDS:
                members = fields.named(name.encode())
                found = [one.value for one in members]
                if any(one.several for one in members):
                    return self._refuse(_DUPLICATE)
            if len(found) > 1:
                return self._refuse(_DUPLICATE)
            if found and found[0] is not None:
                key = found[0]
                break
        if self._hides and key is not None:
            self._hide(exchange, fields)
        if not key:
            return self._refuse("No API key found in request")
        digest = key_digest(key)
        known = self._known.get(digest)
        if known is None or self._time() >= known.until:
            return self._look_closer(exchange, digest, key, known)
        introduce(exchange, known.consumer, known.credential, known.lines)
        return None

    def in_head(self, exchange: Exchange, name: str, headers: tuple[bytes, ...]) -> list[bytes | None]:
        """Return what stands under a name in the headers or else the query; None is an argument without a value."""
        found: list[bytes | None] = []
        if self._in_header:
            for header in headers:
                values = exchange.request.headers.get_all(header)
                if values:
                    found += values
        if not found and self._in_query and exchange.request.query:
            for part in exchange.request.query[1:].split("&"):
                if _name(part) == name:
                    _, mark, value = part.partition("=")
                    found.append(unquote_to_bytes(value.replace("+", " ")) if mark else None)
        return found

    def _look_up(self, digest: str, key: bytes) -> _Known | None:
        credential, end = self._consumers.key(digest)
        if credential is None:
            credential, end = self._consumers.hashed_key(key)
        consumer = self._consumers.by_id.get(credential.consumer) if credential is not None else None
        if credential is None or consumer is None:
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        lines = identity_lines(consumer, credential.id, scopes=credential.scopes)
        known = _Known(credential, consumer, end, lines, allowed=self._allows(credential.scopes))
        self._known[digest] = known
        return known

    def _allows(self, scopes: tuple[str, ...]) -> bool:
        if self._any_scope:
            return not self._scopes.isdisjoint(scopes)
        return self._scopes.issubset(scopes)

    def _look_closer(self, exchange: Exchange, digest: str, key: bytes, known: _Known | None) -> Reply | None:
        """Let a request in whose key is new here, or that something is to be seen to of, or refuse it."""
        if known is None:
            known = self._look_up(digest, key)
        now = self._time()
        if known is None or now >= known.end:
            return self._refuse("Unauthorized")
        self._used.note(known.credential.id, now)
        if not known.allowed:
            return Reply(403, "You cannot consume this service")
        known.until = min(known.end, now + _NOTED)
        introduce(exchange, known.consumer, known.credential, known.lines)
        return None

    def _refuse(self, message: str) -> Reply:
        return unauthorized(message, "Key", self._realm)

    def _hide(self, exchange: Exchange, fields: Fields) -> None:
        """Take out what stands under any of the names, wherever it stands."""
        request = exchange.request
        for header in self._hidden:
            request.headers.remove(header)
        query = request.query
        if query and self._may_be_in(query):
            kept = [part for part in query[1:].split("&") if _name(part) not in self._texts]
            request.query = "?" + "&".join(kept) if kept else ""
        if fields is NO_FIELDS:
            return
        encoded = [name.encode() for name, _ in self.names]
        if any(name in fields for name in encoded):
            exchange.buffered = fields.without(encoded)

    def _may_be_in(self, query: str) -> bool:
        for hint in self._hints:  # noqa: SIM110  # any() would make a generator for each request
            if hint in query:
                return True
        return False


def _headers(name: str) -> tuple[bytes, ...]:
    """Return the headers that a name means: one with ``-`` for ``_`` too, as in Kong."""
    header = name.lower().encode()
    return tuple(dict.fromkeys((header, header.replace(b"_", b"-"))))


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])
