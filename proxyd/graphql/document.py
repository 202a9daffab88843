"""A document and its operations: parsed once for each text, with everything known of it that depends on nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    parse,
)

from proxyd.graphql.facts import Facts, count_fragments, count_operation
from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a document is taken to hold in memory when its tree is gone, in bytes: measured, and rounded up.
_DOCUMENT_SIZE: Final = 1000
_OPERATION_SIZE: Final = 700


def digest_of(text: str) -> str:
    """Return the SHA-256 of a document's text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Operation:
    """One operation of a document.

    ``node`` is its tree, which is there for those who learn and then let go, and ``facts`` is what is kept of it. ``verdict`` is
    what it is refused with whatever its variables and whoever asks. ``notes`` is what steps keep of it, each under
    a name of its own; who keeps much adds the bytes to ``Document.size``.
    """

    __slots__ = ("document", "exceeded", "facts", "name", "node", "notes", "type", "verdict")

    def __init__(self, document: Document, node: OperationDefinitionNode, facts: Facts) -> None:
        self.document = document
        self.name = node.name.value if node.name is not None else ""
        self.type: str = node.operation.value
        self.facts = facts
        self.node: OperationDefinitionNode | None = node
        self.verdict: Refused | None = None
        self.exceeded: tuple[str, ...] = ()  # limits that it is beyond and that are only measured
        self.notes: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Operation {self.type} {self.name or 'anonymous'}>"


class Document:
    """A text with its operations; raises Refused where it is not GraphQL, or no operations.

    How long and how deep it may be has to be looked at before (``scan``): parsing recurses. ``syntax`` and ``fragments`` are
    there while steps learn and gone afterwards: a tree takes many times the room of its text.
    """

    __slots__ = ("_meant", "asked_again", "digest", "fragments", "operations", "size", "syntax", "text")

    def __init__(self, text: str, digest: str | None = None) -> None:
        self.text = text
        self.digest = digest or digest_of(text)
        self.syntax: DocumentNode | None = _parse(text)
        self.fragments: Mapping[str, FragmentDefinitionNode] = {}
        self.operations: Mapping[str, Operation] = {}
        self.asked_again = False  # since the cache has last looked
        self._take_apart(self.syntax)
        self._meant: dict[str | None, Operation] = {}  # by an operationName
        self._meant.update(self.operations.items())
        if len(self.operations) == 1:
            self._meant[None] = self._meant[""] = next(iter(self.operations.values()))
        self.size = len(text) + _DOCUMENT_SIZE + _OPERATION_SIZE * len(self.operations)

    def _take_apart(self, syntax: DocumentNode) -> None:
        """Tell operations and fragments apart. Which of two with one name is meant, nobody can tell: both are refused."""
        nodes: list[OperationDefinitionNode] = []
        fragments: dict[str, FragmentDefinitionNode] = {}
        for node in syntax.definitions:
            if isinstance(node, OperationDefinitionNode):
                nodes.append(node)
            elif not isinstance(node, FragmentDefinitionNode):
                raise _invalid("Only operations and fragments can be executed")
            elif node.name.value in fragments:
                raise _invalid(f"There is more than one fragment {node.name.value}")
            else:
                fragments[node.name.value] = node
        known = count_fragments(fragments)
        operations: dict[str, Operation] = {}
        for one in nodes:
            operation = Operation(self, one, count_operation(one, known))
            if operation.name in operations or (len(nodes) > 1 and not operation.name):
                raise _invalid("Each of several operations needs a name of its own")
            operations[operation.name] = operation
        self.operations, self.fragments = operations, fragments

    def __repr__(self) -> str:
        return f"<Document {self.digest[:12]} operations={len(self.operations)}>"

    def forget(self) -> None:
        """Let the tree go: everybody has learned of it what there is to know."""
        self.syntax = None
        self.fragments = {}
        for operation in self.operations.values():
            operation.node = None

    def operation(self, name: str | None) -> Operation:
        """Return the operation that is meant (GraphQL section 6.1, GetOperation); raises Refused."""
        found = self._meant.get(name)
        if found is None:
            raise Refused(
                400, "OPERATION_RESOLUTION_FAILURE", "operationName must name one of the operations"
            )
        return found


def _parse(text: str) -> DocumentNode:
    try:
        return parse(text, no_location=True)
    except (GraphQLError, RecursionError) as error:
        raise Refused(400, "GRAPHQL_PARSE_FAILED", *_told(error)) from None


def _told(error: Exception) -> tuple[str, dict[str, Any]]:
    """Return what a client is told of an error of syntax, with its place but without the text around it."""
    if not isinstance(error, GraphQLError):
        return "Syntax Error: the document is nested too deeply", {}
    places = [{"line": one.line, "column": one.column} for one in error.locations or ()]
    return error.message, {"locations": places} if places else {}


def _invalid(message: str) -> Refused:
    return Refused(400, "GRAPHQL_VALIDATION_FAILED", message)
