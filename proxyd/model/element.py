"""A value of the file with its place: what the parser makes and every later error points into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.errors import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxyd.model.scalars import Scalar

Step = str | int  # a key of a mapping or an index of a list


@dataclass(slots=True, eq=False)
class Element:
    """A scalar, a list or a mapping, and where it begins (line and column count from 1).

    ``size`` is the number of elements in it with aliases written out; ``keys`` holds where the keys of a
    mapping stand. An element that is aliased appears in several parents.
    """

    value: Scalar | dict[str, Element] | list[Element]
    line: int
    column: int
    size: int = 1
    keys: dict[str, tuple[int, int]] | None = None

    def __repr__(self) -> str:
        return f"<Element {type(self.value).__name__} at {self.line}:{self.column}>"

    def place(self, file: str) -> Place:
        """Return where the element begins."""
        return Place(file, self.line, self.column)

    def key_place(self, file: str, key: str) -> Place:
        """Return where ``key`` of this mapping stands."""
        line, column = (self.keys or {}).get(key, (self.line, self.column))
        return Place(file, line, column)

    def get(self, key: str) -> Element | None:
        """Return the element under ``key``; None where there is none, or where this is no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def children(self) -> Iterator[tuple[Step, Element]]:
        """Yield what a list or a mapping holds, with the step that leads to it."""
        if isinstance(self.value, dict):
            yield from self.value.items()
        elif isinstance(self.value, list):
            yield from enumerate(self.value)


def render(path: Iterable[Step]) -> str:
    """Write a path as errors show it: ``services[2].routes[0].paths[1]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def descend(element: Element, path: Iterable[Step]) -> tuple[Element, list[Step]]:
    """Follow ``path`` as far as it leads; return the element reached and the steps taken.

    Steps that lead nowhere are passed over: a validator's location may hold more than the file does.
    """
    taken: list[Step] = []
    for step in path:
        below = element.get(step) if isinstance(step, str) else None
        if isinstance(step, int) and isinstance(element.value, list) and 0 <= step < len(element.value):
            below = element.value[step]
        if below is not None:
            element = below
            taken.append(step)
    return element, taken


def find(root: Element, wanted: Element) -> list[Step]:
    """Return the way from ``root`` to an element known to be in it."""
    stack: list[tuple[Element, list[Step]]] = [(root, [])]
    while stack:
        element, path = stack.pop()
        if element is wanted:
            return path
        stack.extend((below, [*path, step]) for step, below in element.children())
    return []
