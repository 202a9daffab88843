"""What fields, types and arguments weigh, and how long lists are: from the schema's directives, and from the configuration.

The directives are those of IBM's cost specification, ``@cost`` and ``@listSize``, as other servers have them too. What
the configuration says of a coordinate goes before them. A field that is selected through an interface weighs as much as
the heaviest of those that it may be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from graphql import (
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    value_from_ast_untyped,
)
from pydantic import Field

from proxyd import plugin
from proxyd.graphql.schema.coordinates import EXACT, Relatives
from proxyd.graphql.schema.price import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import GraphQLSchema


class ListSize(plugin.Config):
    """How long a list is, as ``@listSize`` says it."""

    assumed_size: int | None = Field(None, ge=0)
    """How long, where no argument says it."""
    slicing_arguments: tuple[str, ...] = ()
    """Arguments that say how long: numbers, or lists that are as long; a path leads into an input object (``page.first``)."""
    sized_fields: tuple[str, ...] = ()
    """Fields of the returned object that are the list, as ``edges`` and ``nodes`` of a connection."""
    require_one_slicing_argument: bool = True
    """Whether exactly one of the slicing arguments has to be given."""


Weight = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


class Weights(plugin.Config):
    """Where weights come from."""

    default_list_size: int = Field(10, ge=0)
    """How long lists are of which nothing is said."""
    object: Weight = 1
    """What a field weighs that returns an object, an interface or a union, or a list of them, for each."""
    scalar: Weight = 0
    """What a field weighs that returns a scalar or an enum."""
    mutation: Weight = 10
    """What a mutation weighs beside its fields."""
    weights: dict[Annotated[str, Field(pattern=EXACT)], Weight] = Field(default_factory=dict)
    """Weights of fields, types, arguments, input fields and enum values, by their coordinates, before those of @cost."""
    list_sizes: dict[Annotated[str, Field(pattern=EXACT)], ListSize] = Field(default_factory=dict)
    """Sizes of the lists of fields, by their coordinates, before those of @listSize."""


class Table:
    """The weights of one schema; raises ValueError for a directive that is wrong."""

    def __init__(self, graph: GraphQLSchema, config: Weights) -> None:
        self.graph = graph
        self.config = config
        self._relatives = Relatives(graph)
        self._weights: dict[str, float] = {}
        self._sizes: dict[str, ListSize] = {}
        self._made: dict[tuple[str, str], Weighed] = {}
        for coordinate, node in _nodes(graph):
            self._read(coordinate, node)
        self._weights.update(config.weights)
        self._sizes.update(config.list_sizes)
        self.sizable = {name for size in self._sizes.values() for name in size.sized_fields}
        """Names of fields whose lists another field may size."""

    def __repr__(self) -> str:
        return f"<Table weights={len(self._weights)} sizes={len(self._sizes)}>"

    def _read(self, coordinate: str, node: Any) -> None:
        for directive in node.directives or ():
            given = {one.name.value: value_from_ast_untyped(one.value) for one in directive.arguments or ()}
            if directive.name.value == "cost" and "weight" in given:
                self._weights[coordinate] = _number(given["weight"], coordinate)
            elif directive.name.value == "listSize":
                self._sizes[coordinate] = ListSize(
                    assumed_size=given.get("assumedSize"),
                    slicing_arguments=_texts(given.get("slicingArguments")),
                    sized_fields=_texts(given.get("sizedFields")),
                    require_one_slicing_argument=given.get("requireOneSlicingArgument") is not False,
                )

    def weight(self, coordinate: str) -> float:
        """Return the weight of an argument, an input field, an input type or an enum value; 0 where nothing is said."""
        return self._weights.get(coordinate, 0)

    def field(self, parent: Any, name: str) -> Weighed:
        """Return what is known of a field; the schema must have it."""
        made = self._made.get((parent.name, name))
        if made is None:
            made = self._made[parent.name, name] = Weighed(self, parent, name)
        return made

    def owners(self, parent: Any, name: str) -> list[Any]:
        """Return the types whose field it may be: its own first, then those that may stand for it."""
        return [owner for owner in self._relatives.of(parent) if name in getattr(owner, "fields", ())]

    def of_field(self, parent: Any, name: str, kind: Any) -> float:
        """Return the weight of a field."""
        found = [self._weights.get(f"{owner.name}.{name}") for owner in self.owners(parent, name)]
        if not is_abstract_type(parent) and found and found[0] is not None:
            return found[0]
        given = [one for one in found if one is not None]
        usual = self._of_type(kind)
        return max(given) if given and all(one is not None for one in found) else max([*given, usual])

    def _of_type(self, kind: Any) -> float:
        if is_leaf_type(kind):
            return self._weights.get(kind.name, self.config.scalar)
        own = self._weights.get(kind.name)
        if own is not None or not is_abstract_type(kind):
            return self.config.object if own is None else own
        return max(
            (self._of_type(one) for one in self.graph.get_possible_types(kind)), default=self.config.object
        )

    def size(self, parent: Any, name: str) -> ListSize | None:
        """Return what is said of a field's list."""
        sizes = [self._sizes.get(f"{owner.name}.{name}") for owner in self.owners(parent, name)]
        if sizes and sizes[0] is not None:
            return sizes[0]
        usual = self.config.default_list_size
        return max(
            (one for one in sizes if one is not None),
            key=lambda one: usual if one.assumed_size is None else one.assumed_size,
            default=None,
        )


class Weighed:
    """What is known of one field."""

    __slots__ = ("arguments", "is_list", "kind", "size", "weight")

    def __init__(self, table: Table, parent: Any, name: str) -> None:
        field = table.graph.get_field(parent, name)
        assert field is not None  # noqa: S101  # the document is valid
        self.kind: Any = get_named_type(field.type)
        self.is_list: bool = is_list_type(get_nullable_type(field.type))
        self.weight = table.of_field(parent, name, self.kind)
        self.size = table.size(parent, name)
        owners = table.owners(parent, name)
        self.arguments: dict[str, tuple[Any, float]] = {
            argument: (
                known,
                max((table.weight(f"{owner.name}.{name}({argument}:)") for owner in owners), default=0),
            )
            for argument, known in field.args.items()
        }


def _nodes(graph: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Iterate over what a schema's file says, by coordinate."""
    for kind in graph.type_map.values():
        if kind.ast_node is None and not kind.extension_ast_nodes:
            continue  # it was introspected, or is built in
        for node in (kind.ast_node, *(kind.extension_ast_nodes or ())):
            if node is not None:
                yield kind.name, node
        members: Mapping[str, Any] = getattr(kind, "fields", None) or getattr(kind, "values", None) or {}
        for name, member in members.items():
            if member.ast_node is not None:
                yield f"{kind.name}.{name}", member.ast_node
            for argument, known in getattr(member, "args", {}).items():
                if known.ast_node is not None:
                    yield f"{kind.name}.{name}({argument}:)", known.ast_node


def _number(value: Any, coordinate: str) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = -1.0
    if not (0 <= weight <= MOST) or math.isnan(weight):
        raise ValueError(f"the weight of {coordinate} must be a number that is not negative")
    return int(weight) if weight.is_integer() else weight


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
