"""What the limits say of a document, for whoever writes it: every count beside its limit, and all that is beyond one.

The request path stops at the first limit that refuses; here everything is told that can be counted safely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from proxyd.graphql.document import Document, digest_of
from proxyd.graphql.limits import MOST_CHARACTERS, MOST_NESTING, MOST_TOKENS
from proxyd.graphql.refusal import Refused
from proxyd.graphql.scan import scan
from proxyd.graphql.schema.price import MOST
from proxyd.graphql.variables import nesting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.graphql.limits import Limits, Name
    from proxyd.graphql.schema.explaining import Judge

_OF_TEXTS: tuple[Name, ...] = ("document_size", "tokens", "nesting", "operations")
_OF_OPERATIONS: tuple[Name, ...] = ("depth", "nesting", "root_fields", "fields", "aliases", "directives")


class Measure(NamedTuple):
    """A count beside its limit; ``enforced`` tells whether what is beyond is refused."""

    name: str
    found: int
    maximum: int
    enforced: bool = True

    @property
    def beyond(self) -> int:
        """By how much it is beyond."""
        return max(0, self.found - self.maximum)


class Explained(NamedTuple):
    """An operation and what it counts."""

    name: str
    type: str
    measures: tuple[Measure, ...]


class Explanation(NamedTuple):
    """A document: what its text counts, and its operations, or why there are none to be told of."""

    digest: str
    measures: tuple[Measure, ...]
    operations: tuple[Explained, ...]
    refused: Refused | None

    def exceeded(self) -> list[Measure]:
        """Return everything that would be refused."""
        every = [*self.measures, *(one for operation in self.operations for one in operation.measures)]
        return [one for one in every if one.beyond and one.enforced]


def explain(
    text: str, limits: Limits, variables: Mapping[str, Any] | None = None, judge: Judge | None = None
) -> Explanation:
    """Count what there is to count in a document, and in the variables that go with it; ``judge`` knows its schema."""

    def measure(found: Mapping[Name, int], names: Iterable[Name]) -> list[Measure]:
        return [
            Measure(name, found[name], limits.maximum(name), name not in limits.measure)
            for name in names
            if name in found
        ]

    tokens, deep = scan(text, MOST_TOKENS, MOST_NESTING)
    of_text: dict[Name, int] = {"document_size": len(text), "tokens": tokens, "nesting": deep}
    if len(text) > MOST_CHARACTERS or tokens > MOST_TOKENS or deep > MOST_NESTING:
        return Explanation(digest_of(text), tuple(measure(of_text, _OF_TEXTS)), (), None)
    try:
        document = Document(text)
        costs = judge.costs(document, variables or {}) if judge is not None else {}
    except Refused as refused:
        return Explanation(digest_of(text), tuple(measure(of_text, _OF_TEXTS)), (), refused)
    of_text["operations"] = len(document.operations)
    more: list[Measure] = []
    if variables is not None:
        of_variables: dict[Name, int] = {
            "variables_size": len(orjson.dumps(variables)),
            "variables_nesting": nesting(variables, MOST_NESTING),
        }
        more = measure(of_variables, of_variables)
    operations = []
    for operation in document.operations.values():
        facts: dict[Name, int] = {name: getattr(operation.facts, name) for name in _OF_OPERATIONS}
        measures = (*measure(facts, _OF_OPERATIONS), *more)
        if judge is not None and operation.name in costs:
            cost = Measure("cost", costs[operation.name], judge.maximum or MOST, judge.enforced)
            measures = (*measures, cost)
        operations.append(Explained(operation.name, operation.type, measures))
    return Explanation(document.digest, tuple(measure(of_text, _OF_TEXTS)), tuple(operations), None)
