"""The header fields by which a client learns its limits: Kong's, and those of the IETF's draft.

Written for nearly every answer, so made of parts: what holds for a second and what holds for a number are kept as lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from proxyd.store.windows import PERIODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.store.counters import Taken, Window

Style = Literal["kong", "ietf", "both"]
Lines = dict[bytes, bytes]
"""Raw header lines by lower-case name."""

_KEPT = 1024  # numbers whose lines are kept


class Fields:
    """Writes the fields for the windows of one instance.

    Kong's are X-RateLimit-Limit and -Remaining of each window, and RateLimit-Limit, -Remaining and -Reset of the
    tightest one. ``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-10.
    """

    def __init__(self, periods: Sequence[str], style: Style) -> None:
        self._kong = style != "ietf"
        self._ietf = style != "kong"
        self._names = [
            (f"X-RateLimit-Limit-{name}".encode(), f"X-RateLimit-Remaining-{name}".encode())
            for name in map(str.title, periods)
        ]
        self._keys = [(limit.lower(), remaining.lower()) for limit, remaining in self._names]
        self._plain = self._kong and not self._ietf and len(periods) == 1
        self._moment: tuple[int, Window | None] = (-1, None)
        self._fixed: Lines = {}
        self._left: dict[int, Lines] = {}

    def lines(self, windows: Sequence[Window], taken: Taken, now: float) -> tuple[Lines, Lines]:
        """Return the lines in two parts; neither may be changed."""
        admitted, counts = taken
        if self._plain and not windows[0].sliding:
            window = windows[0]
            if (int(now), window) != self._moment:
                self._moment = (int(now), window)
                self._fixed = self._limit(0, window) | self._tightest(window, window.reset_after(0, now))
            left = window.limit - counts[0][0] - admitted
            return self._fixed, self._left.get(left) or self._remaining_once(left)
        return self._all(windows, taken, now), {}

    def _limit(self, place: int, window: Window) -> Lines:
        return {self._keys[place][0]: b"%b: %d\r\n" % (self._names[place][0], window.limit)}

    def _remaining_once(self, left: int) -> Lines:
        left = max(0, left)
        made = {
            self._keys[0][1]: b"%b: %d\r\n" % (self._names[0][1], left),
            b"ratelimit-remaining": b"RateLimit-Remaining: %d\r\n" % left,
        }
        if left < _KEPT:
            self._left[left] = made
        return made

    @staticmethod
    def _tightest(window: Window, reset: int) -> Lines:
        return {
            b"ratelimit-limit": b"RateLimit-Limit: %d\r\n" % window.limit,
            b"ratelimit-reset": b"RateLimit-Reset: %d\r\n" % reset,
        }

    def _all(self, windows: Sequence[Window], taken: Taken, now: float) -> Lines:
        admitted, counts = taken
        lines: Lines = {}
        states: list[tuple[Window, int, int]] = []
        tightest = 0
        for place, (window, (count, before)) in enumerate(zip(windows, counts, strict=True)):
            used = window.used(count, before, now)
            left = max(0, window.limit - used - admitted)
            full = used >= window.limit
            reset = (
                window.retry_after(count, before, now) if full else window.reset_after(count + admitted, now)
            )
            states.append((window, left, reset))
            # Of windows with as much left, the longer one holds the client back for longer.
            if left <= states[tightest][1]:
                tightest = place
            if self._kong:
                lines |= self._limit(place, window)
                lines[self._keys[place][1]] = b"%b: %d\r\n" % (self._names[place][1], left)
        if self._kong:
            window, left, reset = states[tightest]
            lines |= self._tightest(window, reset)
            lines[b"ratelimit-remaining"] = b"RateLimit-Remaining: %d\r\n" % left
        if self._ietf:
            lines |= _draft(states)
        return lines


def _draft(states: list[tuple[Window, int, int]]) -> Lines:
    policies = ", ".join(
        f'"{PERIODS[one.period]}";q={one.limit};w={one.end - one.start}' for one, _, _ in states
    )
    limits = ", ".join(f'"{PERIODS[one.period]}";r={left};t={reset}' for one, left, reset in states)
    return {
        b"ratelimit-policy": f"RateLimit-Policy: {policies}\r\n".encode(),
        b"ratelimit": f"RateLimit: {limits}\r\n".encode(),
    }
