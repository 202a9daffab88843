"""Looks at the gateway once a second, and keeps what it saw in rings.

It reads what requests have counted anyway: they do nothing for it. With many routes a look is taken in parts, with
requests in between; where it takes long, the next one comes later, so that no more than a twentieth of the time goes there.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from proxyd.admin.dashboard.counts import Differences
from proxyd.admin.dashboard.rings import SCALES, Moment, Ring
from proxyd.clock import Clock
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.histogram import EDGES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from aiohttp import web

    from proxyd.admin.dashboard.observed import Observation
    from proxyd.telemetry.tally import Tally

PERIOD: Final = 1.0  # seconds from one look to the next
SHARE: Final = 20  # a look of one second is followed by at least twenty without
SLICE: Final = 50  # meters looked at without a pause

log = get_logger("admin")


class Sampler:
    """``observe`` looks. ``latest`` is what it last saw."""

    def __init__(
        self,
        observe: Callable[[], Awaitable[Observation]],
        clock: Clock | None = None,
        period: float = PERIOD,
    ) -> None:
        self._period = period
        self.rings = {name: Ring(scale) for name, scale in SCALES.items()}
        self.latest: Observation | None = None
        self.at = 0.0  # of the latest look, seconds since the epoch
        self._looked = 0.0  # at the same time, by the clock that nobody sets
        self._observe = observe
        self._clock = clock or Clock()
        self._meters = Differences()
        self._tallies: dict[tuple[str, str], tuple[int, int]] = {}
        self._lag: dict[str, tuple[float, ...]] = {}
        self._cpu: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Sampler at={self.at:.0f} {list(self.rings.values())}>"

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Look from time to time while an application runs."""
        task = asyncio.get_running_loop().create_task(self._run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        failing, period = False, self._period
        while True:
            begun = self._clock.now()
            try:
                await self.look()
                failing = False
            except (
                Exception
            ) as error:  # whatever it is: traffic has nothing to do with it, and the next look may do
                if not failing:
                    log.error("figures of the dashboard are missing", exc_info=error)  # noqa: TRY400  # no exception() here
                failing = True
            pause = period - self._clock.time() % period  # until the next second, if that is not now
            pause += period if pause < period / 4 else 0.0
            await asyncio.sleep(max(pause, (self._clock.now() - begun) * SHARE))

    async def look(self) -> None:
        """Take one look; the first one is where counting begins."""
        seen = await self._observe()
        now, looked = self._clock.time(), self._clock.now()
        moment = Moment(max(looked - self._looked, 0.001))
        for number, meter in enumerate(seen.meters):
            found = self._meters.of(meter)
            if found is not None:
                moment.add_route(meter.route, *found)
            if not (number + 1) % SLICE:
                await asyncio.sleep(0)
        self._meters.retain(seen.meters)
        self._add_consumers(moment, seen.tallies)
        self._add_processes(moment, seen)
        moment.websockets = seen.connections["tunnels"]
        moment.connections = seen.connections["open"]
        moment.in_flight = max(seen.connections["answering"] - seen.connections["tunnels"], 0)
        if self.at:
            for ring in self.rings.values():
                ring.take(round(now), moment)
        self.latest, self.at, self._looked = seen, now, looked

    def _add_consumers(self, moment: Moment, tallies: Sequence[Tally]) -> None:
        """Count requests of consumers, which tallies know where the prometheus plugin tells consumers apart."""
        there = {}
        for tally in tallies:
            if not tally.consumer:
                continue
            key = (tally.route, tally.consumer)
            requests = sum(tally.codes.values())
            failed = sum(count for code, count in tally.codes.items() if abs(code) >= 400)  # noqa: PLR2004
            before = self._tallies.get(key, (0, 0))
            there[key] = (requests, failed)
            if requests > before[0]:
                told = moment.consumers.get(tally.consumer, (0, 0))
                moment.consumers[tally.consumer] = (
                    told[0] + requests - before[0],
                    told[1] + max(failed - before[1], 0),
                )
        self._tallies = there

    def _add_processes(self, moment: Moment, seen: Observation) -> None:
        cpu, lag = {}, {}
        for one in seen.processes:
            if one.name in cpu:  # two fill a slot while one follows the other
                continue
            cpu[one.name], lag[one.name] = one.cpu, one.lag
            moment.cpu[one.name] = max(one.cpu - self._cpu.get(one.name, one.cpu), 0.0)
            late = _latest(one.lag, self._lag.get(one.name, ()))
            if late is not None:
                moment.lag[one.name] = late
            if one.memory is not None:
                moment.memory[one.name] = one.memory
        self._cpu, self._lag = cpu, lag


def _latest(now: Sequence[float], before: Sequence[float]) -> float | None:
    """Return the edge under which the latest timer since was, in seconds; None where there was none."""
    if not now or len(now) != len(before) or now[-1] <= before[-1]:
        return None
    place = next(
        (
            at
            for at, (one, then) in enumerate(zip(now, before, strict=True))
            if one - then >= now[-1] - before[-1]
        ),
        len(EDGES),
    )
    return EDGES[min(place, len(EDGES) - 1)]
