"""Lua's values and what its operators do with them, as far as templates go.

A string is bytes, a number a float, nil None. A field that was sent several times is ``Repeated``, which is
Kong's table of its values. Nothing is converted but what Lua converts: numbers to strings by ``..``, strings that
read as numbers to numbers by arithmetic.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from proxyd.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RESULT: Final = 64 * 1024  # bytes of a string that a template makes; no head is longer

Value = Any  # None, bool, float, bytes, Repeated, or what a plugin has shared

_NUMBER: Final = re.compile(
    rb"[ \t-\r]*([+-]?)(?:(0[xX][0-9a-fA-F]{1,13})"
    rb"|((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?|nan)))[ \t-\r]*"
)


class Repeated(tuple[bytes, ...]):
    """The values of a field that was sent more than once, in order; numbered from 1."""

    __slots__ = ()


def is_true(value: Value) -> bool:
    """Whether a condition holds: all but nil and false does, the empty string and 0 as well."""
    return value is not None and value is not False


def kind(value: Value) -> str:
    """Return what Lua's ``type`` says."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, bytes) else "table"


def rendered(value: Value) -> bytes:
    """Return what stands for a value in a text: nothing for nil and false; repeated values one behind another."""
    if isinstance(value, bytes):
        return value
    if value is None or value is False:
        return b""
    if value is True:
        return b"true"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, Repeated):
        return b", ".join(value)
    raise RenderError("a table cannot stand in a text")


def number_text(value: float) -> bytes:
    """Write a number as Lua 5.1 does."""
    return b"%.14g" % value


def to_number(value: Value) -> float | None:
    """Return a number, or what a string reads as; None where it is neither."""
    if isinstance(value, float):
        return value
    if not isinstance(value, bytes) or (match := _NUMBER.fullmatch(value)) is None:
        return None
    sign, hexadecimal, decimal = match.groups()
    size = float(int(hexadecimal, 16)) if hexadecimal else float(decimal)
    return -size if sign == b"-" else size


def index(value: Value, key: Value) -> Value:
    """Look a field of a value up; a string has none."""
    if isinstance(value, Repeated):
        number = to_number(key) if isinstance(key, float) else None
        return value[int(number) - 1] if number in range(1, len(value) + 1) else None  # type: ignore[arg-type]
    if isinstance(value, dict):
        return shared_value(value.get(key.decode("utf-8", "replace") if isinstance(key, bytes) else key))
    if isinstance(value, bytes):
        return None
    raise RenderError(f"attempt to index a {kind(value)} value")


def shared_value(value: Any) -> Value:
    """Take over what a plugin has shared: its texts and whole numbers as Lua's."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def length(value: Value) -> float:
    """Return the number of bytes or values."""
    if isinstance(value, (bytes, Repeated)):
        return float(len(value))
    raise RenderError(f"attempt to get length of a {kind(value)} value")


def negative(value: Value) -> float:
    """Return the number with its sign turned."""
    return -_operand(value)


def concatenate(left: Value, right: Value) -> bytes:
    """Join two strings or numbers."""
    parts = [number_text(one) if isinstance(one, float) else one for one in (left, right)]
    for part in parts:
        if not isinstance(part, bytes):
            raise RenderError(f"attempt to concatenate a {kind(part)} value")
    result: bytes = parts[0] + parts[1]
    if len(result) > MAX_RESULT:
        raise RenderError("a string gets too long")
    return result


def equal(left: Value, right: Value) -> bool:
    """Whether two values are of one type and the same."""
    return type(left) is type(right) and left == right


def less(left: Value, right: Value) -> bool:
    """Whether a number or string is before another of its type; strings go byte by byte."""
    return bool(_comparable(left, right) and left < right)


def at_most(left: Value, right: Value) -> bool:
    """Whether a number or string is not behind another of its type."""
    return bool(_comparable(left, right) and left <= right)


def _comparable(left: Value, right: Value) -> bool:
    if type(left) is not type(right) or not isinstance(left, (bytes, float)):
        raise RenderError(f"attempt to compare {kind(left)} with {kind(right)}")
    return True


def _operand(value: Value) -> float:
    number = to_number(value)
    if number is None:
        raise RenderError(f"attempt to perform arithmetic on a {kind(value)} value")
    return number


def _divide(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _modulo(left: float, right: float) -> float:
    return left - math.floor(left / right) * right if right and math.isfinite(left / right) else math.nan


ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _modulo,
}


def calculate(operate: Callable[[float, float], float], left: Value, right: Value) -> float:
    """Calculate with numbers, and with strings that read as numbers."""
    return operate(_operand(left), _operand(right))
