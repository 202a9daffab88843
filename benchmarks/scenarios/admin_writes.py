"""A gateway with a database: what it costs requests while nothing is written, and whether they notice that something is.

A thousand consumers, each with a key, are written over the Admin API while clients post and never ask twice.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks import accounting
from benchmarks.heads import COUNT, default_path
from benchmarks.load import LoadError, write_script
from benchmarks.origin import static_origin
from benchmarks.peers.proxyd import ProxydPeer, one_route
from benchmarks.process import Command, Server, ServerError, free_port
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.base import fetch, measure
from benchmarks.scenarios.compare import in_turn
from benchmarks.scenarios.processes import WORKERS, Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.scenarios.base import Bench

CONSUMERS = 1000
WRITERS = 8  # at the same time
PEPPER = "p" * 40
COLUMNS = ["proxyd", "requests", "failed", "CPU µs/request", "writes", "ms/write", "ms/write p99", "reloads"]
OFF, IDLE, OPEN = "no database", "SQLite, nothing written", "SQLite, and an open dashboard"
LOOKED_AT = ("/dashboard/overview?range=5m", "/dashboard/series?range=5m")  # by a dashboard, each second


class WithDatabase(ProxydPeer):
    """Two workers whose entities are in the file or, with a database, in SQLite."""

    def __init__(self, name: str, *, database: bool, dashboard: bool = False) -> None:
        self.name = name
        self.admin = 0
        self.dashboard = dashboard
        self._database = database

    def start(self, directory: Path, listen: int, origin: int) -> Command:
        """Return how to start it, with an admin listener; nothing is left of an earlier start."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self.admin = free_port()
        made = self.command_for(directory, one_route(origin), listen=listen)
        env = {"PROXYD_WORKERS": str(WORKERS), "PROXYD_ADMIN_LISTEN": f"127.0.0.1:{self.admin}"}
        if self._database:
            env |= {"PROXYD_DATABASE": f"sqlite:///{directory / 'proxyd.db'}", "PROXYD_KEY_PEPPER": PEPPER}
        return Command(made.argv, made.env | env)


def run(bench: Bench) -> Section:
    """Measure both while nothing is written, then write."""
    section = Section(
        "admin-writes", f"admin-writes: {CONSUMERS:,} consumers written under load", COLUMNS, raw={}
    )
    peers = [
        WithDatabase(OFF, database=False),
        WithDatabase(IDLE, database=True),
        WithDatabase(OPEN, database=True, dashboard=True),
    ]
    if reason := peers[0].missing():
        section.notes.append(f"skipped: {reason}")
        return section
    try:
        with static_origin(bench.directory, bench.load_core) as origin:
            _idle(bench, section, peers, origin.port)
            _written(bench, section, peers[1], origin.port)
    except (ServerError, LoadError, aiohttp.ClientError) as error:
        section.failed = True
        section.notes.append(f"failed: {error}")
    section.notes.append(f"{WORKERS} workers and their master on one core, clients and backend on another")
    section.notes.append(
        "while consumers are written, CPU is that of all of it: requests, writes, and reloads of every worker"
    )
    section.notes.append(
        f"a write is one POST of a consumer or of its key, {WRITERS} at a time, answered when the workers run it"
    )
    return section


def _idle(bench: Bench, section: Section, peers: list[WithDatabase], origin: int) -> None:
    script = write_script(bench.directory, "admin-writes", default_path, COUNT)
    samples: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in peers}
    for number, peer in in_turn(peers, bench.rounds):
        assert isinstance(peer, WithDatabase)
        listen = free_port()
        command = peer.start(bench.directory / "admin-writes", listen, origin)
        with Server(
            "proxyd", command, port=listen, core=bench.proxy_core, directory=bench.directory
        ) as server:
            fetch(listen, "/")
            with looking(peer.admin if peer.dashboard else 0):
                sample = measure(bench, server, script)
        samples[peer.name].append(sample.raw())
        bench.say(f"admin-writes: round {number + 1} {peer.name}: {sample.cpu_us:.1f} µs/request")
    for name, taken in samples.items():
        requests = str(sum(sample["requests"] for sample in taken))
        errors = str(sum(sum(sample["errors"].values()) for sample in taken))
        cpu = median_and_range([sample["cpu_us"] for sample in taken])
        section.rows.append([name, requests, errors, cpu, "-", "-", "-", "-"])
        section.figures[name] = {"cpu_us": statistics.median(sample["cpu_us"] for sample in taken)}
    section.raw["idle"] = samples


