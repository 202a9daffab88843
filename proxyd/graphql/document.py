"""A document and its operations: parsed once for each text, with everything known of it that depends on nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
)

from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping


class Operation:
    """One operation of a document.

    ``verdict`` is what ``examiner`` steps refuse it with whatever its variables and whoever asks, decided once.
    """

    __slots__ = ("document", "name", "node", "type", "verdict")

    def __init__(self, document: Document, node: OperationDefinitionNode) -> None:
        self.document = document
        self.node = node
        self.name = node.name.value if node.name is not None else ""
        self.type: str = node.operation.value
        self.verdict: Refused | None = None

    def __repr__(self) -> str:
        return f"<Operation {self.type} {self.name or 'anonymous'}>"


class Document:
    """A text with its operations and fragments; raises Refused where it is not GraphQL, or too long in tokens."""

    __slots__ = ("digest", "fragments", "operations", "syntax", "text")

    def __init__(self, text: str, max_tokens: int | None = None) -> None:
        self.text = text
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            self.syntax: DocumentNode = parse(text, no_location=True, max_tokens=max_tokens)
        except GraphQLSyntaxError as error:
            raise Refused(400, "GRAPHQL_PARSE_FAILED", error.message, {"locations": []}) from None
        except (GraphQLError, RecursionError):
            raise Refused(400, "GRAPHQL_PARSE_FAILED", "The document is nested too deeply") from None
        self.operations: Mapping[str, Operation] = {}
        self.fragments: Mapping[str, FragmentDefinitionNode] = {}
        operations: dict[str, Operation] = {}
        fragments: dict[str, FragmentDefinitionNode] = {}
        for node in self.syntax.definitions:
            if isinstance(node, OperationDefinitionNode):
                operation = Operation(self, node)
                operations[operation.name] = operation
            elif isinstance(node, FragmentDefinitionNode):
                fragments[node.name.value] = node
        self.operations, self.fragments = operations, fragments

    def __repr__(self) -> str:
        return f"<Document {self.digest[:12]} operations={len(self.operations)}>"

    def operation(self, name: str | None) -> Operation:
        """Return the operation that is meant (GraphQL section 6.1, GetOperation); raises Refused."""
        operations = self.operations
        if name:
            found = operations.get(name)
        else:
            found = next(iter(operations.values())) if len(operations) == 1 else None
        if found is None:
            raise Refused(
                400, "OPERATION_RESOLUTION_FAILURE", "operationName must name one of the operations"
            )
        return found
