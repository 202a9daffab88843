"""What is known of an operation without its schema: how deep and how wide it is, through its fragments.

Each fragment is counted once, and what it counts is added wherever it is spread: the time is linear in the document, however
often a document's fragments would repeat one another if they were written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphql import FieldNode, FragmentSpreadNode

from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import FragmentDefinitionNode, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode

MANY: Final = 1_000_000  # what counts stop at: written out, fragments of fragments are beyond all numbers


class Facts(NamedTuple):
    """What an operation or a fragment counts, everything that its fragments select included.

    ``depth`` is the number of fields on the longest way down; ``nesting`` counts the fragments on it too. ``root_fields``
    are the fields on the first level.
    """

    depth: int = 0
    nesting: int = 0
    root_fields: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0


_NOTHING: Final = Facts()


def count_fragments(fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, Facts]:
    """Return the facts of each fragment of a document; raises Refused for a cycle and for a fragment that there is not."""
    known: dict[str, Facts] = {}
    for name in _in_order(fragments):
        fragment = fragments[name]
        known[name] = count(fragment, known, len(fragment.directives or ()))
    return known


def count_operation(node: OperationDefinitionNode, known: Mapping[str, Facts]) -> Facts:
    """Return the facts of an operation, with those of all its document's fragments at hand; raises Refused."""
    directives = len(node.directives or ())
    for variable in node.variable_definitions or ():
        directives += len(variable.directives or ())
    return count(node, known, directives)


def count(
    node: OperationDefinitionNode | FragmentDefinitionNode | InlineFragmentNode | FieldNode,
    known: Mapping[str, Facts],
    directives: int,
) -> Facts:
    """Return the facts of what a node selects; ``directives`` are the node's own."""
    depth = nesting = root_fields = fields = aliases = 0
    selected: SelectionSetNode = node.selection_set  # type: ignore[assignment]  # only fields may have none
    for one in selected.selections:
        more = len(one.directives or ())
        if isinstance(one, FieldNode):
            below = _NOTHING if one.selection_set is None else count(one, known, 0)
            depth = max(depth, below.depth + 1)
            root_fields += 1
            fields += below.fields + 1
            aliases += below.aliases + (one.alias is not None)
        else:
            if isinstance(one, FragmentSpreadNode):
                name = one.name.value
                if name not in known:
                    raise _invalid(f"Unknown fragment {name}")
                below = known[name]
            else:
                below = count(one, known, 0)  # type: ignore[arg-type]  # an inline fragment
            depth = max(depth, below.depth)
            root_fields += below.root_fields
            fields += below.fields
            aliases += below.aliases
        nesting = max(nesting, below.nesting)
        directives += below.directives + more
    return Facts(
        depth,
        nesting + 1,
        min(root_fields, MANY),
        min(fields, MANY),
        min(aliases, MANY),
        min(directives, MANY),
    )


def _in_order(fragments: Mapping[str, FragmentDefinitionNode]) -> list[str]:
    """Return the fragments' names, each behind those that it spreads, without recursion; raises Refused."""
    order: list[str] = []
    begun: set[str] = set()
    done: set[str] = set()
    for first in fragments:
        waiting = [first]
        while waiting:
            name = waiting[-1]
            if name in done:
                waiting.pop()
            elif name in begun:
                waiting.pop()
                done.add(name)
                order.append(name)
            else:
                begun.add(name)
                for spread in _spreads(fragments[name]):
                    if spread not in fragments:
                        raise _invalid(f"Unknown fragment {spread}")
                    if spread in begun and spread not in done:
                        raise _invalid(f"Fragment {spread} is spread within itself")
                    if spread not in done:
                        waiting.append(spread)
    return order


def _spreads(fragment: FragmentDefinitionNode) -> list[str]:
    """Return the names of the fragments that one spreads itself, in the order in which they stand there."""
    names: list[str] = []
    waiting = [fragment.selection_set]
    while waiting:
        for one in waiting.pop().selections:
            if isinstance(one, FragmentSpreadNode):
                names.append(one.name.value)
            elif one.selection_set is not None:  # type: ignore[attr-defined]  # a field or an inline fragment
                waiting.append(one.selection_set)  # type: ignore[attr-defined]
    return names


def _invalid(message: str) -> Refused:
    return Refused(400, "GRAPHQL_VALIDATION_FAILED", message)
