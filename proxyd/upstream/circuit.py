"""The circuit of one upstream: closed while it answers, open while it does not, half-open to find out.

Counted are the outcomes of tries in the last seconds. Where too many of them are failures, or slow, nothing is sent for a
while; then a few tries are let through, and decide. Nothing here waits, and a try costs a few additions.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model.resilience import CircuitBreaker

CLOSED: Final = 0
HALF_OPEN: Final = 1
OPEN: Final = 2
STATES: Final = ("closed", "half-open", "open")

SLICES: Final = 10  # that a window is counted in: the oldest is forgotten as a whole
AGAIN: Final = 1.0  # seconds after which to come again while others find out
PATIENCE: Final = 5.0  # seconds for which those are waited for, at least

_epochs = count(1)


class Window:
    """What became of the tries of the last seconds."""

    __slots__ = ("_at", "_slices", "_width", "errors", "slow", "total")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLICES
        self._slices = [[0, 0, 0] for _ in range(SLICES)]
        self._at = 0
        self.total = self.errors = self.slow = 0

    def __repr__(self) -> str:
        return f"<Window total={self.total} errors={self.errors} slow={self.slow}>"

    def add(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count a try that is over."""
        self._forget(int(now / self._width))
        counts = self._slices[self._at % SLICES]
        counts[0] += 1
        counts[1] += failed
        counts[2] += slow
        self.total += 1
        self.errors += failed
        self.slow += slow

    def _forget(self, at: int) -> None:
        passed = at - self._at
        if passed <= 0:
            return
        for place in range(self._at + 1, self._at + 1 + min(passed, SLICES)):
            counts = self._slices[place % SLICES]
            self.total -= counts[0]
            self.errors -= counts[1]
            self.slow -= counts[2]
            counts[:] = (0, 0, 0)
        self._at = at


class Circuit:
    """The state machine. ``turned`` hears of each change of state, with what it was for.

    A try is let in by ``wait`` and ``enter``, whose number it is judged by, once, and let out. What was let in before a
    change of state has no say after it: a request that hung since before an outage must not prolong that.
    """

    __slots__ = (
        "_now",
        "_places",
        "_turned",
        "_until",
        "epoch",
        "good",
        "probes",
        "rules",
        "state",
        "window",
    )

    def __init__(
        self, rules: CircuitBreaker, now: Callable[[], float], turned: Callable[[Circuit, str], None]
    ) -> None:
        self._now = now
        self._turned = turned
        self._until = 0.0  # the end of being open; while half-open, when others get a try
        self._places = 0  # for probes
        self.state = CLOSED
        self.epoch = next(_epochs)
        self.probes = 0  # under way while half-open
        self.good = 0  # of those that are over
        self.configure(rules)

    def __repr__(self) -> str:
        return f"<Circuit {STATES[self.state]} {self.window!r} probes={self.probes}>"

    def configure(self, rules: CircuitBreaker) -> None:
        """Follow these rules from now on, in the state that it is in."""
        self.rules = rules
        self.window = Window(rules.window)

    # --- in and out ------------------------------------------------------------------------------------------

    def wait(self) -> float:
        """Return the seconds after which a try may come again, 0.0 where it may be made now."""
        if self.state == CLOSED:
            return 0.0
        if self.state == OPEN:
            left = self._until - self._now()
            if left > 0.0:
                return left
            self._turn(HALF_OPEN, "open_duration")
        if self.probes < self._places:
            return 0.0
        if self._now() < self._until:
            return AGAIN
        self._more_probes()  # a client that is slow to send its body must not keep everybody else out
        return 0.0

    def _more_probes(self) -> None:
        self._places += self.rules.half_open_requests
        self._until = self._now() + max(self.rules.open_duration, PATIENCE)

    def enter(self) -> int:
        """Let a try in; returns the number to judge it by."""
        if self.state == HALF_OPEN:
            self.probes += 1
        return self.epoch

    def judge(self, epoch: int, latency: float, *, failed: bool) -> None:
        """Learn what became of a try; ``latency`` is the seconds to the head of its answer."""
        if epoch != self.epoch or self.state == OPEN:
            return
        rules = self.rules
        slow = latency > rules.slow_after > 0.0
        if self.state == CLOSED:
            self.window.add(self._now(), failed=failed, slow=slow)
            self._weigh()
        elif failed or slow:
            self._turn(OPEN, "probe")
        else:
            self.good += 1
            if self.good >= rules.half_open_requests:
                self._turn(CLOSED, "probe")

    def leave(self, epoch: int) -> None:
        """Let a try out, judged or not."""
        if epoch == self.epoch and self.state == HALF_OPEN:
            self.probes -= 1

    # --- from state to state ---------------------------------------------------------------------------------

    def _weigh(self) -> None:
        rules, window = self.rules, self.window
        if window.total < rules.minimum_requests:
            return
        if window.errors * 100 >= rules.error_percent * window.total > 0.0:
            self._turn(OPEN, "error_percent")
        elif window.slow * 100 >= rules.slow_percent * window.total > 0.0:
            self._turn(OPEN, "slow_percent")

    def _turn(self, state: int, reason: str) -> None:
        self.state = state
        self.epoch = next(_epochs)
        self.probes = self.good = self._places = 0
        if state == OPEN:
            self._until = self._now() + self.rules.open_duration
        elif state == HALF_OPEN:
            self._more_probes()
        self._turned(self, reason)
        self.window = Window(self.rules.window)
