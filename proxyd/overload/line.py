"""The line that requests stand in before the event loop reads them, and how long each rank may have stood in it.

The loop asks the kernel what can be read and works all of that off before it asks again. So whatever is read some time
after the last look has waited for that time at least, and what is left of the batch when the loop has worked for the
time of its rank is refused. That is time of the processor: what other processes take of it, or a quota, makes a batch
longer, and is no reason to do less. A batch is then never much longer than the time allowed, whatever comes, and as soon as less comes than the
loop can do, batches are short and nothing is refused: there is nothing to be tuned and nothing to be forgotten.

Where a rank was refused, those below it get less of the next batch, so that a crowd of them does not cost who comes
before them.

A loop that was held up once (a pause of the garbage collector, a slow file) is late once and catches up by itself.
Only a line that stands, and does not shrink from look to look, is shortened.
"""

from __future__ import annotations

from typing import Final

from proxyd.overload.ranks import COUNT

PERIOD: Final = 0.01  # seconds between two looks of a loop that has time
LOOKS: Final = 3  # in a row that find a line, for it to stand
CATCHING_UP: Final = 0.75  # of the last delay: a line that has shrunk below is on its way out
CALM: Final = 10  # looks in a row that find none and refused nobody, for it to be gone
PATIENCE: Final = (4.0, 2.0, 1.0, 0.5)  # times the target that the loop may work before a rank is refused
YIELD, REGAIN = 0.7, 1.1  # what is left of its time after a batch in which a higher one was refused, or none
LEAST: Final = 0.02  # of its time, whatever happens: somebody must get through to show who he is


class Line:
    """What is known of the line. ``delay`` is how late the last look was, in seconds; ``looked`` is when that was.

    ``allowed`` is how long the loop may have worked since then before each rank is refused, ``soonest`` the least of
    that, and ``worked`` the processor's time at the last look; ``before`` is what it had worked when reading began; who refuses somebody counts him in ``refused``.
    """

    __slots__ = (
        "_calm",
        "_late",
        "_most",
        "allowed",
        "before",
        "delay",
        "looked",
        "refused",
        "soonest",
        "standing",
        "target",
        "worked",
    )

    def __init__(self, target: float) -> None:
        self.target = target
        # A look may be as old as the time between two, without anybody having waited.
        self._most = tuple(PERIOD + target * patience for patience in PATIENCE)
        self.allowed = list(self._most)
        self.soonest = self.allowed[-1]
        self.refused = [0] * COUNT
        self.delay = 0.0
        self.looked = 0.0
        self.worked = 0.0
        self.before = 0.0
        self.standing = False
        self._late = 0
        self._calm = 0

    def __repr__(self) -> str:
        return f"<Line {'standing' if self.standing else 'moving'} delay={self.delay:.4f}>"

    def look(self, late: float, now: float, worked: float) -> None:
        """Take how late the loop is; called at the beginning of a batch."""
        before, self.delay = self.delay, late
        self.looked = now
        self.worked = worked
        self.before = 0.0
        calm = late <= self.target
        if self.standing:
            self._calm = self._calm + 1 if calm and not any(self.refused) else 0
            self._share_out()
            if self._calm >= CALM:
                self.standing = False
        if calm:
            self._late = 0
            return
        self._late = self._late + 1 if late > before * CATCHING_UP else 1
        if self._late >= LOOKS and not self.standing:
            self.standing = True
            self._calm = 0

    def _share_out(self) -> None:
        yields = False
        for rank, most in enumerate(self._most):
            time = self.allowed[rank] * (YIELD if yields else REGAIN)
            self.allowed[rank] = min(max(time, most * LEAST), most)
            if self.refused[rank]:
                yields = True
                self.refused[rank] = 0
        self.soonest = self.allowed[-1]
