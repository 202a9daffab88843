"""Validation of documents against a schema, at the edge: once for each, bounded, and telling nothing of the schema.

graphql-core finds what is wrong; a client is told so in sentences of our own, out of what it wrote itself. Its messages
name types that the client has not named, and what it may have meant.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    NamedTypeNode,
    NameNode,
    ObjectFieldNode,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
    specified_rules,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from pydantic import Field

from proxyd import plugin
from proxyd.graphql.refusal import Refused
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from graphql import ASTValidationRule, GraphQLSchema, Node

    from proxyd.graphql.document import Document
    from proxyd.graphql.schema.source import Schema

CODE = "GRAPHQL_VALIDATION_FAILED"
MAX_NAME = 64  # characters of a client's own name that it is told


class Config(plugin.Config):
    """Validation of documents, where the schema is known."""

    max_errors: int = Field(10, gt=0, le=100)
    """After how many errors a document is not looked at any further."""
    max_work: int = Field(20_000, gt=0, le=500_000)
    """How much may be compared to find fields that cannot be merged; a field that stands n times in one selection takes n²."""


# What a client is told, by the rule that it has broken; {} is the name that it wrote itself.
_SENTENCES = {
    "ExecutableDefinitionsRule": "Only operations and fragments can be executed",
    "KnownOperationTypesRule": "This type of operation is not supported",
    "UniqueOperationNamesRule": "There is more than one operation{}",
    "LoneAnonymousOperationRule": "An anonymous operation must be the only one",
    "SingleFieldSubscriptionsRule": "A subscription must have exactly one root field, and no introspection",
    "KnownTypeNamesRule": "There is no type{}",
    "FragmentsOnCompositeTypesRule": "A fragment is on a type that has no fields",
    "VariablesAreInputTypesRule": "The variable{} is not of an input type",
    "ScalarLeafsRule": "The field{} must have a selection of fields, or must have none",
    "FieldsOnCorrectTypeRule": "There is no field{} here",
    "UniqueFragmentNamesRule": "There is more than one fragment{}",
    "KnownFragmentNamesRule": "There is no fragment{}",
    "NoUnusedFragmentsRule": "The fragment{} is not used",
    "PossibleFragmentSpreadsRule": "The fragment{} can never apply here",
    "NoFragmentCyclesRule": "The fragment{} spreads itself",
    "UniqueVariableNamesRule": "There is more than one variable{}",
    "NoUndefinedVariablesRule": "The variable{} is not defined",
    "NoUnusedVariablesRule": "The variable{} is not used",
    "KnownDirectivesRule": "There is no directive{} here",
    "UniqueDirectivesPerLocationRule": "The directive{} can be given only once here",
    "DeferStreamDirectiveOnRootField": "The directive{} cannot be given on this root field",
    "DeferStreamDirectiveOnValidOperationsRule": "The directive{} cannot be given in a subscription",
    "DeferStreamDirectiveLabel": "The label of the directive{} must be a text, and unique",
    "StreamDirectiveOnListField": "The directive{} can be given on lists only",
    "KnownArgumentNamesRule": "There is no argument{} here",
    "UniqueArgumentNamesRule": "There is more than one argument{}",
    "ValuesOfCorrectTypeRule": "A value is not of the type that is expected{}",
    "ProvidedRequiredArgumentsRule": "An argument that{} requires is missing",
    "VariablesInAllowedPositionRule": "The variable{} is not of the type that is expected where it stands",
    "OverlappingFieldsCanBeMergedRule": "Two fields{} of the same selection cannot be merged: use different aliases",
    "UniqueInputFieldNamesRule": "There is more than one input field{}",
    "MaxIntrospectionDepthRule": "Introspection is nested too deeply",
}
_NAMED = (
    FieldNode,
    ArgumentNode,
    DirectiveNode,
    ObjectFieldNode,
    FragmentSpreadNode,
    NamedTypeNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
)
INCOMPLETE = "The document takes too much work to validate"


def _named(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    """Return a rule whose errors tell which it is."""
    name = rule.__name__

    class Named(rule):  # type: ignore[misc, valid-type]
        """The rule, with a context of its own to report to, which shares what the others have found out."""

        def __init__(self, context: Any) -> None:
            own = copy.copy(context)

            def report_error(error: GraphQLError) -> None:
                error.extensions = {"rule": name}
                context.report_error(error)

            own.report_error = report_error
            super().__init__(own)

    return Named


_RULES = tuple(_named(rule) for rule in specified_rules)


class Validation(Step):
    """The step that refuses documents that are not valid; ``schema`` is looked at as each is learned."""

    def __init__(self, schema: Schema, config: Config) -> None:
        self._schema = schema
        self._max_errors = config.max_errors
        self._max_work = config.max_work

    def __repr__(self) -> str:
        return f"<Validation {self._schema!r}>"

    def learn(self, document: Document) -> None:
        """Validate it; raises Refused with what is wrong."""
        errors = problems(self._schema.known().graph, document, self._max_errors, self._max_work)
        if errors:
            raise Refused(400, CODE, errors[0]["message"], errors=errors)


def problems(
    graph: GraphQLSchema, document: Document, max_errors: int, max_work: int = 20_000
) -> list[dict[str, Any]]:
    """Return what is wrong with a document, as a response lists it."""
    assert document.syntax is not None  # noqa: S101  # it is there while steps learn
    overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = max_work  # read as a validation begins
    try:
        found = validate(graph, document.syntax, _RULES, max_errors, hide_suggestions=True)
    except RecursionError:
        found = [GraphQLError(INCOMPLETE)]
    told = dict.fromkeys(_sentence(error) for error in found)
    if len(told) > 1:  # who is told what is wrong need not be told that there may be more
        told.pop(INCOMPLETE, None)
    return [{"message": sentence, "extensions": {"code": CODE}} for sentence in told]


def _sentence(error: GraphQLError) -> str:
    """Say what an error is about in words that tell nothing of the schema."""
    rule = (error.extensions or {}).get("rule", "")
    sentence = _SENTENCES.get(rule)
    if sentence is None:
        return INCOMPLETE
    name = _written(error.nodes[0]) if error.nodes else ""
    return sentence.format(f" '{name[:MAX_NAME]}'" if name else "")


def _written(node: Node) -> str:
    """Return the name of a node, which is the client's own text."""
    if isinstance(node, NameNode):
        return node.value
    if isinstance(node, VariableNode | VariableDefinitionNode):
        return f"${(node.variable if isinstance(node, VariableDefinitionNode) else node).name.value}"
    name = node.name if isinstance(node, _NAMED) else None
    return name.value if name is not None else ""
