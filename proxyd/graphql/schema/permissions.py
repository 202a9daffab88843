"""Which fields, types, arguments and values are for whom: by coordinate, and by the roles of who asks.

What a document uses of what is not for everybody is found out once, when it is learned. A request then costs a look at
what was decided for these roles; only variables of types that hold something guarded are looked through each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, get_named_type, type_from_ast
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema import coordinates
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql import GraphQLSchema, OperationDefinitionNode, SelectionSetNode

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.roles import Roles
    from proxyd.graphql.schema.source import Schema

_NOTE = "guarded"
_REMEMBERED = 64  # combinations of roles, for each operation


class Rule(plugin.Config):
    """Whom a coordinate is for; one of both."""

    allow: plugin.Listed = None
    """Roles of which one is needed; anonymous stands for callers whom nobody knows."""
    deny: plugin.Listed = None
    """Roles of which none may be there."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("exactly one of allow and deny is needed")
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that it names."""
        return self.allow or self.deny or ()

    def allows(self, roles: frozenset[str]) -> bool:
        """Tell whether it lets a caller with these roles pass."""
        return roles.isdisjoint(self.roles) == (self.allow is None)


Coordinate = Annotated[str, Field(pattern=coordinates.PATTERN)]
Rules = dict[Coordinate, Rule]


class Guarded:
    """What one operation uses that is not for everybody.

    ``rules`` are those that hold for it whatever its variables, each with the name by which the client has asked;
    ``variables`` those whose values decide what else it uses, with their types.
    """

    __slots__ = ("decided", "rules", "variables")

    def __init__(self, rules: Mapping[str, str], variables: tuple[tuple[str, Any], ...]) -> None:
        self.rules = tuple(rules.items())
        self.variables = variables
        self.decided: dict[frozenset[str], Refused | None] = {}


class Permissions(Step):
    """The step that refuses operations which use what is not for their callers."""

    def __init__(self, rules: Mapping[str, Rule], schema: Schema, roles: Roles) -> None:
        self._rules = dict(rules)
        self._schema = schema
        self._roles = roles
        self._relatives: tuple[GraphQLSchema, coordinates.Relatives] | None = None

    def __repr__(self) -> str:
        return f"<Permissions {list(self._rules)}>"

    # --- once for each document ------------------------------------------------------------------------------

    def learn(self, document: Document) -> None:
        """Find out what each operation uses."""
        graph = self._schema.known().graph
        if self._relatives is None or self._relatives[0] is not graph:
            self._relatives = graph, coordinates.Relatives(graph)
        look = _Look(graph, self._relatives[1], self)
        fragments = {
            name: look.at(fragment.selection_set, type_from_ast(graph, fragment.type_condition))
            for name, fragment in document.fragments.items()
        }
        for operation in document.operations.values():
            assert operation.node is not None  # noqa: S101  # it is there while steps learn
            found, spreads = look.at(
                operation.node.selection_set, graph.get_root_type(operation.node.operation)
            )
            look.directives(operation.node, found)
            waiting, seen = list(spreads), set(spreads)
            while waiting:
                more, spreads = fragments[waiting.pop()]
                for rule, written in more.items():
                    found.setdefault(rule, written)
                waiting.extend(spreads - seen)
                seen |= spreads
            variables = self._variables(operation.node, graph, found)
            if found or variables:
                operation.notes[_NOTE] = Guarded(found, variables)

    def governing(self, found: Iterable[str]) -> Iterable[str]:
        """Iterate over the rules that hold for coordinates, by the coordinate that each stands under."""
        rules = self._rules
        for one in found:
            if one in rules:
                yield one
                continue
            owner, dot, rest = one.partition(".")
            if dot and not rest.endswith(")") and f"{owner}.*" in rules:
                yield f"{owner}.*"

    def _variables(
        self, operation: OperationDefinitionNode, graph: GraphQLSchema, found: dict[str, str]
    ) -> tuple[tuple[str, Any], ...]:
        """Return the variables whose values have to be looked at; their types and defaults are looked at here."""
        variables = []
        for node in operation.variable_definitions or ():
            kind = type_from_ast(graph, node.type)
            if kind is None:
                continue
            name = node.variable.name.value
            stated = [get_named_type(kind).name]
            if node.default_value is not None:
                stated += coordinates.literal(node.default_value, kind)
            for rule in self.governing(stated):
                found.setdefault(rule, f"${name}")
            if any(True for _ in self.governing(coordinates.reachable(kind))):
                variables.append((name, kind))
        return tuple(variables)

    # --- for each request ------------------------------------------------------------------------------------

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Refuse what is not for the caller."""
        guarded: Guarded | None = operation.notes.get(_NOTE)
        if guarded is None:
            return
        roles = self._roles.of(exchange)
        try:
            refused = guarded.decided[roles]
        except KeyError:
            refused = self._decide(guarded, roles)
        if refused is not None:
            raise refused.again()
        for name, kind in guarded.variables:
            value = asked.variables.get(name)
            if value is not None:
                self._look_through(name, value, kind, roles)

    def _decide(self, guarded: Guarded, roles: frozenset[str]) -> Refused | None:
        written = next(
            (written for rule, written in guarded.rules if not self._rules[rule].allows(roles)), None
        )
        refused = _forbidden(written) if written is not None else None
        if len(guarded.decided) >= _REMEMBERED:
            guarded.decided.clear()
        guarded.decided[roles] = refused
        return refused

    def _look_through(self, name: str, value: Any, kind: Any, roles: frozenset[str]) -> None:
        for rule in self.governing(coordinates.supplied(value, kind)):
            if not self._rules[rule].allows(roles):
                raise _forbidden(f"${name}")


