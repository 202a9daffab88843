"""A new connection for every request: what accepting and closing costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.heads import COUNT, default_path
from benchmarks.load import write_script
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp")


def run(bench: Bench) -> Section:
    """Compare proxies that are told to close; their connections to the backend stay."""
    script = write_script(bench.directory, "connections", default_path, COUNT, {"Connection": "close"})
    title = "connections: GET, small JSON, a new connection each"
    probe = Probe(script, "/api/v1/orders/1")
    return compare(bench, "connections", title, bench.among(*PEERS), probe)
