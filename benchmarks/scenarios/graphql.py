"""POST of a GraphQL query through the usual policies: what understanding it costs beside passing it on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from benchmarks.heads import COUNT
from benchmarks.load import write_script
from benchmarks.peers.graphql import BODY, GRAPHQL_PEERS, HEADERS, QUERY, REST
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

TITLE = "graphql: the same POST with less and more of the plugin graphql; REST is without it"
PATH = "/graphql"
VARIABLES = '{"id":"48213","first":20}'


def run(bench: Bench) -> Section:
    """Compare the gateway with itself, everything behind key-auth, rate-limiting, correlation-id, prometheus and a JSON access log."""
    asked = urlencode({"query": QUERY, "operationName": "Orders", "variables": VARIABLES})
    probe = Probe(script(bench.directory), f"{PATH}?{asked}", HEADERS)
    section = compare(bench, "graphql", TITLE, GRAPHQL_PEERS, probe, REST)
    section.notes[:0] = [f"{peer.name}: {peer.shown}" for peer in GRAPHQL_PEERS]
    return section


def script(directory: Path) -> Path:
    """Write the requests: heads that differ, and one body."""
    return write_script(directory, "graphql", _path, COUNT, HEADERS, upload=BODY)


def _path(index: int, rng: random.Random) -> str:
    del index, rng
    return PATH
