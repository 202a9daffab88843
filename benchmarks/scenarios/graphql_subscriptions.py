"""GraphQL subscriptions to many clients, a WebSocket each: what passing a result on costs, and how late it comes."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.clients.run import run as run_client
from benchmarks.origin import graphql_origin
from benchmarks.origin_server import EVENT_SECONDS
from benchmarks.peers.graphql import SUBSCRIBED
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.accounted import rounds
from benchmarks.scenarios.compare import Probe

if TYPE_CHECKING:
    from benchmarks.process import Server
    from benchmarks.scenarios.accounted import Result
    from benchmarks.scenarios.base import Bench

CONNECTIONS = 500
COLUMNS = ["proxy", "results/s", "CPU µs/result", "delay p50 ms", "p99 ms", "p99.9 ms", "CPU ÷ spliced"]
PATH = "/graphql"


def run(bench: Bench) -> Section:
    """Compare the gateway with itself: bytes passed on unread, the plugin, and one subscription upstream for all."""
    title = f"graphql-subscriptions: graphql-transport-ws, one publisher, {CONNECTIONS} subscribers"
    section = Section("graphql-subscriptions", title, COLUMNS)

    def listen(server: Server) -> Result:
        options = {"connections": CONNECTIONS, "path": PATH, "headers": {}}
        return run_client("subscriptions", server, options, seconds=bench.seconds, core=bench.load_core)

    probe = Probe(bench.directory, f"{PATH}?query=%7B__typename%7D")
    taken = rounds(
        *(bench, section, SUBSCRIBED, {"all": listen}, "results"), probe=probe, make_origin=graphql_origin
    )
    reference = taken.get((SUBSCRIBED[0].name, "all"))
    for (peer, _), results in taken.items():
        section.rows.append(_row(peer, results, reference))
        section.figures[peer] = {"cpu_us": _cpu(results)}
    section.notes += [f"{peer.name}: {peer.shown}" for peer in SUBSCRIBED]
    section.notes.append(
        f"every {EVENT_SECONDS:g} s the backend sends each of {CONNECTIONS} subscriptions a result, one after the other; "
        "delays count from when it was made"
    )
    return section


def _row(peer: str, results: list[Result], reference: list[Result] | None) -> list[str]:
    return [
        peer,
        median_and_range([result["results"] / result["spent"] for result in results], ",.0f"),
        median_and_range([result["cpu_us"] for result in results]),
        *(
            median_and_range([result["us"][name] / 1000 for result in results], ".2f")
            for name in ("p50", "p99", "p99.9")
        ),
        f"{_cpu(results) / _cpu(reference):.2f}" if reference else "-",
    ]


def _cpu(results: list[Result]) -> float:
    return statistics.median(result["cpu_us"] for result in results)
