"""Signals that arrive before the event loop is there: by default, they would end a process that has only begun.

Imports nothing that takes time, because it is the first thing that a process does.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from types import FrameType

ASKING: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)  # of a process that runs
ENDING: Final = (signal.SIGTERM, signal.SIGQUIT)

held: list[int] = []


def hold() -> None:
    """Keep what is asked until somebody can act on it, and end without a word where that is what is asked."""
    for number in ASKING:
        signal.signal(number, _keep)
    for number in ENDING:
        signal.signal(number, _end)


def release() -> list[int]:
    """Return what was asked so far, once."""
    asked = held.copy()
    held.clear()
    return asked


def _keep(number: int, _frame: FrameType | None) -> None:
    if number not in held:
        held.append(number)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
