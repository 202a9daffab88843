"""What a route asks of a request, and how routes rank: the part that decides, without any index.

A route with several paths is several rules: one per length of its prefixes and one for all its regular
expressions, because length and kind of path are part of the rank. The order follows Kong's
``kong/router/transform.lua``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from proxyd.gateway.router.conditions import HeaderCondition, HostPattern
from proxyd.gateway.router.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxyd.model.entities import Route

T = TypeVar("T")

MAX_HEADERS = 255  # headers that count for the rank, as in Kong


class Priority(NamedTuple):
    """A rule's rank; the greater one wins. Between equals, the one that stands earlier in the file."""

    kinds: int
    """How many of hosts, paths, methods, headers and snis are set."""
    plain_hosts: bool
    """Whether hosts are set and none has a wildcard."""
    headers: int
    """How many headers are asked for."""
    regex: bool
    """Whether the paths are regular expressions."""
    regex_priority: int
    """The route's own rank among those; 0 for prefixes."""
    prefix_length: int
    """Characters of the prefix; 0 for regular expressions."""


class Rule(Generic[T]):
    """One route, or the part of it that has paths of one kind and length."""

    __slots__ = (
        "headers",
        "hosts",
        "methods",
        "payload",
        "position",
        "prefixes",
        "priority",
        "regexes",
        "route",
        "snis",
    )

    def __init__(
        self, route: Route, payload: T, prefixes: tuple[str, ...] = (), regexes: tuple[Pattern, ...] = ()
    ) -> None:
        self.route = route
        self.payload = payload
        self.position = 0  # among all rules, best first; set when they are sorted
        self.prefixes = prefixes
        self.regexes = regexes
        self.hosts = tuple(HostPattern.parse(host) for host in route.hosts or ())
        self.methods = frozenset(route.methods) if route.methods else None
        self.snis = frozenset(sni.lower().removesuffix(".") for sni in route.snis) if route.snis else None
        self.headers = tuple(
            HeaderCondition.parse(name, values) for name, values in (route.headers or {}).items()
        )
        self.priority = self._priority()

    def __repr__(self) -> str:
        return f"<Rule {self.position} {self.route.name or self.route.id} {self.paths}>"

    @property
    def paths(self) -> str:
        """The rule's paths as a file has them, with spaces between; empty where it asks for none."""
        return " ".join([*self.prefixes, *(f"~{regex.source}" for regex in self.regexes)])

    def _priority(self) -> Priority:
        kinds = (self.hosts, self.prefixes or self.regexes, self.methods, self.headers, self.snis)
        return Priority(
            kinds=sum(map(bool, kinds)),
            plain_hosts=bool(self.hosts) and not any(host.kind for host in self.hosts),
            headers=min(len(self.headers), MAX_HEADERS),
            regex=bool(self.regexes),
            regex_priority=self.route.regex_priority if self.regexes else 0,
            prefix_length=len(self.prefixes[0]) if self.prefixes else 0,
        )


def compile_rules(routes: Iterable[tuple[Route, T]]) -> list[Rule[T]]:
    """Split routes into rules and sort them, best first. Raises PatternError."""
    rules = [rule for route, payload in routes for rule in _split(route, payload)]
    # The sort is stable: between equals, the order of the file stays.
    rules.sort(key=lambda rule: rule.priority, reverse=True)
    for position, rule in enumerate(rules):
        rule.position = position
    return rules


def _split(route: Route, payload: T) -> Iterator[Rule[T]]:
    if not route.paths:
        yield Rule(route, payload)
        return
    prefixes: dict[int, list[str]] = {}
    regexes: list[Pattern] = []
    for path in route.paths:
        if path.startswith("~"):
            regexes.append(Pattern(path[1:]))
        else:
            prefixes.setdefault(len(path), []).append(path)  # normalised, or the file was refused
    if regexes:
        yield Rule(route, payload, regexes=tuple(regexes))
    for same_length in prefixes.values():
        yield Rule(route, payload, prefixes=tuple(same_length))
