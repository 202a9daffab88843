"""What a template may look at: one request as it was before anything of it was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from proxyd.http1.headers import Headers
from proxyd.transform.lua import Repeated, Value, shared_value

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Scope:
    """The tables of one request; only what is asked for is read."""

    __slots__ = ("_arguments", "_captures", "_host", "_lines", "_prefix", "_query", "_shared")

    def __init__(self, exchange: Exchange) -> None:
        self._lines = exchange.headers.lines.copy()
        self._host = exchange.request.host.encode()
        self._query = exchange.request.query
        self._captures = exchange.captures
        self._prefix = exchange.matched_prefix
        self._shared: dict[str, Any] | None = exchange.shared
        self._arguments: dict[bytes, list[bytes | bool]] | None = None

    def header(self, exact: bytes, dashed: bytes) -> Value:
        """Return a header by its name, or by its name with ``-`` for ``_``."""
        lines = self._lines.get(exact) or self._lines.get(dashed)
        if lines is None:
            return self._host or None if exact == b"host" else None
        value = lines[len(exact) + 1 :].strip(b" \t\r\n")
        return value if b"\n" not in value else Repeated(Headers({exact: lines}).get_all(exact))

    def argument(self, name: bytes) -> Value:
        """Return a query argument, decoded; one without ``=`` is true."""
        if self._arguments is None:
            self._arguments = {}
            for part in self._query[1:].replace("+", "%20").split("&"):
                if part:
                    key, mark, value = part.partition("=")
                    told = unquote_to_bytes(value) if mark else True
                    self._arguments.setdefault(unquote_to_bytes(key), []).append(told)
        values = self._arguments.get(name)
        if values is None:
            return None
        if len(values) == 1:
            return values[0]
        return Repeated(value if isinstance(value, bytes) else b"" for value in values)

    def capture(self, key: str | int) -> Value:
        """Return what a group of the route's regular expression matched; 0 is the whole."""
        if self._captures is None:
            return None
        text = self._prefix or None if key == 0 else self._captures.get(key)
        return None if text is None else text.encode()

    def shared(self, name: bytes) -> Value:
        """Return what a plugin has put into ``exchange.shared``."""
        return (
            None if self._shared is None else shared_value(self._shared.get(name.decode("utf-8", "replace")))
        )
