"""Rules by path: the rules worth testing for a path, found in time that hardly grows with their number.

All prefixes of one host stand in a sorted list, each linked to the longest other that it begins with. The
prefixes of a path are then one bisection away: the greatest one not above the path, or one it is linked to.
A rule without paths stands at the empty prefix, a regular expression at the text that its matches begin with.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from proxyd.gateway.router.patterns import Pattern, PatternSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.gateway.router.conditions import Asked
    from proxyd.gateway.router.patterns import Captures
    from proxyd.gateway.router.rule import Rule
    from proxyd.model.entities import Route

T = TypeVar("T")

NOTHING: Final = 1 << 60  # a rank behind all others
FEW_PATTERNS: Final = 4  # regular expressions at one prefix that are cheaper tested one by one than as a set


class Match(Generic[T]):
    """A route found. Shared between requests: not to be changed.

    ``prefix`` is what strip_path takes off the path, empty for nothing or where the route does not strip;
    ``captures`` holds the regular expression's groups by number and by name.
    """

    __slots__ = ("captures", "payload", "prefix", "route")

    def __init__(self, payload: T, route: Route, prefix: str, captures: Captures | None) -> None:
        self.payload = payload
        self.route = route
        self.prefix = prefix
        self.captures = captures

    def __repr__(self) -> str:
        return f"<Match {self.route.name or self.route.id} prefix={self.prefix!r} captures={self.captures}>"


class Entry(Generic[T]):
    """One path of one rule, under one host, with what remains to be tested once both fit."""

    __slots__ = ("_match", "_rule", "conditional", "ports", "rank", "regex")

    def __init__(self, rule: Rule[T], rank: int, path: str | Pattern, ports: frozenset[int] | None) -> None:
        self._rule = rule
        self.rank = rank  # lower wins
        self.ports = ports
        self.regex = path if isinstance(path, Pattern) else None
        self.conditional = bool(rule.methods or rule.snis or rule.headers or ports)
        stripped = path if isinstance(path, str) and rule.route.strip_path else ""
        self._match = Match(rule.payload, rule.route, stripped, None)

    def __repr__(self) -> str:
        return f"<Entry rank={self.rank} {self._rule!r}>"

    def accepts(self, asked: Asked) -> bool:
        """Whether the request has what the rule asks for besides the host's name and the path."""
        rule = self._rule
        if rule.methods is not None and asked.method not in rule.methods:
            return False
        if self.ports is not None and asked.port not in self.ports:
            return False
        if rule.snis is not None and asked.sni is not None and asked.sni not in rule.snis:
            return False
        return not rule.headers or all(condition.accepts(asked.headers) for condition in rule.headers)

    def match(self, path: str) -> Match[T] | None:
        """Return the match; None where the regular expression does not match."""
        if self.regex is None:
            return self._match
        found = self.regex.match(path)
        if found is None:
            return None
        rule = self._rule
        return Match(rule.payload, rule.route, found[0] if rule.route.strip_path else "", found[1])


class _Node(Generic[T]):
    """One prefix and the entries that stand at it, best first."""

    __slots__ = ("best", "entries", "parent", "patterns", "prefix", "regexes")

    def __init__(self, prefix: str, entries: Sequence[Entry[T]]) -> None:
        entries = sorted(entries, key=lambda entry: entry.rank)
        regexes = [entry for entry in entries if entry.regex is not None]
        many = len(regexes) > FEW_PATTERNS
        self.prefix = prefix
        self.parent: _Node[T] | None = None
        self.best = entries[0].rank if entries else NOTHING  # of this node and those above
        self.entries = [entry for entry in entries if entry.regex is None] if many else entries
        self.regexes = regexes if many else []
        self.patterns = PatternSet([entry.regex for entry in regexes if entry.regex]) if many else None

    def find(self, path: str, asked: Asked, limit: int) -> tuple[int, Match[T]] | None:
        """Return the rank and the match of the best entry here that ranks before ``limit``, or None."""
        found = _first(self.entries, path, asked, limit)
        if self.patterns is not None:
            limit = found[0] if found is not None else limit
            if self.regexes[0].rank < limit:
                regexes = [self.regexes[position] for position in self.patterns.matching(path)]
                found = _first(regexes, path, asked, limit) or found
        return found


def _first(entries: Sequence[Entry[T]], path: str, asked: Asked, limit: int) -> tuple[int, Match[T]] | None:
    for entry in entries:
        if entry.rank >= limit:
            return None
        if not entry.conditional or entry.accepts(asked):
            match = entry.match(path)
            if match is not None:
                return entry.rank, match
    return None


class PathIndex(Generic[T]):
    """The entries of one host."""

    __slots__ = ("_nodes", "_prefixes", "best")

    def __init__(self, entries: dict[str, list[Entry[T]]]) -> None:
        self._prefixes = sorted({"", *entries})
        self._nodes = [_Node(prefix, entries.get(prefix, ())) for prefix in self._prefixes]
        above: list[_Node[T]] = []
        for node in self._nodes:
            while above and not node.prefix.startswith(above[-1].prefix):
                above.pop()
            if above:
                node.parent = above[-1]
                node.best = min(node.best, node.parent.best)
            above.append(node)
        self.best = min(node.best for node in self._nodes)

    def __repr__(self) -> str:
        return f"<PathIndex prefixes={len(self._prefixes)}>"

    def find(self, path: str, asked: Asked, limit: int) -> tuple[int, Match[T]] | None:
        """Return the rank and the match of the best entry that ranks before ``limit``, or None."""
        found: tuple[int, Match[T]] | None = None
        node: _Node[T] | None = self._nodes[bisect_right(self._prefixes, path) - 1]
        while node is not None and node.best < limit:
            if path.startswith(node.prefix):
                better = node.find(path, asked, limit)
                if better is not None:
                    found = better
                    limit = better[0]
            node = node.parent
        return found
