"""The figures of several workers as those of one gateway: what the master of workers has.

Each worker's figures stand in a file that its master holds open (``journal``). What is in the file of a worker that has
ended is added to a sum and stays there, so that counters go on whoever is replaced, and the file is closed.
"""

from __future__ import annotations

import asyncio
import os
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from proxyd.telemetry import families, kong
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.families import Piece
from proxyd.telemetry.figures import LAYOUT, Behind, Figures, RecordCounter
from proxyd.telemetry.journal import FIGURES, LIVE, OF_REQUEST, make_file
from proxyd.telemetry.journal_reading import (
    ATTEMPTS,
    Document,
    Record,
    read_area,
    read_records,
    turn_of,
)
from proxyd.telemetry.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = get_logger("metrics")

COUNTS = ("accepted", "refused", "malformed")  # of connections, since the start


class Live(NamedTuple):
    """The routes, with their services, and the consumers of a configuration."""

    routes: frozenset[tuple[str, str]] = frozenset()
    consumers: frozenset[str] = frozenset()


class Told(NamedTuple):
    """What a worker's file held at one moment."""

    slot: int
    pid: int
    document: Document
    records: list[Record]
    ended: bool

    def report(self) -> dict[str, Any] | None:
        """Return its figures; None where there are none, or none that this version understands."""
        if not self.document.text:
            return None
        report: dict[str, Any] = orjson.loads(self.document.text)
        if report["layout"] == LAYOUT:
            return report
        log.error("a worker's figures are not understood", pid=self.pid, layout=report["layout"])
        return None


class Account:
    """The file of one worker."""

    def __init__(self, slot: int, pid: int, fd: int) -> None:
        self.slot = slot
        self.pid = pid
        self._fd = fd
        self._turn = 0
        self._live = Live()

    def __repr__(self) -> str:
        return f"<Account slot={self.slot} pid={self.pid}>"

    def read(self, *, ended: bool = False) -> Told:
        """Return what the worker has written down."""
        attempts = ATTEMPTS
        while True:
            attempts -= 1
            document = read_area(self._fd, FIGURES)
            records = list(read_records(self._fd, document.last))
            # Behind later figures, records may be written over: then some are missing, and counters would go down.
            if ended or not attempts or turn_of(self._fd, FIGURES) == document.turn:
                return Told(self.slot, self.pid, document, records, ended)

    @property
    def live(self) -> Live:
        """What there is in the worker's configuration."""
        if turn_of(self._fd, LIVE) != self._turn:
            document = read_area(self._fd, LIVE)
            if document.text:
                found = orjson.loads(document.text)
                routes = frozenset((route, service) for route, service in found["routes"])
                self._live = Live(routes, frozenset(found["consumers"]))
                self._turn = document.turn
        return self._live

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class Summary:
    """What is told of all workers without a look at their routes."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []  # of those that run, as they tell them, with their slot
        self.requests = 0
        self.connections = dict.fromkeys(COUNTS, 0)

    def __repr__(self) -> str:
        return f"<Summary requests={self.requests} workers={len(self.states)}>"

    def add(self, told: Told, report: dict[str, Any]) -> None:
        """Add what a worker tells."""
        last: int = report["last"]
        behind = sum(one.kind == OF_REQUEST and one.number > last for one in told.records)
        self.requests += report["requests"] + behind
        state = report["state"]
        for name in COUNTS:
            self.connections[name] += state["connections"][name]
        if not told.ended:
            state["slot"] = told.slot
            self.states.append(state)

    def extend(self, other: Summary) -> None:
        """Add what workers that have ended have left."""
        self.requests += other.requests
        for name in COUNTS:
            self.connections[name] += other.connections[name]


class Total:
    """Figures and families of all workers, and their summary."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.sums = Sums()
        self.summary = Summary()

    def __repr__(self) -> str:
        return f"<Total {self.summary!r} {self.figures!r} {self.sums!r}>"

    def pieces(self) -> Iterator[Piece]:
        """Yield every family, as one process does."""
        yield from families.per_route(self.figures.meters)
        if kong.NODE in self.sums.families:
            yield from kong.per_route(self.figures.tallies)
        for metric in self.sums.metrics():
            yield Piece(metric)

    # --- adding ----------------------------------------------------------------------------------------------

    def add(self, told: Told) -> Iterator[None]:
        """Add what a worker tells; a turn of the iterator takes a part of it."""
        report = told.report()
        if report is None:
            return
        yield
        counter = RecordCounter(self.figures, report["last"], report["budget"])
        yield from self.figures.add(report["meters"], report["tallies"], counter)
        self.sums.add(report["families"], str(told.slot), ended=told.ended)
        yield
        behind = counter.count(told.records)
        self._bump(behind)
        self.summary.add(told, report)

    def _bump(self, behind: Behind) -> None:
        for edge, count in (("lower", behind.lower), ("upper", behind.upper)):
            if count:
                self.sums.bump("proxyd_latency_budget_exceeded_total", (("edge", edge),), count)

    def extend(self, other: Total) -> Iterator[None]:
        """Add what workers that have ended have left."""
        yield from self.figures.add(*other.figures.rows())
        self.sums.extend(other.sums)
        self.summary.extend(other.summary)

    def retain(self, live: Iterable[Live]) -> None:
        """Forget routes and consumers that no worker knows any more."""
        known = list(live)
        if known:
            self.figures.retain(
                frozenset(chain.from_iterable(one.routes for one in known)),
                frozenset(chain.from_iterable(one.consumers for one in known)),
            )


class Fleet:
    """The files of all workers: a new one for each (``open``, ``begun``), until it has ended (``ended``)."""

    def __init__(self) -> None:
        self._accounts: dict[int, Account] = {}  # by process id
        self._past = Total()
        self._waiting: list[Told] = []  # of workers that have ended while a sum was made
        self._summing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Fleet {list(self._accounts.values())} past={self._past!r}>"

    def open(self) -> int:
        """Return the descriptor of a file for a worker that is about to be started, who inherits it."""
        return make_file()

    def begun(self, slot: int, pid: int, fd: int) -> None:
        """Note whose file it is."""
        self._accounts[pid] = Account(slot, pid, fd)

    def ended(self, pid: int) -> None:
        """Keep what a worker has left that is no more."""
        account = self._accounts.pop(pid, None)
        if account is None:
            return
        self._waiting.append(account.read(ended=True))
        account.close()
        if not self._summing.locked():
            self._settle()

    def _settle(self) -> None:
        while self._waiting:
            for _ in self._past.add(self._waiting.pop(0)):
                pass
        self._past.retain(live for account in self._accounts.values() if (live := account.live).routes)

    def summary(self) -> Summary:
        """Return what all workers tell, those that have ended included, routes left out."""
        summary = Summary()
        summary.extend(self._past.summary)
        for told in (*self._waiting, *(account.read() for account in self._accounts.values())):
            report = told.report()
            if report is not None:
                summary.add(told, report)
        return summary

    async def total(self) -> Total:
        """Return the sum over all workers, those that have ended included, as their files are now."""
        async with self._summing:
            self._settle()
            told = [account.read() for account in self._accounts.values()]
            total = Total()
            for one in told:
                for _ in total.add(one):
                    await asyncio.sleep(0)
            live = Sums()
            live.extend(total.sums)
            self._past.sums.limit(live)
            for _ in total.extend(self._past):
                await asyncio.sleep(0)
        if self._waiting:
            self._settle()
        return total

    def close(self) -> None:
        """Let go of the files."""
        while self._accounts:
            self._accounts.popitem()[1].close()
