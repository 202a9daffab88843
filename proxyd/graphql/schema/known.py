"""A schema, out of a file or of an answer to introspection: built once for each text, and never changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DirectiveDefinitionNode,
    DirectiveNode,
    FloatValueNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    IntValueNode,
    Visitor,
    build_ast_schema,
    build_client_schema,
    concat_ast,
    parse,
    validate_schema,
    visit,
)
from graphql.validation.validate import validate_sdl

from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphql import DocumentNode

MAX_SDL = 16 * 1024 * 1024  # characters
_SHOWN = 5  # errors that are told, of many

# The directives of the cost specification, for files that use them and leave it to the server to define them.
_LIST_SIZE = """
    directive @listSize(
        assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: Boolean = true
    ) on FIELD_DEFINITION
"""
_COST = """
    directive @cost(weight: {kind}!) on
        ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | INPUT_FIELD_DEFINITION | INTERFACE | OBJECT | SCALAR | UNION | INPUT_OBJECT
"""


class SchemaError(ProxydError):
    """A text is no schema; says where in it, and why."""


class Known:
    """A schema; ``digest`` tells it from others."""

    __slots__ = ("__weakref__", "digest", "graph")

    def __init__(self, graph: GraphQLSchema, digest: str) -> None:
        self.graph = graph
        self.digest = digest

    def __repr__(self) -> str:
        return f"<Known {self.digest[:12]} types={len(self.graph.type_map)}>"


# Those that somebody uses, by their texts: several instances of a plugin name the same one, and most reloads leave it as it
# was. Building one takes a second where it is large, and it takes a hundred times the room of its text.
_used: WeakValueDictionary[bytes, Known] = WeakValueDictionary()


def from_sdl(text: str, name: str) -> Known:
    """Build a schema of the text of a file; raises SchemaError, which names line and column in it."""
    key = hashlib.sha256(b"sdl" + text.encode("utf-8", "surrogatepass")).digest()
    known = _used.get(key)
    if known is None:
        known = _used[key] = _from_sdl(text, name)
    return known


def from_introspection(text: bytes) -> Known:
    """Build a schema of an answer to introspection, a JSON text; raises SchemaError."""
    key = hashlib.sha256(text).digest()
    known = _used.get(key)
    if known is None:
        known = _used[key] = _from_introspection(text)
    return known


def _from_sdl(text: str, name: str) -> Known:
    if len(text) > MAX_SDL:
        raise SchemaError(f"{name} is larger than {MAX_SDL} characters")
    try:
        document = parse(text)
    except GraphQLSyntaxError as error:
        raise SchemaError(_told([error], name)) from None
    except RecursionError:
        raise SchemaError(f"{name} is nested too deeply") from None
    document = _with_cost_directives(document)
    try:
        errors: Sequence[GraphQLError] = validate_sdl(document)
        if not errors:
            graph = build_ast_schema(document, assume_valid_sdl=True)
            errors = validate_schema(graph)
    except (GraphQLError, TypeError, ValueError, KeyError) as error:
        raise SchemaError(f"{name}: {error}") from None
    if errors:
        raise SchemaError(_told(errors, name))
    return Known(graph, _digest(text))


def _from_introspection(text: bytes) -> Known:
    try:
        answer: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise SchemaError("the answer is not JSON") from None
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict) or answer.get("errors"):
        raise SchemaError("the answer holds no schema")
    try:
        graph = build_client_schema(answer["data"])
        errors = validate_schema(graph)
    except (GraphQLError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise SchemaError(f"the answer is no schema: {str(error)[:200]}") from None
    if errors:
        raise SchemaError(f"the schema is not valid: {errors[0].message}")
    return Known(graph, _digest(orjson.dumps(answer["data"], option=orjson.OPT_SORT_KEYS).decode()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _told(errors: Sequence[GraphQLError], name: str) -> str:
    lines = [
        f"{_place(error, name)}: {error.message.removeprefix('Syntax Error: ')}" for error in errors[:_SHOWN]
    ]
    if len(errors) > _SHOWN:
        lines.append(f"and {len(errors) - _SHOWN} more")
    return "; ".join(lines)


def _place(error: GraphQLError, name: str) -> str:
    where = error.locations[0] if error.locations else None
    return f"{name}:{where.line}:{where.column}" if where is not None else name


class _Directives(Visitor):
    """Which directives a file defines, and how it writes the weights of those that it only uses."""

    def __init__(self) -> None:
        super().__init__()
        self.defined: set[str] = set()
        self.used: dict[str, str] = {}

    def enter_directive_definition(self, node: DirectiveDefinitionNode, *_: Any) -> None:
        self.defined.add(node.name.value)

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        kind = "String"
        for argument in node.arguments or ():
            if isinstance(argument.value, IntValueNode):
                kind = "Int"
            elif isinstance(argument.value, FloatValueNode):
                kind = "Float"
        known = self.used.get(node.name.value, kind)
        self.used[node.name.value] = kind if known in {kind, "Int"} else known


def _with_cost_directives(document: DocumentNode) -> DocumentNode:
    found = _Directives()
    visit(document, found)
    missing = ""
    if "cost" in found.used and "cost" not in found.defined:
        missing += _COST.format(kind=found.used["cost"])
    if "listSize" in found.used and "listSize" not in found.defined:
        missing += _LIST_SIZE
    return concat_ast([document, parse(missing, no_location=True)]) if missing else document
