"""A master with its workers as its admin listener sees them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from proxyd.admin.dashboard.observed import of_many
from proxyd.admin.source import BusyError
from proxyd.master.channel import ChannelError
from proxyd.telemetry.source import TargetState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxyd.admin.audit.auditor import Auditor
    from proxyd.admin.dashboard.observed import Observation
    from proxyd.database.live import Live
    from proxyd.master.child import Child
    from proxyd.master.master import Master
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.telemetry.admin_families import AdminCounts
    from proxyd.telemetry.source import ConfigState

MARK_WAIT = 2.0  # seconds that a worker gets to hear of a target's health
TAIL_WAIT = 0.4  # seconds that a worker gets to tell what it has for those who watch


class Administered:
    """Implements ``admin.source.AdminSource``.

    A master passes texts on and does not read them: ``take`` does, once for each text that somebody asks about.
    """

    def __init__(self, master: Master, loaded: Loaded, take: Callable[[str], Loaded]) -> None:
        self.settings: Settings = master.settings
        self.admin_counts: AdminCounts = master.admin_counts
        self.auditor: Auditor = master.auditor
        self.uses = master.uses
        self._master = master
        self._take = take
        self._loaded = loaded
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Administered {self._master!r}>"

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""
        return self._master.config

    @property
    def database(self) -> Live | None:
        """The database of entities."""
        return self._master.database

    async def observe(self) -> Observation:
        """Return how the gateway is now, as workers have written it down; they are not asked for it."""
        return of_many(self._master, await self._master.fleet.total())

    async def loaded(self) -> Loaded:
        """Return the configuration that runs."""
        async with self._reading:
            if self._loaded.hash != self._master.config.digest:
                self._loaded = await asyncio.to_thread(self._take, self._master.text)
            return self._loaded

    async def text(self) -> str | None:
        """Return the text that workers are started with."""
        return self._master.text

    async def apply(self, text: str) -> Loaded:
        """Have all workers take a text over, or none; raises ConfigError, or BusyError."""
        if self._master.changing:
            raise BusyError
        loaded = await asyncio.to_thread(self._take, text)
        await self._master.change(lambda: text)
        async with self._reading:
            self._loaded = loaded
        return loaded

    async def targets(self) -> Sequence[TargetState]:
        """List every address as its workers see it: as long as one of them sends requests there, it is healthy."""
        await self._master.refresh()
        merged: dict[tuple[str, str, str], TargetState] = {}
        for state in self._master.fleet.summary().states:
            for values in state["upstreams"]:
                one = TargetState(**values)
                key = (one.upstream, one.target, one.address)
                if key not in merged or (one.available and not merged[key].available):
                    merged[key] = one
        return list(merged.values())

    async def mark(self, upstream: str, target: str, address: str | None, *, healthy: bool) -> int:
        """Have every worker take somebody's word for a target's health; return of how many of its addresses."""
        asked = [child for child in self._master.workers() if child.state != "starting"]
        answers = await asyncio.gather(
            *(
                child.ask(
                    "mark",
                    within=MARK_WAIT,
                    upstream=upstream,
                    target=target,
                    address=address,
                    healthy=healthy,
                )
                for child in asked
            ),
            return_exceptions=True,  # who ends meanwhile has no say, and who hangs is ended
        )
        return max((one["marked"] for one in answers if isinstance(one, dict)), default=0)

    async def tail(self, watches: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, bytes]]:
        """Return what every worker has for those who watch requests; who does not answer in time tells the next time."""

        async def ask(child: Child) -> tuple[int, bytes] | None:
            try:
                return child.pid, await child.tail(watches, TAIL_WAIT)
            except ChannelError:
                return None

        asked = [child for child in self._master.workers() if child.state != "starting"]
        return [told for told in await asyncio.gather(*map(ask, asked)) if told is not None]
