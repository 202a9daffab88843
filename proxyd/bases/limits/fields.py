"""The header fields by which a client learns its limits: Kong's, and those of the IETF's draft.

Written for nearly every answer, so made of parts: what holds for a second is kept, and only what is left is filled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from proxyd.http1.headers import Block
from proxyd.store.windows import PERIODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.store.counters import Taken, Window

Style = Literal["kong", "ietf", "both"]


class Fields:
    """Writes the fields for the windows of one instance.

    Kong's are X-RateLimit-Limit and -Remaining of each window, and RateLimit-Limit, -Remaining and -Reset of the
    tightest one. ``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-10.
    """

    def __init__(self, periods: Sequence[str], style: Style) -> None:
        self._kong = style != "ietf"
        self._ietf = style != "kong"
        self._periods = [name.title() for name in periods]
        self._plain = self._kong and not self._ietf and len(periods) == 1
        self._names = _names(self._periods, kong=self._kong, ietf=self._ietf)
        # The second that the parts around what is left hold for, and the window.
        self._second = -1
        self._window: Window | None = None
        self._start = self._middle = self._end = b""

    def block(self, windows: Sequence[Window], taken: Taken, now: float, amount: int = 1) -> Block:
        """Return the lines; ``amount`` is what was counted, if it was."""
        admitted, counts = taken
        if self._plain and not windows[0].sliding:
            window = windows[0]
            second = int(now)
            if second != self._second or window is not self._window:
                self._second, self._window = second, window
                text = self._limit(0, window, b"\0") + _tightest(window, b"\0", window.reset_after(0, now))
                self._start, self._middle, self._end = text.split(b"\0")
            left = str(max(0, window.limit - counts[0][0] - (amount if admitted else 0))).encode()
            return Block(self._names, b"".join((self._start, left, self._middle, left, self._end)))
        return Block(self._names, self._all(windows, taken, now, amount))

    def _limit(self, place: int, window: Window, left: bytes) -> bytes:
        period = self._periods[place].encode()
        return b"X-RateLimit-Limit-%b: %d\r\nX-RateLimit-Remaining-%b: %b\r\n" % (
            period,
            window.limit,
            period,
            left,
        )

    def _all(self, windows: Sequence[Window], taken: Taken, now: float, amount: int) -> bytes:
        admitted, counts = taken
        spent = amount if admitted else 0
        text = b""
        states: list[tuple[Window, int, int]] = []
        tightest = 0
        for place, (window, (count, before)) in enumerate(zip(windows, counts, strict=True)):
            used = window.used(count, before, now)
            left = max(0, window.limit - used - spent)
            full = used >= window.limit
            reset = window.retry_after(count, before, now) if full else window.reset_after(count + spent, now)
            states.append((window, left, reset))
            # Of windows with as much left, the longer one holds the client back for longer.
            if left <= states[tightest][1]:
                tightest = place
            if self._kong:
                text += self._limit(place, window, b"%d" % left)
        if self._kong:
            window, left, reset = states[tightest]
            text += _tightest(window, b"%d" % left, reset)
        if self._ietf:
            text += _draft(states)
        return text


def _names(periods: Sequence[str], *, kong: bool, ietf: bool) -> tuple[bytes, ...]:
    names = []
    if kong:
        names += [f"X-RateLimit-{kind}-{period}" for period in periods for kind in ("Limit", "Remaining")]
        names += ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
    if ietf:
        names += ["RateLimit-Policy", "RateLimit"]
    return tuple(name.lower().encode() for name in names)


def _tightest(window: Window, left: bytes, reset: int) -> bytes:
    return b"RateLimit-Limit: %d\r\nRateLimit-Remaining: %b\r\nRateLimit-Reset: %d\r\n" % (
        window.limit,
        left,
        reset,
    )


def _draft(states: list[tuple[Window, int, int]]) -> bytes:
    policies = ", ".join(
        f'"{PERIODS[one.period]}";q={one.limit};w={one.end - one.start}' for one, _, _ in states
    )
    limits = ", ".join(f'"{PERIODS[one.period]}";r={left};t={reset}' for one, left, reset in states)
    return f"RateLimit-Policy: {policies}\r\nRateLimit: {limits}\r\n".encode()
