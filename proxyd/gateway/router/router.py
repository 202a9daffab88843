"""The router: one question per request, answered from a memory of recent answers or from the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from proxyd.gateway.router.cache import RecentCache
from proxyd.gateway.router.conditions import Asked
from proxyd.gateway.router.explain import Explanation, verdicts
from proxyd.gateway.router.hosts import HostIndex
from proxyd.gateway.router.index import NOTHING, Match
from proxyd.gateway.router.rule import compile_rules
from proxyd.http1.target import plain_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.http1.headers import Headers
    from proxyd.model.entities import Route

T = TypeVar("T")

CACHE_SIZE: Final = 5_000  # answers remembered, and as many misses; Kong's figures
CACHED_LENGTH: Final = 256  # characters of a path or header beyond which an answer is not worth its memory

__all__ = ["Match", "Router"]


class Router(Generic[T]):
    """Finds the route of a request among ``routes``, given with what belongs to each, in the file's order.

    Immutable once made. Raises PatternError for a regular expression that RE2 does not accept.
    """

    __slots__ = ("_headers", "_hits", "_hosts", "_methods", "_misses", "_ports", "_rules", "_snis")

    def __init__(self, routes: Iterable[tuple[Route, T]]) -> None:
        self._rules = compile_rules(routes)
        self._hosts = HostIndex(self._rules)
        # What the answer can depend on: only that is part of a cache key.
        self._methods = frozenset(method for rule in self._rules for method in rule.methods or ())
        self._snis = frozenset(sni for rule in self._rules for sni in rule.snis or ())
        self._ports = any(host.port for rule in self._rules for host in rule.hosts)
        self._headers = tuple({header.name: None for rule in self._rules for header in rule.headers})
        self._hits: RecentCache[Match[T]] = RecentCache(CACHE_SIZE)
        self._misses: RecentCache[bool] = RecentCache(CACHE_SIZE)

    def __repr__(self) -> str:
        return (
            f"<Router rules={len(self._rules)} {self._hosts!r} hits={self._hits!r} misses={self._misses!r}>"
        )

    def match(
        self, scheme: str, method: str, host: str, path: str, headers: Headers, sni: str
    ) -> Match[T] | None:
        """Return the best match, or None.

        ``scheme`` is http or https, ``host`` lower-case with or without a port, ``path`` normalised,
        ``sni`` the server name of the TLS handshake or empty.
        """
        key: tuple[object, ...]
        if self._headers or self._snis or self._ports:
            key = (
                path,
                host,
                method if method in self._methods else "",
                scheme,
                sni if sni in self._snis else "",
                *[headers.lines.get(name) for name in self._headers],
            )
        else:
            key = (path, host, method if method in self._methods else "")
        match = self._hits.get(key)
        if match is not None or self._misses.get(key):
            return match
        match = self._search(path, Asked(scheme, method, host, headers, sni))
        if len(path) <= CACHED_LENGTH and (
            not self._headers or sum(map(len, filter(None, key[5:]))) <= CACHED_LENGTH  # type: ignore[arg-type]
        ):
            if match is not None:
                self._hits.put(key, match)
            else:
                self._misses.put(key, True)
        return match

    def order(self) -> list[tuple[Route, str]]:
        """Return each route with those of its paths that rank there, best first."""
        return [(rule.route, rule.paths) for rule in self._rules]

    def explain(
        self, scheme: str, method: str, host: str, path: str, headers: Headers, sni: str
    ) -> Explanation[T]:
        """Return the match, and for every rule, best first, why it won or lost. Slow: tests each rule."""
        asked = Asked(scheme, method, host, headers, sni)
        match = self._search(path, asked)
        return Explanation(match, verdicts(self._rules, path, asked, refused=match is None))

    def _search(self, path: str, asked: Asked) -> Match[T] | None:
        match = self._find(path, asked)
        if match is not None and "%" in path and (plain := plain_form(path)) != path:
            # A backend may decode what we keep: an escape must not reach what its plain form would not.
            other = self._find(plain, asked)
            if other is None or other.route is not match.route:
                return None
        return match

    def _find(self, path: str, asked: Asked) -> Match[T] | None:
        match: Match[T] | None = None
        limit = NOTHING
        for index in self._hosts.indexes(asked.name):
            if index.best < limit:
                found = index.find(path, asked, limit)
                if found is not None:
                    limit, match = found
        return match
