"""A worker's figures, written down for its master: from time to time, and when it asks.

Rows of routes are made a few at a time, with requests in between. Each says which records of the journal it contains, so
that they need not be of the same moment.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.telemetry import families, kong
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.exposition import process_registry
from proxyd.telemetry.figures import LAYOUT, SLICE, meter_row, tally_row
from proxyd.telemetry.journal import FIGURES, LIVE
from proxyd.telemetry.sums import keep_lasting, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.figures import Row
    from proxyd.telemetry.journal import Journal
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource
    from proxyd.telemetry.sums import Plain

PERIOD = 1.0  # seconds between two reports that nobody has asked for

log = get_logger("metrics")


class Reporter:
    """Writes the figures of this process into its journal's file.

    What requests add to their routes is in the journal in any case. The rest, such as gauges and what log plugins have
    sent, is as old as the last report.
    """

    def __init__(self, journal: Journal, telemetry: Telemetry, source: StatusSource) -> None:
        self._journal = journal
        self._telemetry = telemetry
        self._source = source
        self._registry = process_registry()
        self._writing = asyncio.Lock()
        self._asked: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._number = 0
        self._last: list[Plain] = []  # families of the last report

    def __repr__(self) -> str:
        return f"<Reporter {'running' if self._task else 'stopped'} reports={self._number}>"

    # --- from time to time -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to report: at once, and then every ``PERIOD``, or sooner where the journal fills."""
        self._journal.full = self._full
        self.write_now()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self.write()
            except (
                Exception
            ) as error:  # whatever it is: the journal has what matters, and the next one may do
                log.error("figures were not written down", exc_info=error)  # noqa: TRY400  # no exception() here

    def _full(self, now: bool) -> None:
        if not now:
            self._asked.set()
            return
        try:
            self.write_now()
        except Exception as error:  # the request whose record is waiting has nothing to do with it
            log.error("figures were not written down", exc_info=error)  # noqa: TRY400  # no exception() here

    async def stop(self) -> None:
        """Report for the last time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._number += 1
            for _ in self._report(last=True):
                pass

    # --- a report --------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """Write a report down; requests go on meanwhile."""
        async with self._writing:
            self._number += 1
            number = self._number
            report = self._report()
            for _ in report:
                await asyncio.sleep(0)
                if self._number != number:  # the journal could not wait, and a later report is there already
                    return

    def write_now(self) -> None:
        """Write a report down, all at once."""
        self._number += 1
        for _ in self._report():
            pass

    def _report(self, *, last: bool = False) -> Iterator[None]:
        first = self._journal.count
        meters: list[Row] = []
        for number, meter in enumerate(list(self._telemetry.meters.used())):
            meters.append(meter_row(meter, self._journal.count))
            if not (number + 1) % SLICE:
                yield
        tallies: list[Row] = []
        for number, tally in enumerate(self._telemetry.tallies.all()):
            tallies.append(tally_row(tally, self._journal.count))
            if not (number + 1) % SLICE:
                yield
        rest: dict[str, Any] = {}
        yield from self._rest(rest)
        if last:  # parts that have ended tell no more, and what they had counted is not to be lost
            keep_lasting(rest["families"], self._last)
        self._last = rest["families"]
        document = orjson.dumps({"layout": LAYOUT, "meters": meters, "tallies": tallies, **rest})
        self._journal.store(FIGURES, document, first)

    def _rest(self, rest: dict[str, Any]) -> Iterator[None]:
        telemetry, source = self._telemetry, self._source
        rest["families"] = found = []
        for metric in self._families():
            found.append(plain(metric))
            if metric.name == "proxyd_latency_budget_exceeded":
                rest["last"], rest["requests"] = self._journal.count, telemetry.requests
            yield
        rest["budget"] = telemetry.budget
        overload = source.overload()
        rest["state"] = {
            "pid": os.getpid(),
            "requests": telemetry.requests,
            "hash": source.config.digest,
            "lag": telemetry.lately.worst(),
            "connections": asdict(source.connections()),
            "upstreams": [asdict(target) for target in source.targets()],
            "overload": overload.summary() if overload is not None else None,
            "resilience": [one.summary() for one in source.protections()],
        }

    def _families(self) -> Iterator[Metric]:
        yield from families.others(self._telemetry, self._source)
        yield from kong.others(self._telemetry, self._source)
        yield from self._registry.collect()

    def live(self, consumers: Iterable[str]) -> None:
        """Write down which routes and consumers there are: what was counted of others is to be forgotten."""
        routes = self._telemetry.meters.names()
        self._journal.store(LIVE, orjson.dumps({"routes": routes, "consumers": list(consumers)}))
