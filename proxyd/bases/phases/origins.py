"""cors' work with every answer: whether pages of the request's origin may read it, and the lines that say so."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import re2

from proxyd.http1.headers import Block, members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxyd.exchange import Exchange, Reply
    from proxyd.http1.headers import Headers

PLAIN: Final = re.compile(r"[A-Za-z0-9.:/_-]+|\*")
_REMEMBERED: Final = 1024  # origins whose lines are remembered
_LONGEST: Final = 512  # bytes of an origin: a host has 253 characters at most
_VARY: Final = b"Vary: Origin\r\n"
_OF_ANSWERS: Final[tuple[bytes, ...]] = (b"access-control-allow-origin", b"access-control-expose-headers")
_OURS: Final[tuple[bytes, ...]] = (
    *_OF_ANSWERS,
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-max-age",
)


class Origins:
    """The origins that are let in, each as the setting has them; with ``credentials``, an origin is told by its name."""

    def __init__(self, origins: Sequence[str], *, credentials: bool) -> None:
        self._any = "*" in origins
        plain = [origin for origin in origins if PLAIN.fullmatch(origin)]
        # A single exact origin is told whatever the request's is: the browser compares (Kong).
        self._single = plain[0].encode() if len(origins) == len(plain) == 1 and ":" in plain[0] else None
        self._exact = {origin.lower() for origin in plain if ":" in origin}
        self._hosts = {origin.lower() for origin in plain if ":" not in origin and origin != "*"}
        self._patterns = [re2.compile(origin) for origin in origins if not PLAIN.fullmatch(origin)]
        self._credentials = credentials

    def __repr__(self) -> str:
        kinds = len(self._exact), len(self._hosts), len(self._patterns)
        return f"<Origins any={self._any} exact={kinds[0]} hosts={kinds[1]} patterns={kinds[2]}>"

    def admits(self, origin: str) -> bool:
        """Whether pages of this origin may read the answers."""
        asked = origin.encode("utf-8", "replace")
        return self.allowed(asked) in {b"*", asked}

    def allowed(self, origin: bytes | None) -> bytes | None:
        """Return what Access-Control-Allow-Origin says to an origin, or None for nothing."""
        if origin is not None and len(origin) > _LONGEST:
            origin = None
        if self._any:
            return origin if self._credentials and origin else b"*"
        if self._single is not None:
            return self._single
        if origin is None:
            return None
        return origin if self._matches(origin.decode("latin-1")) else None

    def _matches(self, origin: str) -> bool:
        lowered = origin.lower()
        if lowered in self._exact:
            return True
        try:
            host = urlsplit(lowered).hostname
        except ValueError:
            return False
        return host in self._hosts or any(
            pattern.fullmatch(text) for pattern in self._patterns for text in (origin, host or "") if text
        )


class _Lines:
    """What answers to one origin say; ``own`` are those that the gateway gives to preflights."""

    __slots__ = ("others", "own", "varies")

    def __init__(self, others: Block, own: Block, *, varies: bool) -> None:
        self.others = others
        self.own = own
        self.varies = varies


class Marker:
    """Marks answers for ``origins``, those to requests without an origin too where it ``marks_absent``.

    ``exposed`` are the headers that pages may read. ``preflight`` answers a request that may be one, where that is to be done.
    """

    def __init__(
        self,
        origins: Origins,
        exposed: Sequence[str],
        preflight: Callable[[Exchange], Reply | None] | None,
        *,
        credentials: bool,
        marks_absent: bool,
    ) -> None:
        self._origins = origins
        self._exposed = ", ".join(exposed).encode()
        self._preflight = preflight
        self._credentials = credentials
        self._marks_absent = marks_absent
        self._known: dict[bytes | None, _Lines] = {}

    def __repr__(self) -> str:
        return f"<Marker {self._origins!r} known={len(self._known)}>"

    def access(self, exchange: Exchange) -> Reply | None:
        """Answer a preflight."""
        if self._preflight is None or exchange.request.method != "OPTIONS":
            return None
        return self._preflight(exchange)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Say which origin may read the answer, in place of what the upstream says of it."""
        del status
        origin = exchange.request.headers.get(b"origin")
        if origin is None and not self._marks_absent:
            return
        lines = self._known.get(origin)
        if lines is None:
            lines = self._write(origin)
        if lines.varies:
            _vary(headers)
        mine = self._preflight is not None and exchange.request.method == "OPTIONS"
        headers.put(lines.own if mine else lines.others)

    def _write(self, origin: bytes | None) -> _Lines:
        """Write the lines that let an origin read answers, in place of all that are ours to write."""
        if origin is not None and len(origin) > _LONGEST:  # nor would what is remembered have a bound
            origin = None
        allowed = self._origins.allowed(origin)
        told = []
        if allowed is not None:
            told.append((b"Access-Control-Allow-Origin", allowed))
            if self._credentials and allowed != b"*":
                told.append((b"Access-Control-Allow-Credentials", b"true"))
            if self._exposed:
                told.append((b"Access-Control-Expose-Headers", self._exposed))
        others, own = Block.of(told, absent=_OURS), Block.of(told, absent=_OF_ANSWERS)
        lines = _Lines(others, own, varies=allowed != b"*")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[origin] = lines
        return lines


def _vary(headers: Headers) -> None:
    varies = headers.get(b"vary")
    if varies is None or not _names_origin(varies):
        headers.append(_VARY)


@lru_cache(_REMEMBERED)
def _names_origin(varies: bytes) -> bool:
    return not {b"origin", b"*"}.isdisjoint(members(varies))
