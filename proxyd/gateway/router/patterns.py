"""Regular expressions from a file, run by RE2 in time linear in the text.

Kong's are Rust's ``regex``, which shares RE2's syntax nearly whole: both refuse look-around and
back-references, both read ``(?P<name>)`` and ``(?<name>)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The wrapper's match objects count characters, keep offsets and cost 2.5 us; the class below it costs 1.
_RE2 = re2._re2.RE2  # noqa: SLF001
_ANCHOR_START = _RE2.Anchor.ANCHOR_START
_UNANCHORED = _RE2.Anchor.UNANCHORED

SET_MEMORY = 64 << 20  # bytes that the automaton of a set may grow to; 10,000 usual paths need a third
SET_SIZE = 10_000  # expressions in one set
LITERAL = 64  # characters of a literal prefix that are worth knowing

Captures = dict[str | int, str]


class PatternError(ProxydError):
    """A regular expression that RE2 does not accept; the message says why."""


class Pattern:
    """One compiled expression over ASCII text."""

    __slots__ = ("_groups", "_names", "_regex", "source")

    def __init__(self, source: str, *, ignore_case: bool = False) -> None:
        options = re2.Options()
        options.log_errors = False  # RE2 would write to standard error
        options.case_sensitive = not ignore_case
        self.source = source
        self._regex = _RE2(source.encode(), options)
        if not self._regex.ok():
            reason = self._regex.error()
            raise PatternError(reason.decode() if isinstance(reason, bytes) else str(reason))
        self._groups: int = self._regex.NumberOfCapturingGroups()
        self._names: list[tuple[str, int]] = [
            (name.decode(), number) for name, number in self._regex.NamedCapturingGroups()
        ]

    def __repr__(self) -> str:
        return f"<Pattern {self.source}>"

    def found_in(self, text: bytes) -> bool:
        """Whether the expression matches anywhere."""
        return bool(self._regex.Match(_UNANCHORED, text, 0, len(text))[0][0] >= 0)

    def match(self, path: str) -> tuple[str, Captures | None] | None:
        """Match from the start: the text matched, and the groups that took part by number and by name.

        The groups are None for an expression that has none.
        """
        spans = self._regex.Match(_ANCHOR_START, path.encode(), 0, len(path))
        end = spans[0][1]
        if end < 0:
            return None
        if not self._groups:
            return path[:end], None
        captures: Captures = {}
        for number in range(1, self._groups + 1):
            first, last = spans[number]
            if first >= 0:
                captures[number] = path[first:last]
        for name, number in self._names:
            if number in captures:
                captures[name] = captures[number]
        return path[:end], captures

    def literal_prefix(self) -> str:
        """Return a string that every text matched from the start begins with; often shorter than possible."""
        anchored = _RE2(b"^(?:%b)" % self.source.encode(), self._regex.options())
        bounded, low, high = anchored.PossibleMatchRange(LITERAL)
        if not bounded:
            return ""
        length = 0
        for a, b in zip(low, high, strict=False):
            if a != b or a > 0x7F:  # noqa: PLR2004 - the end of ASCII
                break
            length += 1
        return bytes(low[:length]).decode("ascii")


class PatternSet:
    """Many expressions tested in one pass: which of them match from the start."""

    __slots__ = ("_sets", "_size")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._size = len(patterns)
        self._sets: list[tuple[int, re2.Set]] = []
        for start in range(0, len(patterns), SET_SIZE):
            self._add(start, patterns[start : start + SET_SIZE])

    def __repr__(self) -> str:
        return f"<PatternSet of {self._size}>"

    def matching(self, path: str) -> list[int]:
        """Return the positions of the expressions that match, in ascending order."""
        text = path.encode()
        return sorted(start + found for start, group in self._sets for found in group.Match(text) or ())

    def _add(self, start: int, patterns: Sequence[Pattern]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = SET_MEMORY
        group = re2.Set(_ANCHOR_START, options)
        for pattern in patterns:
            group.Add(pattern.source.encode())
        try:
            group.Compile()  # fails where the automaton would not have the memory to run
        except re2.error as error:
            half = len(patterns) // 2
            if not half:
                raise PatternError(f"{patterns[0].source}: {error}") from None
            self._add(start, patterns[:half])
            self._add(start + half, patterns[half:])
        else:
            self._sets.append((start, group))
