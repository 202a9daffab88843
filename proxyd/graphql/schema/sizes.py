"""How long a list will be: what a slicing argument says, whether it stands in the document or comes in a variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLInputObjectType,
    ObjectValueNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)

from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphql import ArgumentNode, VariableDefinitionNode

    from proxyd.graphql.schema.weights import ListSize, Weighed

    Reader = Callable[[Mapping[str, Any]], Any]

UNCLEAR = Refused(
    400,
    "LIST_SIZE_UNCLEAR",
    "A list has to be limited by exactly one of the arguments that say how long it is to be",
)
_DIGITS = 18  # of a number that is a text

NOTHING = object()  # a value that is not given, which is not the same as null


def size_of(
    weighed: Weighed,
    nodes: Sequence[ArgumentNode],
    defaults: Mapping[str, Any],
    usual: int,
) -> float | Reader:
    """Return how long a field's list is, or what tells it from the variables; raises Refused where that is not clear.

    ``defaults`` are those of the operation's variables. A number below zero is taken as none: what a backend makes of it
    cannot be known.
    """
    size = weighed.size
    if size is None:
        return usual
    fallback = usual if size.assumed_size is None else size.assumed_size
    if not size.slicing_arguments:
        return fallback
    given = {node.name.value: node.value for node in nodes}
    fixed: list[Any] = []
    readers: list[Reader] = []
    for path in size.slicing_arguments:
        name, *rest = path.split(".")
        known = weighed.arguments.get(name)
        if known is None:
            continue
        found = _read(given.get(name, NOTHING), known[0], rest, defaults)
        if callable(found):
            readers.append(found)
        else:
            fixed.append(found)
    if not readers:
        return longest(fixed, fallback, size)
    if len(readers) == 1 and not [one for one in fixed if one is not None and one is not NOTHING]:
        return _only(readers[0], fallback, size)
    return lambda variables: longest([*fixed, *(read(variables) for read in readers)], fallback, size)


def _only(read: Reader, fallback: int, size: ListSize) -> Reader:
    """Return what tells a size from one argument alone, the common case."""

    def tell(variables: Mapping[str, Any]) -> Any:
        value = read(variables)
        if type(value) is int and value >= 0:
            return value
        return longest([value], fallback, size)

    return tell


def longest(values: Sequence[Any], fallback: int, size: ListSize) -> float:
    """Return the largest of what arguments say; raises Refused where more than one says something, or none, and one has to."""
    given = [value for value in values if value is not None and value is not NOTHING]
    if size.require_one_slicing_argument and len(given) != 1:
        raise UNCLEAR.again()
    return max((_count(value, fallback) for value in given), default=fallback)


def _count(value: Any, fallback: int) -> float:
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str) and len(value) <= _DIGITS and value.isascii() and value.isdigit():
        value = int(value)  # some backends are not strict
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return fallback
    return value


def _read(node: Any, known: Any, rest: list[str], defaults: Mapping[str, Any]) -> Any:
    """Return a value in the document, or what reads it from the variables."""
    if node is NOTHING:
        return _follow(default_of(known), known.type, rest)
    if isinstance(node, VariableNode):
        name = node.name.value
        return _reader(name, defaults.get(name, default_of(known)), known.type, rest)
    if rest and isinstance(node, ObjectValueNode):
        kind = get_named_type(known.type)
        field = kind.fields.get(rest[0]) if isinstance(kind, GraphQLInputObjectType) else None
        if field is None:
            return None
        inner = next((one.value for one in node.fields if one.name.value == rest[0]), NOTHING)
        return _read(inner, field, rest[1:], defaults)
    if not rest and hasattr(node, "values"):
        return [None] * len(node.values)
    return _follow(value_from_ast_untyped(node, {}), known.type, rest)


def _reader(name: str, otherwise: Any, kind: Any, rest: list[str]) -> Reader:
    """Return what reads a value out of a variable."""
    if not rest:
        return lambda variables: variables.get(name, otherwise)
    return lambda variables: _follow(variables.get(name, otherwise), kind, rest)


def _follow(value: Any, kind: Any, rest: Sequence[str]) -> Any:
    """Follow a path into a value, with the defaults of input fields."""
    for name in rest:
        named = get_named_type(kind)
        field = named.fields.get(name) if isinstance(named, GraphQLInputObjectType) else None
        if field is None or not isinstance(value, dict):
            return None
        value = value.get(name, NOTHING)
        if value is NOTHING:
            value = default_of(field)
        kind = field.type
    return value


def default_of(known: Any) -> Any:
    """Return the default of an argument or an input field."""
    default = known.default
    if default is None:
        return NOTHING
    return default.value if default.literal is None else value_from_ast_untyped(default.literal, {})


def defaults_of(nodes: Sequence[VariableDefinitionNode]) -> dict[str, Any]:
    """Return the defaults of an operation's variables."""
    return {
        node.variable.name.value: value_from_ast_untyped(node.default_value, {})
        for node in nodes
        if node.default_value is not None
    }
