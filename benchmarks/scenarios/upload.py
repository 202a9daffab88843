"""POST of 1 MB: what taking bytes in costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load import write_script
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp", "fastify")
SIZE = 1_000_000
REQUESTS = 16  # the load tool holds each whole


def run(bench: Bench) -> Section:
    """Compare the proxies that pass a body on while it comes in."""
    probe = Probe(script(bench.directory), "/api/v1/orders/1", streams=True)
    return compare(bench, "upload", "upload: POST, 1 MB", bench.among(*PEERS), probe)


def script(directory: Path) -> Path:
    """Write the requests."""
    return write_script(directory, "upload", _path, REQUESTS, upload=SIZE)


def _path(index: int, rng: random.Random) -> str:
    return f"/sink?n={index}&key={rng.randrange(1_000_000)}"
