"""What it costs to count so that a killed worker forgets nothing, and what a scrape of many workers costs.

    python -m benchmarks.figures --workers 8 --routes 50 --replacements 200

Prints the time of ``meter.observe`` without and with a journal, and the CPU time of a scrape before and behind so many
replacements of workers, with the number of lines and of open files.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import timeit
from pathlib import Path

from proxyd.clock import Clock
from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.telemetry.exposition import FleetExposition
from proxyd.telemetry.fleet import Fleet
from proxyd.telemetry.journal import Journal, make_file
from proxyd.telemetry.meter import Meters
from proxyd.telemetry.record import Telemetry
from proxyd.telemetry.report import Reporter
from proxyd.telemetry.source import ConfigState, ConnectionCounts, LimitCounts, TlsState

CALLS = 100_000
STATUSES = (200, 404)  # of each route


class Source:
    """A gateway that has nothing to tell but its requests."""

    def __init__(self) -> None:
        self.config = ConfigState(Clock())
        self.tls_state = TlsState()

    def connections(self) -> ConnectionCounts:
        """Count client connections."""
        return ConnectionCounts()

    def targets(self) -> tuple[()]:
        """List nothing, as the next ones do."""
        return ()

    protections = key_sets = targets

    def limits(self) -> LimitCounts:
        """Tell how counting goes."""
        return LimitCounts()

    def overload(self) -> None:
        """Tell of no overload control."""

    def not_ready(self) -> str:
        """Be ready."""
        return ""


def exchange(status: int = 200) -> Exchange:
    """Return a request that is over."""
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    one = Exchange(head, Client("192.0.2.1", 1, "http", 8000), 1000.0)
    one.status, one.bytes_sent = status, 300
    one.sent, one.response_ended, one.ended = 1000.0002, 1000.001, 1000.0012
    return one


class Worker:
    """What counts in a worker."""

    def __init__(self, fleet: Fleet, slot: int, pid: int, routes: int) -> None:
        fd = fleet.open()
        self.pid = pid
        self.journal = Journal(os.dup(fd))
        self.telemetry = Telemetry(Clock(), journal=self.journal)
        fleet.begun(slot, pid, fd)
        for number in range(routes):
            meter = self.telemetry.meters.of(f"route-{number}", f"service-{number}")
            for status in STATUSES:
                self.telemetry.finished(exchange(status), meter)
        self.reporter = Reporter(self.journal, self.telemetry, Source())
        self.reporter.write_now()


def observe() -> None:
    """Print what a request costs."""
    one = exchange()
    journal = Journal(make_file())
    journal.full = lambda _now: journal.store(0, b"", journal.count)
    for label, meters in (("without a journal", Meters()), ("with one", Meters(journal))):
        count = meters.of("route", "service").observe
        seconds = min(timeit.repeat(lambda: count(one), number=CALLS, repeat=7)) / CALLS  # noqa: B023  # called here
        print(f"meter.observe {label}: {seconds * 1e9:.0f} ns")


async def scrape(exposition: FleetExposition, worker: Worker, label: str) -> None:
    """Print what a scrape costs."""

    async def once() -> tuple[float, bytes]:
        before = time.process_time()
        text, _ = await exposition.write("")
        return time.process_time() - before, text

    runs = [await once() for _ in range(3)]
    before = time.process_time()
    worker.reporter.write_now()
    report = time.process_time() - before
    lines = runs[-1][1].count(b"\n")
    files = len(list(Path("/proc/self/fd").iterdir()))  # noqa: ASYNC240  # the kernel's
    print(
        f"scrape {label}: {min(runs)[0] * 1e3:.1f} ms of the master, {report * 1e3:.2f} ms of each worker, "
        f"{lines} lines, {files} open files"
    )


async def scrapes(workers: int, routes: int, replacements: int) -> None:
    """Print what scrapes cost before and behind replacements."""

    async def nobody() -> None:
        """Ask no worker: each has just reported."""

    fleet = Fleet()
    running = [Worker(fleet, slot, slot + 1, routes) for slot in range(workers)]
    exposition = FleetExposition(fleet, nobody, lambda: ())
    await scrape(exposition, running[0], f"of {workers} workers with {routes} routes")
    for number in range(replacements):
        slot = number % workers
        old = running[slot]
        running[slot] = Worker(fleet, slot, workers + number + 1, routes)
        fleet.ended(old.pid)
        old.journal.close()
    await scrape(exposition, running[0], f"{replacements} replacements later")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--routes", type=int, default=50)
    parser.add_argument("--replacements", type=int, default=200)
    arguments = parser.parse_args()
    observe()
    asyncio.run(scrapes(arguments.workers, arguments.routes, arguments.replacements))


if __name__ == "__main__":
    main()
