"""A file of ten routes beside one of 10,000 routes and 10,000 consumers: matching must not cost more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import accounting
from benchmarks.load import write_script
from benchmarks.origin import static_origin
from benchmarks.peers.proxyd import ProxydPeer
from benchmarks.process import Server, ServerError, free_port
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.base import Sample, fetch, measure

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.scenarios.base import Bench

COLUMNS = ["file", "CPU µs/request", "requests/s", "p99 ms", "ready after s", "resident MB"]
ROUTES_PER_SERVICE = 10
REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class File:
    """How large a configuration is, and how many of its routes are asked for, 0 for all."""

    title: str
    routes: int
    consumers: int
    regexes: int = 0
    asked: int = 0


FILES = (
    File("10 routes", 10, 0),
    File("10,000 routes, 10,000 consumers", 10_000, 10_000),
    File("the same, 10 of its routes asked for", 10_000, 10_000, asked=10),
    File("the same with 100 regex routes", 10_000, 10_000, 100),
)


def run(bench: Bench) -> Section:
    """Measure proxyd with each file, its requests spread over all routes."""
    section = Section("routes", "routes: does the size of the file cost anything?", COLUMNS)
    peer = ProxydPeer()
    taken: dict[File, list[tuple[Sample, float, float]]] = {file: [] for file in FILES}
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    with static_origin(bench.directory, bench.load_core) as origin:
        scripts = {file: script(bench.directory, file) for file in FILES}
        for number in range(bench.rounds):
            for file in FILES if number % 2 == 0 else FILES[::-1]:
                measured = _one(bench, peer, file, origin.port, scripts[file])
                taken[file].append(measured)
                bench.say(
                    f"routes: round {number + 1}/{bench.rounds} {file.title}: {measured[0].cpu_us:.1f} µs/request"
                )
    for file, runs in taken.items():
        section.rows.append(_row(file, runs))
        errors = [sample.errors for sample, _, _ in runs if sample.errors]
        if errors:
            section.notes.append(f"{file.title}: invalid: errors {errors}")
    section.raw = {
        file.title: [{**sample.raw(), "ready_seconds": ready, "rss": rss} for sample, ready, rss in runs]
        for file, runs in taken.items()
    }
    return section


def document(file: File, origin: int) -> dict[str, Any]:
    """Return a declarative file with as many entities as ``file`` says, all services on ``origin``."""
    services: list[dict[str, Any]] = []
    for service in range(file.routes // ROUTES_PER_SERVICE):
        routes = []
        for number in range(ROUTES_PER_SERVICE):
            route: dict[str, Any] = {
                "name": f"route-{service}-{number}",
                "paths": [f"/s{service}/r{number}"],
                "strip_path": False,
            }
            if number % 3 == 0:
                route["methods"] = ["GET", "POST"]
            routes.append(route)
        services.append({"name": f"service-{service}", "url": f"http://127.0.0.1:{origin}", "routes": routes})
    for number in range(file.regexes):
        regex = {"name": f"regex-{number}", "paths": [rf"~/x{number}/(?<id>\d+)/edit$"], "strip_path": False}
        services[number]["routes"].append(regex)
    consumers = [
        {"username": f"user-{number}", "keyauth_credentials": [{"key": f"key-{number:032d}"}]}
        for number in range(file.consumers)
    ]
    return {"_format_version": "3.0", "services": services, "consumers": consumers}


def script(directory: Path, file: File) -> Path:
    """Write the requests that go over all routes of ``file``."""

    def path(index: int, rng: random.Random) -> str:
        # A step that shares no factor with the count visits every route before it returns to one.
        route = index * 7919 % (file.asked or file.routes)
        return f"/s{route // ROUTES_PER_SERVICE}/r{route % ROUTES_PER_SERVICE}/items/{rng.randrange(100_000)}?n={index}"

    return write_script(directory, f"routes-{file.routes}-{file.regexes}-{file.asked}", path, REQUESTS)


def _one(
    bench: Bench, peer: ProxydPeer, file: File, origin: int, script: Path
) -> tuple[Sample, float, float]:
    listen = free_port()
    command = peer.command_for(bench.directory, document(file, origin), listen=listen)
    with Server(peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory) as server:
        if not fetch(listen, "/s0/r0/items/1"):
            raise ServerError("an empty body came back")
        sample = measure(bench, server, script)
        return sample, server.startup_seconds, accounting.rss_bytes(server.pid)


def _row(file: File, runs: list[tuple[Sample, float, float]]) -> list[str]:
    return [
        file.title,
        median_and_range([sample.cpu_us for sample, _, _ in runs]),
        median_and_range([sample.rate for sample, _, _ in runs], ",.0f"),
        median_and_range([sample.p99_us / 1000 for sample, _, _ in runs], ".2f"),
        median_and_range([ready for _, ready, _ in runs], ".2f"),
        median_and_range([rss / 1e6 for _, _, rss in runs], ".0f"),
    ]
