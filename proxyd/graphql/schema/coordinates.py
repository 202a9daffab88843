"""Schema coordinates, and which of them a document uses: ``User``, ``User.email``, ``Query.user(id:)``, ``Status.CLOSED``.

Who selects a field through an interface may get it of each type that implements it, and who selects it of a type gets
what the interface promises: so one field stands for several coordinates. The same goes for types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from graphql import (
    EnumValueNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    ListValueNode,
    ObjectValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import ArgumentNode, GraphQLArgument, GraphQLNamedType, GraphQLSchema, ValueNode

NAME: Final = r"[_A-Za-z][_0-9A-Za-z]*"
PATTERN: Final = rf"^{NAME}(\.(\*|{NAME}(\({NAME}:\))?))?$"
EXACT: Final = rf"^{NAME}(\.{NAME}(\({NAME}:\))?)?$"
_PARTS: Final = re.compile(rf"({NAME})(?:\.(?:(\*)|({NAME})(?:\(({NAME}):\))?))?")


def exists(coordinate: str, graph: GraphQLSchema) -> bool:
    """Tell whether a schema has what a coordinate names."""
    match = _PARTS.fullmatch(coordinate)
    if match is None:
        return False
    owner, every, member, argument = match.groups()
    kind = graph.type_map.get(owner)
    members: Any = getattr(kind, "values" if isinstance(kind, GraphQLEnumType) else "fields", {})
    if member is None:
        return kind is not None and (every is None or bool(members))
    return member in members and (argument is None or argument in getattr(members[member], "args", {}))


class Relatives:
    """Whose fields a field stands for, by the type that it is selected of; each found once."""

    def __init__(self, graph: GraphQLSchema) -> None:
        self._graph = graph
        self._made: dict[str, tuple[Any, ...]] = {}

    def of(self, parent: Any) -> tuple[Any, ...]:
        """Return a type itself, the types that its objects may be of, and the interfaces of all of them."""
        made = self._made.get(parent.name)
        if made is None:
            found: dict[str, Any] = {parent.name: parent}
            objects: tuple[Any, ...] = (parent,)
            if is_abstract_type(parent):
                objects = tuple(self._graph.get_possible_types(parent))
                if isinstance(parent, GraphQLInterfaceType):
                    objects += tuple(self._graph.get_implementations(parent).interfaces)
            for one in (parent, *objects):
                found[one.name] = one
                for interface in getattr(one, "interfaces", ()):
                    found[interface.name] = interface
            made = self._made[parent.name] = tuple(found.values())
        return made

    def selected(self, parent: Any, node: FieldNode) -> Iterator[str]:
        """Iterate over the coordinates that a field stands for, without those of its arguments.

        ``__typename`` of an interface or union tells no more than a name: it does not stand for the types themselves.
        """
        name = node.name.value
        if name == "__typename":
            yield parent.name
            for interface in getattr(parent, "interfaces", ()):
                yield interface.name
            return
        for owner in self.of(parent):
            yield owner.name
            if name in getattr(owner, "fields", ()):
                yield f"{owner.name}.{name}"
        field = self._graph.get_field(parent, name)
        if field is not None:
            kind = get_named_type(field.type)
            if is_leaf_type(kind):
                yield kind.name

    def given(self, parent: Any, node: FieldNode) -> Iterator[str]:
        """Iterate over the coordinates of a field's arguments, and of what is in them."""
        if not node.arguments:
            return
        name = node.name.value
        field = self._graph.get_field(parent, name)
        owners = [owner.name for owner in self.of(parent) if name in getattr(owner, "fields", ())]
        for argument in node.arguments:
            for owner in owners:
                yield f"{owner}.{name}({argument.name.value}:)"
        yield from arguments(node.arguments, field.args if field is not None else {})


def arguments(nodes: tuple[ArgumentNode, ...], known: dict[str, GraphQLArgument]) -> Iterator[str]:
    """Iterate over the coordinates in the values of arguments."""
    for node in nodes:
        argument = known.get(node.name.value)
        if argument is not None:
            yield from literal(node.value, argument.type)


def literal(value: ValueNode, kind: Any) -> Iterator[str]:
    """Iterate over the coordinates of input that stands in the document; variables are seen by their types."""
    waiting: list[tuple[ValueNode, Any]] = [(value, kind)]
    while waiting:
        node, kind = waiting.pop()
        if isinstance(node, VariableNode):
            continue
        named = get_named_type(kind)
        yield named.name
        if isinstance(node, ListValueNode):
            waiting.extend((one, kind) for one in node.values)
        elif isinstance(node, EnumValueNode):
            yield f"{named.name}.{node.value}"
        elif isinstance(node, ObjectValueNode) and isinstance(named, GraphQLInputObjectType):
            for member in node.fields:
                yield f"{named.name}.{member.name.value}"
                field = named.fields.get(member.name.value)
                if field is not None:
                    waiting.append((member.value, field.type))


def supplied(value: Any, kind: Any) -> Iterator[str]:
    """Iterate over the coordinates of input that is in a variable's value, whatever the value is."""
    waiting: list[tuple[Any, Any]] = [(value, kind)]
    while waiting:
        one, kind = waiting.pop()
        if one is None:
            continue
        named = get_named_type(kind)
        yield named.name
        if isinstance(one, list):
            waiting.extend((item, kind) for item in one)
        elif isinstance(named, GraphQLEnumType):
            if isinstance(one, str):
                yield f"{named.name}.{one}"
        elif isinstance(one, dict) and isinstance(named, GraphQLInputObjectType):
            for name, member in one.items():
                field = named.fields.get(name)
                if field is not None:
                    yield f"{named.name}.{name}"
                    waiting.append((member, field.type))


def reachable(kind: Any) -> Iterator[str]:
    """Iterate over all coordinates that a value of an input type may hold."""
    waiting: list[GraphQLNamedType] = [get_named_type(kind)]
    seen: set[str] = set()
    while waiting:
        named = waiting.pop()
        if named.name in seen:
            continue
        seen.add(named.name)
        yield named.name
        if isinstance(named, GraphQLEnumType):
            yield from (f"{named.name}.{value}" for value in named.values)
        elif isinstance(named, GraphQLInputObjectType):
            for name, field in named.fields.items():
                yield f"{named.name}.{name}"
                waiting.append(get_named_type(field.type))
