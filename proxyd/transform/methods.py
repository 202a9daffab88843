"""The methods of strings that templates may call, as Lua 5.1 defines them; all work byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from proxyd.errors import RenderError
from proxyd.transform.lua import Value, kind, rendered, to_number

if TYPE_CHECKING:
    from collections.abc import Callable

_FAR: Final = 1 << 53  # beyond every position in a string
MAGIC: Final = frozenset(b"^$*+?.([%-")  # what a pattern does not take literally


class Method(NamedTuple):
    """How a method is called: with how many arguments, the string itself not counted."""

    least: int
    most: int
    call: Callable[..., Any]


def string(value: Value) -> bytes:
    """Return a string argument; Lua takes a number for its text."""
    if isinstance(value, bytes) or (isinstance(value, float) and not isinstance(value, bool)):
        return rendered(value)
    raise RenderError(f"string expected, got {kind(value)}")


def position(value: Value, otherwise: float | None = None) -> int:
    """Return a position argument as a whole number; ``otherwise`` where it is optional and nil."""
    number = otherwise if value is None else to_number(value)
    if number is None or number != number:  # noqa: PLR0124  # not a number
        raise RenderError(f"number expected, got {kind(value)}")
    return int(min(max(number, -_FAR), _FAR))


def sub(subject: bytes, first: Value, last: Value = None) -> bytes:
    """Cut out what is from one position to another, both included; negative ones count from the end."""
    begin, end = position(first), position(last, -1.0)
    size = len(subject)
    if begin < 0:
        begin = max(size + begin + 1, 1)
    if end < 0:
        end = size + end + 1
    return subject[max(begin, 1) - 1 : max(end, 0)]


def find(subject: bytes, wanted: Value, first: Value = None, plain: Value = None) -> float | None:
    """Return the position of a string in another, or nil; nothing in it is special."""
    wanted = string(wanted)
    if not plain and not MAGIC.isdisjoint(wanted):
        raise RenderError("patterns are not matched: find needs true as its third argument")
    begin = position(first, 1.0)
    if begin < 0:
        begin = max(len(subject) + begin + 1, 1)
    found = subject.find(wanted, min(max(begin, 1) - 1, len(subject)))
    return None if found < 0 else found + 1.0


METHODS: Final = {
    "find": Method(1, 3, find),
    "len": Method(0, 0, lambda subject: float(len(subject))),
    "lower": Method(0, 0, bytes.lower),
    "reverse": Method(0, 0, lambda subject: subject[::-1]),
    "sub": Method(1, 2, sub),
    "upper": Method(0, 0, bytes.upper),
}
# What else Lua has, so that a template that calls one is told what is missing.
UNKNOWN: Final = frozenset({"byte", "char", "format", "gmatch", "gsub", "match", "rep"})
