"""Why a route won: every rule tested in order, one by one. For ``proxyd explain``, never for requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.gateway.router.conditions import Asked
    from proxyd.gateway.router.index import Match
    from proxyd.gateway.router.rule import Rule
    from proxyd.model.entities import Route

T = TypeVar("T")

_LOSSES = {
    "kinds": "fewer kinds of conditions ({} against {})",
    "plain_hosts": "a wildcard among its hosts, or no hosts",
    "headers": "fewer headers ({} against {})",
    "regex": "a prefix against a regular expression",
    "regex_priority": "lower regex_priority ({} against {})",
    "prefix_length": "shorter prefix ({} against {})",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one rule: ``paths`` are those of the route's that rank there, as text.

    ``misfits`` names what of the request it does not fit, ``lost_by`` the part of its rank that another rule is better in.
    """

    route: Route
    paths: str
    misfits: tuple[str, ...]
    reason: str
    lost_by: str = ""

    @property
    def matches(self) -> bool:
        """Whether the rule fits the request."""
        return not self.misfits


@dataclass(frozen=True, slots=True)
class Explanation(Generic[T]):
    """The match, or None, and the verdict on every rule, in matching order."""

    match: Match[T] | None
    verdicts: list[Verdict]


def verdicts(rules: list[Rule[T]], path: str, asked: Asked, *, refused: bool) -> list[Verdict]:
    """Test each rule and say why it did not match, or what it lost by.

    ``refused`` tells that the router gave no match, so that the first rule that matches was refused.
    """
    winner: Rule[T] | None = None
    result: list[Verdict] = []
    for rule in rules:
        misfits = tuple(_misfits(rule, path, asked))
        lost_by = ""
        if misfits:
            reason = "does not match: " + ", ".join(misfits)
        elif winner is not None:
            lost_by, loss = _loss(rule, winner)
            reason = f"matches, but loses to {winner.route.name or winner.route.id}: {loss}"
        else:
            winner = rule
            reason = "refused: its escapes, once decoded, would go elsewhere" if refused else "wins"
        result.append(Verdict(rule.route, rule.paths, misfits, reason, lost_by))
    return result


def _misfits(rule: Rule[T], path: str, asked: Asked) -> Iterator[str]:
    if rule.hosts and not any(pattern.accepts(asked.name, asked.port) for pattern in rule.hosts):
        yield "host"
    if rule.prefixes and not path.startswith(rule.prefixes):
        yield "path"
    if rule.regexes and all(regex.match(path) is None for regex in rule.regexes):
        yield "path"
    if rule.methods is not None and asked.method not in rule.methods:
        yield "method"
    for header in rule.headers:
        if not header.accepts(asked.headers):
            yield f"header {header.name.decode()}"
    if rule.snis is not None and asked.sni is not None and asked.sni not in rule.snis:
        yield "sni"


def _loss(rule: Rule[T], winner: Rule[T]) -> tuple[str, str]:
    """Return which part of its rank a rule lost by, and that in words."""
    if rule.route is winner.route:
        return "path", "another path of the same route"
    for field, ours, theirs in zip(rule.priority._fields, rule.priority, winner.priority, strict=True):
        if ours != theirs:
            return field, _LOSSES[field].format(ours, theirs)
    return "order", "stands later in the file"
