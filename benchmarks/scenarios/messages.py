"""WebSocket messages of several sizes to and fro: what relaying one costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.clients.run import run as run_client
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.accounted import rounds
from benchmarks.scenarios.compare import Probe

if TYPE_CHECKING:
    from benchmarks.process import Server
    from benchmarks.scenarios.accounted import Load, Result
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp", "fastify")
CONNECTIONS = 32
SIZES = {"64 B": 64, "1 KiB": 1024, "16 KiB": 16_384}
COLUMNS = ["proxy", "message", "messages/s", "CPU µs/message", "p50 ms", "p99 ms", "CPU ÷ nginx"]


def run(bench: Bench) -> Section:
    """Compare the proxies that pass WebSockets on."""
    section = Section("messages", f"messages: WebSocket echoes on {CONNECTIONS} connections", COLUMNS)
    loads = {title: _load(bench, size) for title, size in SIZES.items()}
    peers = bench.among(*PEERS)
    taken = rounds(bench, section, peers, loads, "messages", probe=Probe(bench.directory, "/"))
    for (peer, title), results in taken.items():
        section.rows.append(_row(peer, title, results, taken.get(("nginx", title))))
        section.figures.setdefault(peer, {})[title] = _cpu(results)
    section.rows.sort(key=lambda row: list(SIZES).index(row[1]))
    section.notes.append(
        "a message up and its echo down are two messages; each connection has one of them under way"
    )
    return section


def _load(bench: Bench, size: int) -> Load:
    def load(server: Server) -> Result:
        options = {"size": size, "connections": CONNECTIONS}
        result = run_client("messages", server, options, seconds=bench.seconds, core=bench.load_core)
        return result | {"messages": 2 * result["echoes"]}

    return load


def _row(peer: str, title: str, results: list[Result], reference: list[Result] | None) -> list[str]:
    return [
        peer,
        title,
        median_and_range([result["messages"] / result["spent"] for result in results], ",.0f"),
        median_and_range([result["cpu_us"] for result in results]),
        median_and_range([result["us"]["p50"] / 1000 for result in results], ".2f"),
        median_and_range([result["us"]["p99"] / 1000 for result in results], ".2f"),
        f"{_cpu(results) / _cpu(reference):.2f}" if reference else "-",
    ]


def _cpu(results: list[Result]) -> float:
    return statistics.median(result["cpu_us"] for result in results)
