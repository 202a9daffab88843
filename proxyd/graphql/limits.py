"""Limits of what a client may ask for in one request, each before what it protects.

The body is limited before it is read, the document's text, tokens and nesting before it is parsed, and what its operations count
(``facts``) once for each document: a request whose document is known only has its variables looked at. A refusal says which limit,
and by how much it is exceeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from proxyd import plugin
from proxyd.graphql.refusal import beyond
from proxyd.graphql.scan import scan
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.facts import Facts

# What no limit that is only measured lets through: beyond, the gateway would harm itself.
MOST_BYTES: Final = 16_777_216
MOST_CHARACTERS: Final = 1_048_576
MOST_TOKENS: Final = 20_000
MOST_BATCHED: Final = 100
MOST_NESTING: Final = 100  # parsing takes five of Python's frames for each, of which there are a thousand

Name = Literal[
    "body_size",
    "document_size",
    "tokens",
    "nesting",
    "operations",
    "depth",
    "root_fields",
    "fields",
    "aliases",
    "directives",
    "batch",
    "variables_size",
    "variables_nesting",
]

# Those that an operation's facts are held to, by the names of both.
_OF_FACTS: Final = ("depth", "nesting", "root_fields", "fields", "aliases", "directives")


class Limits(plugin.Config):
    """How much a client may ask for in one request."""

    max_body_size: int = Field(1_048_576, gt=0, le=MOST_BYTES)
    """Bytes of a body."""
    max_document_size: int = Field(65_536, gt=0, le=MOST_CHARACTERS)
    """Characters of a document's text."""
    max_tokens: int = Field(2000, gt=0, le=MOST_TOKENS)
    """Tokens of a document; a comment is one."""
    max_nesting: int = Field(50, gt=0, le=MOST_NESTING)
    """Brackets of any kind that are open at once, and selections within one another, fragments among them."""
    max_operations: int = Field(10, gt=0)
    """Operations of a document, of which a request asks for one."""
    max_depth: int = Field(15, gt=0)
    """Fields within one another."""
    max_root_fields: int = Field(20, gt=0)
    """Fields on the first level of an operation."""
    max_fields: int = Field(1000, gt=0)
    """Fields of an operation, those of a fragment wherever it is spread."""
    max_aliases: int = Field(30, ge=0)
    """Fields with another name in the answer."""
    max_directives: int = Field(50, ge=0)
    """Directives of an operation."""
    max_batch: int = Field(0, ge=0, le=MOST_BATCHED)
    """Operations that one request may ask for as a list; with 0, lists are refused."""
    max_variables_size: int = Field(131_072, ge=0)
    """Bytes of an operation's variables, as JSON."""
    max_variables_nesting: int = Field(20, gt=0, le=MOST_NESTING)
    """Lists and objects within one another in variables."""
    measure: tuple[Name, ...] = ()
    """Limits that refuse nothing: what is beyond is counted and logged, up to where the gateway itself would suffer."""

    def maximum(self, name: Name) -> int:
        """Return what a limit allows."""
        return int(getattr(self, f"max_{name}"))

    def enforced(self, name: Name, most: int) -> int:
        """Return what is refused beyond: the limit, or ``most`` where it is only measured."""
        return most if name in self.measure else self.maximum(name)


class Lengths:
    """The limits of a document's text, looked at before it is parsed."""

    __slots__ = ("_limits", "_max_nesting", "_max_size", "_max_tokens")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._max_size = limits.enforced("document_size", MOST_CHARACTERS)
        self._max_tokens = limits.enforced("tokens", MOST_TOKENS)
        self._max_nesting = limits.enforced("nesting", MOST_NESTING)

    def __repr__(self) -> str:
        return f"<Lengths size={self._max_size} tokens={self._max_tokens} nesting={self._max_nesting}>"

    def check(self, text: str) -> tuple[str, ...]:
        """Return the limits that a text is beyond and that are only measured; raises Refused."""
        if len(text) > self._max_size:
            raise beyond("document_size", self._max_size, len(text))
        tokens, nesting = scan(text, self._max_tokens, self._max_nesting)
        if tokens > self._max_tokens:
            raise beyond("tokens", self._max_tokens, tokens)
        if nesting > self._max_nesting:
            raise beyond("nesting", self._max_nesting, nesting)
        if not self._limits.measure:
            return ()
        found: Mapping[Name, int] = {"document_size": len(text), "tokens": tokens, "nesting": nesting}
        return tuple(name for name, value in found.items() if value > self._limits.maximum(name))


class Counts(Step):
    """The limits of what operations count, decided once for each document."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._maxima = {name: limits.maximum(name) for name in _OF_FACTS}
        self._measured = frozenset(limits.measure)

    def learn(self, document: Document) -> None:
        """Compare what each operation counts."""
        count = len(document.operations)
        exceeded: tuple[str, ...] = ()
        if count > self._limits.max_operations:
            if "operations" not in self._measured:
                raise beyond("operations", self._limits.max_operations, count)
            exceeded = ("operations",)
        for operation in document.operations.values():
            operation.exceeded += exceeded
            self._compare(operation, operation.facts)

    def _compare(self, operation: Operation, facts: Facts) -> None:
        for name, maximum in self._maxima.items():
            found = getattr(facts, name)
            if found <= maximum and not (name == "nesting" and found > MOST_NESTING):
                continue
            if name not in self._measured or (name == "nesting" and found > MOST_NESTING):
                operation.verdict = operation.verdict or beyond(name, maximum, found)
            elif name not in operation.exceeded:
                operation.exceeded += (name,)
