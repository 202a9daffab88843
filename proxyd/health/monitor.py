"""Indicators, looked at in the background: whoever asks gets what was seen last, and nobody waits for a dependency."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

from proxyd.health.look import DownError, reason_of
from proxyd.telemetry.access_line import timestamp
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.health_families import HealthState
from proxyd.telemetry.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.clock import Clock
    from proxyd.health.look import Look
    from proxyd.model.indicators import Indicator

GRACE = 5.0  # seconds beyond two intervals and timeouts after which nothing that was seen counts any more
CLOSING = 1.0  # seconds that a client gets to let go

log = get_logger("health")


class Monitor:
    """One indicator: what was seen of it, and how often in a row it was otherwise."""

    def __init__(self, indicator: Indicator, look: Look, clock: Clock) -> None:
        self.indicator = indicator
        self.up: bool | None = None
        self.seconds = Histogram()  # that looks have taken
        self.looked = asyncio.Event()  # at least once
        self._look = look
        self._clock = clock
        self._reason = ""
        self._seen: dict[str, Any] = {}
        self._contrary = 0  # looks in a row that say other than ``up``
        self._at = 0.0
        self._wall = 0.0
        self._took = 0.0

    def __repr__(self) -> str:
        state = {None: "unknown", True: "up", False: "down"}[self.up]
        return f"<Monitor {self.indicator.name} {state} contrary={self._contrary}>"

    async def run(self) -> None:
        """Look, and look again."""
        one = self.indicator
        while True:
            await self.look()
            spread = random.uniform(1 - one.jitter, 1 + one.jitter)  # noqa: S311  # no secret
            await asyncio.sleep(one.interval * spread)

    async def look(self) -> None:
        """Look once, for no longer than the timeout."""
        begun = self._clock.now()
        reason, seen = "", {}
        try:
            async with asyncio.timeout(self.indicator.timeout):
                seen = await self._look.look()
        except TimeoutError:
            reason = f"no answer within {self.indicator.timeout:g} s"
        except DownError as error:
            reason, seen = str(error), error.seen
        except Exception as error:  # noqa: BLE001  # whatever a client raises: it is not as it should be
            reason = reason_of(error)
        self._at, self._wall = self._clock.now(), self._clock.time()
        self._took = self._at - begun
        self.seconds.observe(self._took)
        self._note(reason, seen)
        self.looked.set()

    def _note(self, reason: str, seen: dict[str, Any]) -> None:
        fine = not reason
        self._seen = seen
        if fine == self.up:
            self._contrary, self._reason = 0, reason
            return
        self._contrary += 1
        needed = self.indicator.successes if fine else self.indicator.failures
        if self.up is None or self._contrary >= needed:
            if fine and self.up is not None:
                log.notice("up", indicator=self.indicator.name)
            elif not fine:
                log.warning("down", indicator=self.indicator.name, reason=reason)
            self.up, self._contrary, self._reason = fine, 0, reason

    @property
    def _late(self) -> bool:
        patience = 2 * (self.indicator.interval + self.indicator.timeout) + GRACE
        return self.up is not None and self._clock.now() - self._at > patience

    def why_down(self) -> str:
        """Say what is wrong, or nothing."""
        if self.up is None:
            return "not looked at yet"
        return "the last look does not end" if self._late else self._reason

    def detail(self) -> dict[str, Any]:
        """Return what terminus calls the indicator's result."""
        reason = self.why_down()
        told: dict[str, Any] = {"status": "down", "message": reason} if reason else {"status": "up"}
        if self.up is not None:
            told |= {**self._seen, "checked_at": timestamp(self._wall), "seconds": round(self._took, 6)}
        return told

    async def close(self) -> None:
        """Let go of connections."""
        try:
            async with asyncio.timeout(CLOSING):
                await self._look.close()
        except Exception as error:  # noqa: BLE001  # it goes away with the process
            log.debug("not closed", indicator=self.indicator.name, reason=reason_of(error))


class Health:
    """All indicators of this gateway; implements ``control.health.HealthSource``."""

    def __init__(self, looks: Iterable[tuple[Indicator, Look]], clock: Clock) -> None:
        self.monitors = [Monitor(indicator, look, clock) for indicator, look in looks]
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Health {self.monitors}>"

    def start(self) -> None:
        """Begin to look."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(one.run()) for one in self.monitors]

    async def stop(self) -> None:
        """Look no more; works when never started."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING)
        await asyncio.gather(*(one.close() for one in self.monitors))

    async def details(self) -> dict[str, dict[str, Any]]:
        """Return what was seen last of each; only the first look of all is waited for, as long as that may take."""
        patience = max((one.indicator.timeout for one in self.monitors), default=0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                for one in self.monitors:
                    await one.looked.wait()
        return {one.indicator.name: one.detail() for one in self.monitors}

    def not_ready(self) -> str:
        """Say which indicator that counts for readiness is down, and why; nothing where none is."""
        for one in self.monitors:
            if one.indicator.ready and (reason := one.why_down()):
                return f"{one.indicator.name} is down: {reason}"
        return ""

    def states(self) -> list[HealthState]:
        """Return what metrics tell."""
        return [HealthState(one.indicator.name, not one.why_down(), one.seconds) for one in self.monitors]
