"""A new TLS connection for every request, whole or resumed: what a handshake costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.certificate import make
from benchmarks.clients.run import run as run_client
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.accounted import rounds
from benchmarks.scenarios.compare import Probe

if TYPE_CHECKING:
    from benchmarks.process import Server
    from benchmarks.scenarios.accounted import Load, Result
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp")
KINDS = {"whole": False, "resumed": True}
COLUMNS = ["proxy", "handshake", "CPU µs/connection", "connections/s", "p50 ms", "resumed", "CPU ÷ nginx"]


def run(bench: Bench) -> Section:
    """Compare proxies that show the same certificate, P-256, to a client that speaks TLS 1.3."""
    section = Section("handshakes", "handshakes: a new TLS connection each, with one GET", COLUMNS)
    loads = {title: _load(bench, resume=resume) for title, resume in KINDS.items()}
    probe = Probe(bench.directory, "/", tls=make(bench.directory))
    taken = rounds(bench, section, bench.among(*PEERS), loads, "connections", probe=probe)
    for (peer, title), results in taken.items():
        section.rows.append(_row(peer, title, results, taken.get(("nginx", title))))
        section.figures.setdefault(peer, {})[title] = _cpu(results)
    section.rows.sort(key=lambda row: list(KINDS).index(row[1]))
    section.notes.append("one connection after the other, so that connections/s is mostly the client's own")
    return section


def _load(bench: Bench, *, resume: bool) -> Load:
    def load(server: Server) -> Result:
        return run_client(
            "handshakes", server, {"resume": resume}, seconds=bench.seconds, core=bench.load_core
        )

    return load


def _row(peer: str, title: str, results: list[Result], reference: list[Result] | None) -> list[str]:
    resumed = sum(result["resumed"] for result in results) / sum(result["connections"] for result in results)
    return [
        peer,
        title,
        median_and_range([result["cpu_us"] for result in results], ".0f"),
        median_and_range([result["connections"] / result["spent"] for result in results], ",.0f"),
        median_and_range([result["us"]["p50"] / 1000 for result in results], ".2f"),
        f"{resumed:.0%}",
        f"{_cpu(results) / _cpu(reference):.2f}" if reference else "-",
    ]


def _cpu(results: list[Result]) -> float:
    return statistics.median(result["cpu_us"] for result in results)
