"""The workers of all slots: started, started again when they die, replaced, and sent off.

Each slot has a task that waits for its worker to leave, and sees to the next one. A slot without a worker is covered
by another one's meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from proxyd.errors import ConfigError, ProxydError
from proxyd.master.backoff import Backoff
from proxyd.master.calm import Calm
from proxyd.master.child import Child, LaunchError
from proxyd.master.orphans import share
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxyd.clock import Clock
    from proxyd.master.child import Figures, HearUses, Order
    from proxyd.telemetry.worker_families import WorkerCounts

START_WAIT = 120.0  # seconds: a file of 10,000 routes takes two on an idle machine
FAREWELL = 1.0  # seconds for the requests of a worker that has come up while the master ends
GRACE = 5.0  # seconds beyond its own limit that a worker gets to end

log = get_logger("master")


class Slot:
    """A place for one worker: ``child`` is who fills it, None while nobody does."""

    def __init__(self, number: int, backoff: Backoff) -> None:
        self.number = number
        self.child: Child | None = None
        self.again = asyncio.Event()  # not to wait any longer before the next try
        self.filling = asyncio.Lock()
        self.backoff = backoff

    def __repr__(self) -> str:
        return f"<Slot {self.number} {self.child!r} {self.backoff!r}>"

    @property
    def serving(self) -> Child | None:
        """Its worker, where that accepts connections."""
        child = self.child
        return child if child is not None and not child.leaving.is_set() else None


class Crew:
    """``order`` returns what a worker is started with now, ``limit`` how long requests of one that ends may take."""

    def __init__(
        self,
        count: int,
        order: Callable[[], Order],
        clock: Clock,
        counts: WorkerCounts,
        limit: Callable[[], float],
        figures: Figures | None = None,
        hear_uses: HearUses | None = None,
    ) -> None:
        self.calm = Calm()
        self.cutting = asyncio.Event()
        self.counts = counts
        self.slots = [Slot(number, Backoff(clock.now)) for number in range(count)]
        self._order = order
        self._clock = clock
        self._limit = limit
        self._figures = figures
        self._hear_uses = hear_uses
        self._others: set[Child] = set()  # that start beside another one, or leave
        self._keeping: list[asyncio.Task[None]] = []
        self._partings: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Crew {self.slots!r} others={len(self._others)}>"

    @property
    def children(self) -> list[Child]:
        """Every worker that has a process."""
        filled = [slot.child for slot in self.slots if slot.child is not None]
        return sorted({*filled, *self._others}, key=lambda child: (child.slot, child.started_at))

    @property
    def serving(self) -> list[Child]:
        """Those that accept connections, one per slot at most."""
        return [child for slot in self.slots if (child := slot.serving) is not None]

    # --- start -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Fill every slot; raises ConfigError, or ProxydError, and then no process is left behind ``stop``."""
        outcomes = await asyncio.gather(*map(self._fill, self.slots), return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if isinstance(failure, LaunchError) and failure.problems:
                raise ConfigError(failure.problems)  # the same one in every worker
        for slot, outcome in zip(self.slots, outcomes, strict=True):
            if isinstance(outcome, LaunchError):
                raise ProxydError(f"worker {slot.number} {outcome}") from outcome
        if failures:
            raise failures[0]
        loop = asyncio.get_running_loop()
        self._keeping = [loop.create_task(self._keep(slot)) for slot in self.slots]
        for task in self._keeping:
            task.add_done_callback(_crashed)

    async def _fill(self, slot: Slot) -> None:
        """Start a worker and put it into its slot; raises LaunchError."""
        child = await self._launch(slot.number)
        slot.child = child
        slot.backoff.started()
        self._others.discard(child)
        self._share_out()

    async def _launch(self, number: int) -> Child:
        async with self.calm.starting():
            if self._ending.is_set():
                raise LaunchError("is not started: the master ends")
            child = Child(number, self._order(), self._clock, self._figures, self._hear_uses)
            self._others.add(child)
            try:
                await child.start(START_WAIT)
            except BaseException:
                await child.kill()
                self._others.discard(child)
                raise
            if self._ending.is_set():  # it was too young to hear of it
                child.drain(FAREWELL, last=True)
            return child

    def _share_out(self) -> None:
        """See that somebody accepts from the sockets of every slot."""
        serving = {slot.number: child for slot in self.slots if (child := slot.serving) is not None}
        orphans = [slot.number for slot in self.slots if slot.number not in serving]
        plan = share({number: child.covers for number, child in serving.items()}, orphans)
        for number, covers in plan.items():
            serving[number].cover(covers)

    # --- a worker that leaves --------------------------------------------------------------------------------

    async def _keep(self, slot: Slot) -> None:
        """Start another worker whenever the slot's leaves by itself."""
        while True:
            child = slot.child
            assert child is not None  # noqa: S101  # it was filled, here or by ``start``
            await child.leaving.wait()
            self._share_out()
            async with slot.filling:
                if slot.child is not child:
                    continue  # it has been replaced
                slot.child = None
                self._others.add(child)
                reason = await self._part(child)
                self.counts.restarts[reason] += 1
            await self._refill(slot, slot.backoff.died(served=True))

    async def _part(self, child: Child) -> str:
        """See a worker off that leaves by itself, and say why it does."""
        if child.state == "draining":
            self._send_off(child, self._limit() + GRACE)
            log.notice("worker drains by itself", worker=child.slot, pid=child.pid)
            return "left"
        await child.ended.wait()
        self._others.discard(child)
        reason = "hung" if child.hung else "exit" if (child.returncode or 0) >= 0 else "killed"
        log.error("worker died", worker=child.slot, pid=child.pid, how=child.how())
        return reason

    async def _refill(self, slot: Slot, delay: float) -> None:
        """Fill an empty slot, however often that takes."""
        while True:
            slot.again.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(slot.again.wait(), delay)
            try:
                async with slot.filling:
                    await self._fill(slot)
            except Exception as error:  # noqa: BLE001  # whatever it is, the slot is not given up
                self.counts.restarts["failed"] += 1
                delay = slot.backoff.died(served=False)
                self._tell("worker does not start", slot, error, again_in_seconds=delay)
            else:
                return

    @staticmethod
    def _tell(event: str, slot: Slot, error: Exception, **values: Any) -> None:
        """Log why there is no new worker for a slot."""
        if isinstance(error, LaunchError):
            problems = [str(problem) for problem in error.problems]
            log.error(event, worker=slot.number, reason=str(error), problems=problems, **values)
        else:
            log.crit(event, worker=slot.number, exc_info=error, **values)

    def _send_off(self, child: Child, limit: float) -> None:
        """Wait, beside the caller, for a worker that drains, and kill it where it does not end."""

        async def part() -> None:
            if not await child.see_off(limit):
                log.error("worker did not end and was killed", worker=child.slot, pid=child.pid)
            self._others.discard(child)

        task = asyncio.get_running_loop().create_task(part())
        self._partings.add(task)
        task.add_done_callback(self._partings.discard)

    # --- replacement -----------------------------------------------------------------------------------------

    async def replace(self, slots: Iterable[Slot] | None = None) -> bool:
        """Put new workers in place of those there, one after the other; false where one could not be had.

        A new worker accepts before the old one ceases to. The first that does not get so far ends it: the old ones
        stay.
        """
        for slot in slots if slots is not None else self.slots:
            async with slot.filling:
                if not await self._replace(slot):
                    return False
        return True

    async def _replace(self, slot: Slot) -> bool:
        old = slot.serving
        if old is None:
            slot.again.set()  # the next one is a new one anyway, and may come up where those before did not
            return True
        try:
            new = await self._launch(slot.number)
        except Exception as error:  # noqa: BLE001  # whatever it is, the old one goes on
            self.counts.replacements["aborted"] += 1
            self._tell("worker not replaced", slot, error)
            return False
        slot.child = new
        slot.backoff.started()
        self._others.discard(new)
        self._others.add(old)
        self.counts.replacements["success"] += 1
        new.cover(old.covers)
        old.drain(self._limit())
        self._send_off(old, self._limit() + GRACE)
        self._share_out()
        log.notice("worker replaced", worker=slot.number, pid=new.pid, old_pid=old.pid)
        return True

    def hurry(self) -> None:
        """Fill slots that wait for another try, now: something has changed."""
        for slot in self.slots:
            slot.again.set()

    # --- the end ---------------------------------------------------------------------------------------------

    async def stop(self, limit: float, delay: float = 0.0) -> None:
        """Ask them all to end, within ``limit`` seconds, which may be infinite, behind a ``delay``."""
        self._ending.set()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for child in self.children:
            child.drain(limit, delay, last=True)
            self._send_off(child, limit + delay + GRACE)
        if self.cutting.is_set():
            self.cut()

    async def gone(self) -> None:
        """Wait until they have ended."""
        await asyncio.gather(*self._partings, return_exceptions=True)

    def cut(self) -> None:
        """Wait for no requests any longer."""
        self.cutting.set()
        for child in self.children:
            child.tell("cut")
            self._send_off(child, GRACE)  # it may hang, and hear nothing


def _crashed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.crit("a slot is left to itself", exc_info=error)
