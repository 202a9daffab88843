"""The cost of an operation, computed along its selections; each fragment is looked at once.

A field costs what it weighs and what is selected of it, as often as its list is long, and what its arguments weigh. What
is selected is added up: fields of the same name are not merged, types that exclude one another are not told apart, and
``@skip`` and ``@include`` are not looked at. So a cost is never lower than the specification's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, VariableNode, type_from_ast

from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema import coordinates
from proxyd.graphql.schema.price import Nodes, Price, Sum
from proxyd.graphql.schema.sizes import defaults_of, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql import ArgumentNode, SelectionSetNode, ValueNode

    from proxyd.graphql.document import Operation
    from proxyd.graphql.schema.price import Slot
    from proxyd.graphql.schema.weights import Table, Weighed


MOST_WORK = 10_000  # selections that are looked at for one document, whose operations each look at the fragments they use
TOO_MUCH = Refused(400, "COST_UNCLEAR", "The document takes too much work to tell what its operations cost")


class Work:
    """What is left to be done for one document."""

    def __init__(self, most: int = MOST_WORK) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Do a part of it; raises Refused where it is too much."""
        self._left -= count
        if self._left < 0:
            raise TOO_MUCH.again()


class Selected(NamedTuple):
    """What a selection costs: ``fixed``, and lists that the field around it may size, by name.

    Of each of those, what it costs by itself, and what each of its objects does.
    """

    fixed: Sum
    lists: dict[str, tuple[Sum, Sum]]


class Estimate:
    """The cost of one operation of a valid document, whose variables have types and defaults of their own."""

    def __init__(self, table: Table, operation: Operation, work: Work | None = None) -> None:
        assert operation.node is not None  # noqa: S101  # it is there while steps learn
        self._table = table
        self._graph = table.graph
        self._operation = operation
        self._node = operation.node
        self._work = work or Work()
        self._nodes = Nodes()
        self._fragments: dict[str, Selected] = {}
        definitions = self._node.variable_definitions or ()
        self._defaults = defaults_of(definitions)
        self._types = {
            node.variable.name.value: type_from_ast(self._graph, node.type) for node in definitions
        }
        self._given: dict[str, Sum] = {}

    def price(self) -> Price:
        """Return it; raises Refused where a list's size is not clear."""
        node = self._node
        selected = self._select(node.selection_set, self._graph.get_root_type(node.operation))
        total = self._whole(selected)
        if self._operation.type == "mutation":
            total.add(Sum(self._table.config.mutation))
        return Price(total, self._nodes)

    def _whole(self, selected: Selected) -> Sum:
        total = Sum()
        total.add(selected.fixed)
        for own, _ in selected.lists.values():
            total.add(own)
        return total

    def _select(self, selections: SelectionSetNode, parent: Any) -> Selected:
        found = Selected(Sum(), {})
        self._work.take(len(selections.selections))
        for node in selections.selections:
            if isinstance(node, FieldNode):
                self._add_field(found, node, parent)
            elif isinstance(node, FragmentSpreadNode):
                _merge(found, self._fragment(node.name.value))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = type_from_ast(self._graph, condition) if condition is not None else parent
                _merge(found, self._select(node.selection_set, inner))
        return found

    def _fragment(self, name: str) -> Selected:
        made = self._fragments.get(name)
        if made is None:
            node = self._operation.document.fragments[name]
            inner = self._select(node.selection_set, type_from_ast(self._graph, node.type_condition))
            seal = self._nodes.seal
            made = self._fragments[name] = Selected(
                seal(inner.fixed), {one: (seal(own), seal(each)) for one, (own, each) in inner.lists.items()}
            )
        return made

    def _add_field(self, found: Selected, node: FieldNode, parent: Any) -> None:
        name = node.name.value
        if name == "__typename":
            return
        weighed = self._table.field(parent, name)
        each = Sum(weighed.weight)
        size: float | Slot = 1
        if weighed.is_list or weighed.size is not None:
            size = size_of(
                weighed, node.arguments or (), self._defaults, self._table.config.default_list_size
            )
        sized = weighed.size.sized_fields if weighed.size is not None else ()
        if node.selection_set is not None:
            inner = self._select(node.selection_set, weighed.kind)
            each.add(inner.fixed)
            for one, (own, per) in inner.lists.items():
                each.add(self._times(size, per) if one in sized else own)
        own = self._times(1 if sized or not weighed.is_list else size, each)
        self._add_arguments(found.fixed, node.arguments or (), weighed)
        if weighed.is_list and name in self._table.sizable:
            before = found.lists.setdefault(name, (Sum(), Sum()))
            before[0].add(own)
            before[1].add(each)
        else:
            found.fixed.add(own)

    def _times(self, size: float | Slot, inner: Sum) -> Sum:
        if callable(size):
            return self._nodes.times(size, inner)
        total = Sum()
        total.add(inner, size)
        return total

    # --- what is given ---------------------------------------------------------------------------------------

    def _add_arguments(self, total: Sum, nodes: Sequence[ArgumentNode], weighed: Weighed) -> None:
        for node in nodes:
            known = weighed.arguments.get(node.name.value)
            if known is None:
                continue
            argument, weight = known
            total.add(Sum(weight))
            total.add(Sum(self._weigh(coordinates.literal(node.value, argument.type))))
            for name in _variables(node.value):
                total.add(self._variable(name))

    def _weigh(self, found: Any) -> float:
        weight = self._table.weight
        return sum(weight(one) for one in found)

    def _variable(self, name: str) -> Sum:
        """Return what a variable's value weighs: nothing, unless its type holds something that does."""
        made = self._given.get(name)
        if made is None:
            kind, default = self._types.get(name), self._defaults.get(name)
            weighs = kind is not None and self._weigh(coordinates.reachable(kind))

            def slot(variables: Mapping[str, Any]) -> float:
                return self._weigh(coordinates.supplied(variables.get(name, default), kind))

            made = self._given[name] = self._nodes.times(slot, Sum(1)) if weighs else Sum()
        return made


def _merge(found: Selected, other: Selected) -> None:
    found.fixed.add(other.fixed)
    for name, (own, each) in other.lists.items():
        before = found.lists.setdefault(name, (Sum(), Sum()))
        before[0].add(own)
        before[1].add(each)


def _variables(value: ValueNode) -> list[str]:
    """Return the variables in a value, as often as they stand there."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, VariableNode):
            found.append(node.name.value)
        else:
            waiting.extend(getattr(node, "values", None) or ())
            waiting.extend(field.value for field in getattr(node, "fields", None) or ())
    return found
