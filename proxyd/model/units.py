"""Durations, sizes and switches as nginx and Kong write them in their settings, and moments."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[smhdw])\s*)+")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SIZE: Final = re.compile(r"([0-9]+)([kKmMgG]?)")
_BYTES: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_LAST: Final = 253_402_300_799  # the last second of the year 9999
_SWITCH: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


def duration(value: object) -> float:
    """Return seconds for ``60``, ``60s``, ``1m30s`` or ``20ms``.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError("must be a duration", "such as 60s, 5m or 20ms; a plain number is seconds")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def size(value: object) -> int:
    """Return bytes for ``1024``, ``8k``, ``1m`` or ``2g``.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a size", "such as 8k, 1m or 2g; a plain number is bytes")
    return int(match[1]) * _BYTES[match[2].lower()]


def switch(value: object) -> bool:
    """Return whether something is on: ``on``/``off``, ``true``/``false``, ``yes``/``no``.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, bool):
        return value
    try:
        return _SWITCH[str(value).strip().lower()]
    except KeyError:
        raise ValueError("must be on or off") from None


def moment(value: object) -> float:
    """Return seconds since the epoch for those, or for a date with or without a time (ISO 8601; UTC if it does not say).

    Raises:
        ValueError: It is neither, or beyond the year 9999, as milliseconds would be.
    """
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        try:
            read = datetime.fromisoformat(value)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            value = None
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("must be a moment", "such as 2027-01-31T12:00:00Z, or seconds since the epoch")
    if not 0 <= (seconds := float(value)) <= _LAST:
        raise ValueError("is no moment before the year 10000", "seconds since the epoch, not milliseconds")
    return seconds


def words(value: object) -> tuple[str, ...]:
    """Return the items of a list, or of a text that separates them with commas.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return tuple(str(item).strip() for item in value)
    raise ValueError("must be a list, or a text with commas")