def _forbidden(written: str) -> Refused:
    what = "variable" if written.startswith("$") else "field"
    return Refused(403, "FORBIDDEN", f"The {what} '{written}' is not allowed as it is used")


class _Look:
    """A look at the selections of one document."""

    def __init__(
        self, graph: GraphQLSchema, relatives: coordinates.Relatives, permissions: Permissions
    ) -> None:
        self._graph = graph
        self._relatives = relatives
        self._governing = permissions.governing
        self._seen: dict[tuple[str, str], tuple[str, ...]] = {}

    def at(self, selections: SelectionSetNode, parent: Any) -> tuple[dict[str, str], set[str]]:
        """Return the rules for what a selection uses, each with the name of a field, and the fragments that it spreads."""
        found: dict[str, str] = {}
        spreads: set[str] = set()
        waiting = [(selections, parent)]
        while waiting:
            selected, parent = waiting.pop()
            for node in selected.selections:
                self.directives(node, found)
                if isinstance(node, FragmentSpreadNode):
                    spreads.add(node.name.value)
                elif isinstance(node, InlineFragmentNode):
                    condition = node.type_condition
                    inner = type_from_ast(self._graph, condition) if condition is not None else parent
                    waiting.append((node.selection_set, inner))
                elif isinstance(node, FieldNode):
                    self._field(node, parent, found)
                    if node.selection_set is not None:
                        field = self._graph.get_field(parent, node.name.value)
                        waiting.append((node.selection_set, get_named_type(field.type) if field else parent))
        return found, spreads

    def _field(self, node: FieldNode, parent: Any, found: dict[str, str]) -> None:
        name = node.name.value
        rules = self._seen.get((parent.name, name))
        if rules is None:
            rules = tuple(dict.fromkeys(self._governing(self._relatives.selected(parent, node))))
            self._seen[parent.name, name] = rules
        for rule in rules:
            found.setdefault(rule, name)
        if node.arguments:
            for rule in self._governing(self._relatives.given(parent, node)):
                found.setdefault(rule, name)

    def directives(self, node: Any, found: dict[str, str]) -> None:
        """Look at the arguments of a node's directives too."""
        for directive in node.directives or ():
            known = self._graph.get_directive(directive.name.value)
            if known is not None and directive.arguments:
                for rule in self._governing(coordinates.arguments(directive.arguments, known.args)):
                    found.setdefault(rule, f"@{directive.name.value}")
