"""The cost of an operation as an expression of its variables: made once, and evaluated for each request.

A cost is a sum of a number and of nodes, each so many times. A node is such a sum once more, times what a variable says;
there are nodes only where variables are. Nodes stand in the order in which they need one another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Slot = Callable[[Mapping[str, Any]], float]

MOST = 2**53  # what a cost is at most: beyond it, numbers are not exact
_SIZE, _NODE_SIZE, _TERM_SIZE = 200, 400, 90  # bytes, measured and rounded up


class Sum:
    """A number, and nodes by their place, each so many times."""

    __slots__ = ("fixed", "terms")

    def __init__(self, fixed: float = 0, terms: dict[int, float] | None = None) -> None:
        self.fixed = fixed
        self.terms: dict[int, float] = terms or {}

    def __repr__(self) -> str:
        return " + ".join([str(self.fixed), *(f"{times} n{place}" for place, times in self.terms.items())])

    def add(self, other: Sum, times: float = 1) -> None:
        """Add another sum, so many times."""
        self.fixed = min(MOST, self.fixed + other.fixed * times)
        for place, count in other.terms.items():
            self.terms[place] = min(MOST, self.terms.get(place, 0) + count * times)


class Nodes:
    """The nodes of one document, while they are made."""

    def __init__(self) -> None:
        self.made: list[tuple[Slot | None, float, tuple[tuple[int, float], ...]]] = []

    def times(self, slot: Slot, inner: Sum) -> Sum:
        """Return a sum times what a variable says."""
        if not inner.fixed and not inner.terms:
            return Sum()
        self.made.append((slot, inner.fixed, tuple(inner.terms.items())))
        return Sum(0, {len(self.made) - 1: 1})

    def seal(self, inner: Sum) -> Sum:
        """Return a sum as one term, so that who uses it often does not repeat it."""
        if len(inner.terms) < 2:  # noqa: PLR2004  # it is one
            return inner
        self.made.append((None, inner.fixed, tuple(inner.terms.items())))
        return Sum(0, {len(self.made) - 1: 1})


class Price:
    """What an operation costs."""

    __slots__ = ("_fixed", "_nodes", "_terms", "_whole")

    def __init__(self, total: Sum, nodes: Nodes) -> None:
        needed: set[int] = set(total.terms)
        for place in range(len(nodes.made) - 1, -1, -1):
            if place in needed:
                needed.update(one for one, _ in nodes.made[place][2])
        moved = {place: new for new, place in enumerate(sorted(needed))}
        self._nodes = tuple(
            (slot, fixed, tuple((moved[one], times) for one, times in terms))
            for slot, fixed, terms in (nodes.made[place] for place in sorted(needed))
        )
        self._terms = tuple((moved[place], times) for place, times in total.terms.items())
        self._fixed = total.fixed
        self._whole = math.ceil(total.fixed)

    def __repr__(self) -> str:
        return f"<Price {self._fixed} nodes={len(self._nodes)}>"

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes, about."""
        return _SIZE + sum(_NODE_SIZE + _TERM_SIZE * len(terms) for _, _, terms in self._nodes)

    def of(self, variables: Mapping[str, Any]) -> int:
        """Return the cost with these variables; raises what a slot raises."""
        if not self._nodes:
            return self._whole
        values: list[float] = []
        for slot, fixed, terms in self._nodes:
            value: float = fixed
            for place, times in terms:
                value += values[place] * times
            if slot is not None:
                value *= slot(variables)
            values.append(min(MOST, value))
        total: float = self._fixed
        for place, times in self._terms:
            total += values[place] * times
        return math.ceil(total) if total < MOST else MOST
