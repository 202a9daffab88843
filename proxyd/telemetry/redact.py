"""Secrets in query strings, kept out of logs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "REDACTED"

# Compared without regard to case and to anything but letters and digits, so that "api-key", "API_KEY" and
# "user[password]" are all found.
NAMES = frozenset(
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
ENDINGS = ("accesskey", "apikey", "credential", "password", "secret", "secretkey", "signature", "token")

_PAIR = re.compile(r"([^&;=]+)=([^&;]+)")
_NOISE = re.compile(r"[^a-z0-9]+")


class Redactor:
    """Replaces the values of query arguments whose names tell that they are secret.

    ``extra`` are further names, those that key-auth plugins look for among them.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        names = NAMES | {_plain(name) for name in extra}

        @lru_cache(maxsize=1024)
        def is_secret(name: str) -> bool:
            plain = _plain(name)
            return plain in names or plain.endswith(ENDINGS)

        self._is_secret = is_secret

    def query(self, query: str) -> str:
        """Return a query string, with or without its ``?``, with the values of secrets replaced."""
        return _PAIR.sub(self._pair, query) if "=" in query else query

    def url(self, url: str) -> str:
        """Return a URL with the secrets of its query replaced, and without user information and fragment."""
        if "?" not in url and "@" not in url and "#" not in url:
            return url
        url = url.partition("#")[0]
        base, mark, query = url.partition("?")
        scheme, slashes, rest = base.partition("://")
        if slashes:
            authority, slash, path = rest.partition("/")
            base = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
        return f"{base}?{self.query(query)}" if mark else base

    def _pair(self, match: re.Match[str]) -> str:
        name = match[1]
        return f"{name}={REDACTED}" if self._is_secret(name) else match[0]


def _plain(name: str) -> str:
    if "%" in name or "+" in name:
        name = unquote_plus(name)
    return _NOISE.sub("", name.lower())
