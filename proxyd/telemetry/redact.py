"""Secrets in query strings and headers, kept out of logs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED: Final = "REDACTED"

# Compared without regard to case and to anything but letters and digits, so that "api-key", "API_KEY" and
# "user[password]" are all found.
NAMES: Final = frozenset(
    {
        "apikey",
        "auth",
        "authorization",
        "code",
        "credential",
        "credentials",
        "jwt",
        "key",
        "pass",
        "passwd",
        "pwd",
        "session",
        "sessionid",
        "sid",
        "sig",
    }
)
ENDINGS: Final[tuple[str, ...]] = (
    "accesskey",
    "apikey",
    "credential",
    "password",
    "secret",
    "secretkey",
    "signature",
    "token",
)

# Of headers, whatever is a key counts too, and what a browser is known by; but not these.
HEADER_ENDINGS: Final[tuple[str, ...]] = (
    *ENDINGS,
    "assertion",
    "auth",
    "authorization",
    "cookie",
    "jwt",
    "key",
    "oidcdata",
    "session",
    "sessionid",
)
NO_SECRETS: Final = frozenset({"cachekey", "idempotencykey", "surrogatekey", "secwebsocketkey"})
KEPT: Final = 1024  # names whose nature is remembered

# A name is tried from its beginning alone: from every character on, a long query without one would take a second.
_PAIR: Final = re.compile(r"(?<![^&;=])([^&;=]++)=([^&;]*)")
_NAMES_OF_PAIRS: Final = re.compile(r"(?<![^&;=])([^&;=]++)=[^&;]*")
_NOISE: Final = re.compile(r"[^a-z0-9]+")


class Redactor:
    """Replaces the values of query arguments, and tells of headers, whose names tell that they are secret.

    ``extra`` are further names, those that plugins look for credentials under among them. Names are only ever
    added: a request may end, and be logged, long after the configuration that it began with.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._names = NAMES
        self.add(extra)

    def __repr__(self) -> str:
        return f"<Redactor names={len(self._names)}>"

    def add(self, names: Iterable[str]) -> None:
        """Learn further names; may be called from another thread than lines are made in."""
        known = self._names | {_plain(name) for name in names}

        @lru_cache(maxsize=KEPT)
        def is_secret(name: str) -> bool:
            plain = _plain(name)
            if plain in known or plain.endswith(ENDINGS):
                return True
            whole, bracket, _ = unquote_plus(name).partition("[")  # a part of what is secret is, too
            return bool(bracket) and _plain(whole) in known

        self._names = known
        self.is_secret = is_secret  # a new one, so that nothing decided before is remembered
        self.headers: dict[bytes, tuple[str, bool]] = {}

    def header(self, name: bytes) -> tuple[str, bool]:
        """Return the text of a header's lower-case name, and whether its value is secret."""
        kept = self.headers  # what is decided by old names must not get among what the new ones decide
        known = kept.get(name)
        if known is None:
            if len(kept) >= KEPT:
                kept.clear()
            text = name.decode("latin-1")
            plain = _plain(text)
            secret = plain in self._names or (
                plain.endswith(HEADER_ENDINGS) and plain.removeprefix("x") not in NO_SECRETS
            )
            known = kept[name] = (text, secret)
        return known

    def query(self, query: str) -> str:
        """Return a query string, with or without its ``?``, with the values of secrets replaced."""
        if not self._holds_secret(query):  # as most
            return query
        parts, done = [], 0
        while (pair := _PAIR.search(query, done)) is not None:
            value, end = pair.span(2)
            if self.is_secret(pair[1]):
                end = query.find("&", value)  # a semicolon may be part of it
                end = len(query) if end < 0 else end
                parts += [query[done:value], REDACTED if end > value else ""]
            else:
                parts.append(query[done:end])
            done = end
        return "".join((*parts, query[done:]))

    def _holds_secret(self, query: str) -> bool:
        if (
            ";" in query or "&=" in query or query.startswith("=")
        ):  # a name may begin elsewhere than behind a &
            return any(map(self.is_secret, _NAMES_OF_PAIRS.findall(query)))
        for part in query.split("&"):
            name, mark, _ = part.partition("=")
            if mark and self.is_secret(name):
                return True
        return False

    def url(self, url: str) -> str:
        """Return a URL with the secrets of its query replaced, and without user information and fragment."""
        if "?" not in url and "@" not in url and "#" not in url:
            return url
        url = url.partition("#")[0]
        base, mark, query = url.partition("?")
        scheme, slashes, rest = base.partition("//")
        if slashes and scheme[-1:] in ("", ":"):  # a Location need not say the scheme
            authority, slash, path = rest.partition("/")
            base = f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}"
        return f"{base}?{self.query(query)}" if mark else base


def _plain(name: str) -> str:
    if "%" in name or "+" in name:
        name = unquote_plus(name)
    return _NOISE.sub("", name.lower())
