"""Server-Sent Events to many clients, a stream each: what passing an event on costs, and how late it comes."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.clients.run import run as run_client
from benchmarks.origin_server import EVENT_SECONDS
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.accounted import rounds
from benchmarks.scenarios.compare import Probe

if TYPE_CHECKING:
    from benchmarks.process import Server
    from benchmarks.scenarios.accounted import Result
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp", "fastify", "nextjs")
STREAMS = 500
COLUMNS = ["proxy", "events/s", "CPU µs/event", "delay p50 ms", "p99 ms", "p99.9 ms", "CPU ÷ nginx"]


def run(bench: Bench) -> Section:
    """Compare the proxies that stream."""
    title = f"events: Server-Sent Events, {STREAMS} streams"
    section = Section("events", title, COLUMNS)

    def listen(server: Server) -> Result:
        options = {"streams": STREAMS}
        return run_client("events", server, options, seconds=bench.seconds, core=bench.load_core)

    probe = Probe(bench.directory, "/api/v1/orders/1")
    taken = rounds(bench, section, bench.among(*PEERS), {"all streams": listen}, "events", probe=probe)
    reference = taken.get(("nginx", "all streams"))
    for (peer, _), results in taken.items():
        section.rows.append(_row(peer, results, reference))
        section.figures[peer] = {"cpu_us": _cpu(results)}
    section.notes.append(
        f"every {EVENT_SECONDS:g} s the backend sends each of {STREAMS} streams an event, one stream after the other; "
        "delays count from the first, so half of that round is in their median"
    )
    return section


def _row(peer: str, results: list[Result], reference: list[Result] | None) -> list[str]:
    return [
        peer,
        median_and_range([result["events"] / result["spent"] for result in results], ",.0f"),
        median_and_range([result["cpu_us"] for result in results]),
        *(
            median_and_range([result["us"][name] / 1000 for result in results], ".2f")
            for name in ("p50", "p99", "p99.9")
        ),
        f"{_cpu(results) / _cpu(reference):.2f}" if reference else "-",
    ]


def _cpu(results: list[Result]) -> float:
    return statistics.median(result["cpu_us"] for result in results)
