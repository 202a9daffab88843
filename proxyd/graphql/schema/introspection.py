"""Who may ask the backend for its schema: nobody, unless that is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode
from pydantic import model_validator

from proxyd import plugin
from proxyd.graphql.refusal import Refused
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql import SelectionSetNode

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.roles import Roles

FIELDS = frozenset({"__schema", "__type"})  # names that begin so are GraphQL's own, on whatever type
_NOTE = "introspects"
FORBIDDEN = Refused(403, "INTROSPECTION_FORBIDDEN", "Introspection is not allowed")


class Config(plugin.Config):
    """Introspection by clients: ``__schema`` and ``__type``; ``__typename`` is for everybody."""

    allow: Literal["never", "roles", "always"] = "never"
    """Who may ask for the schema; always is for development."""
    roles: plugin.Listed = None
    """Roles of which one is needed, with allow: roles; anonymous stands for callers whom nobody knows."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.allow == "roles") != (self.roles is not None):
            raise ValueError("roles go with allow: roles")
        return self


class NoIntrospection(Step):
    """The step that refuses operations which ask for the schema, wherever in them."""

    def learn(self, document: Document) -> None:
        """Find out which operations do."""
        asking: set[str] | None = None
        for operation in document.operations.values():
            assert operation.node is not None  # noqa: S101  # it is there while steps learn
            direct, spreads = _look(operation.node.selection_set)
            if not direct and spreads:
                if asking is None:
                    asking = _asking_fragments(document)
                direct = not asking.isdisjoint(spreads)
            if direct:
                self._found(operation)

    def _found(self, operation: Operation) -> None:
        operation.verdict = operation.verdict or FORBIDDEN


class Introspection(NoIntrospection):
    """The same, for callers who have none of the roles."""

    def __init__(self, allowed: Iterable[str], roles: Roles) -> None:
        self._allowed = frozenset(allowed)
        self._roles = roles

    def __repr__(self) -> str:
        return f"<Introspection {sorted(self._allowed)}>"

    def _found(self, operation: Operation) -> None:
        operation.notes[_NOTE] = True

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Refuse those of callers who may not."""
        del asked
        if _NOTE in operation.notes and self._allowed.isdisjoint(self._roles.of(exchange)):
            raise FORBIDDEN.again()


def _look(selections: SelectionSetNode) -> tuple[bool, set[str]]:
    """Return whether a selection asks for the schema itself, and the fragments that it spreads."""
    spreads: set[str] = set()
    waiting = [selections]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                spreads.add(node.name.value)
                continue
            if isinstance(node, FieldNode) and node.name.value in FIELDS:
                return True, spreads
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
                waiting.append(node.selection_set)
    return False, spreads


def _asking_fragments(document: Document) -> set[str]:
    """Return the fragments that ask for the schema, by themselves or through others."""
    spread_by: dict[str, list[str]] = {}
    asking: list[str] = []
    for name, fragment in document.fragments.items():
        direct, spreads = _look(fragment.selection_set)
        if direct:
            asking.append(name)
        for one in spreads:
            spread_by.setdefault(one, []).append(name)
    found = set(asking)
    while asking:
        for name in spread_by.get(asking.pop(), ()):
            if name not in found:
                found.add(name)
                asking.append(name)
    return found