@contextmanager
def looking(admin: int) -> Iterator[None]:
    """Ask the admin listener at a port what a dashboard asks it, each second; 0 for nobody who does."""
    over = threading.Event()

    def look() -> None:
        while True:
            for path in LOOKED_AT:
                fetch(admin, path)
            if over.wait(1.0):
                return

    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(look) if admin else None
        try:
            yield
        finally:
            over.set()
        if looks is not None:
            looks.result()


@dataclass
class Writer:
    """Writes consumers, and keeps how long each write took, in seconds."""

    admin: str
    taken: list[float] = field(default_factory=list)

    async def write(self) -> None:
        """Write all of them; ServerError where one is refused, or a key does not work."""
        numbers = iter(range(CONSUMERS))
        async with aiohttp.ClientSession(self.admin) as session:
            await asyncio.gather(*(self._some(session, numbers) for _ in range(WRITERS)))

    async def _some(self, session: aiohttp.ClientSession, numbers: Any) -> None:
        for number in numbers:
            await self._post(session, "/consumers", {"username": f"consumer-{number}"})
            await self._post(session, f"/consumers/consumer-{number}/key-auth", {"key": f"key-{number}"})

    async def _post(self, session: aiohttp.ClientSession, path: str, document: dict[str, str]) -> None:
        began = time.monotonic()
        async with session.post(path, json=document) as answer:
            if answer.status != 201:
                raise ServerError(f"POST {path}: {answer.status} {await answer.text()}")
        self.taken.append(time.monotonic() - began)


def _written(bench: Bench, section: Section, peer: WithDatabase, origin: int) -> None:
    listen = free_port()
    command = peer.start(bench.directory / "admin-writes", listen, origin)
    with Server("proxyd", command, port=listen, core=bench.proxy_core, directory=bench.directory) as server:
        fetch(listen, "/")
        writer = Writer(f"http://127.0.0.1:{peer.admin}")
        before = accounting.cpu_ns(server.pid)
        load = asyncio.run(_under_load(listen, writer))
        cpu_us = (accounting.cpu_ns(server.pid) - before) / 1000 / load.done
        reloads = asyncio.run(_reloads(writer.admin))
    median = statistics.median(writer.taken) * 1000
    p99 = statistics.quantiles(writer.taken, n=100)[98] * 1000
    section.rows.append(
        [
            f"SQLite, {CONSUMERS:,} consumers written",
            str(load.done),
            str(len(load.failures)),
            f"{cpu_us:.1f}",
            str(len(writer.taken)),
            f"{median:.0f}",
            f"{p99:.0f}",
            str(reloads),
        ]
    )
    section.raw["written"] = {
        "requests": load.done,
        "failures": load.failures[:20],
        "failed": len(load.failures),
        "seconds": writer.taken,
        "reloads": reloads,
    }
    section.failed = bool(load.failures)
    bench.say(f"admin-writes: {load.done} requests, {len(load.failures)} failed, {median:.0f} ms/write")


async def _under_load(listen: int, writer: Writer) -> Load:
    load = Load(listen)
    await writer.write()
    await load.stop()
    return load


async def _reloads(admin: str) -> int:
    async with aiohttp.ClientSession(admin) as session, session.get("/status") as answer:
        status = await answer.json()
        return int(status["generation"]) - 1
