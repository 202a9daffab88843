"""Answers of 100 KiB: what relaying bytes costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.heads import COUNT
from benchmarks.load import write_script
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp", "fastify")


def run(bench: Bench) -> Section:
    """Compare the proxies that are known for it."""
    probe = Probe(script(bench.directory), "/download?n=0")
    return compare(bench, "download", "download: GET, 100 KiB", bench.among(*PEERS), probe)


def script(directory: Path) -> Path:
    """Write the requests."""
    return write_script(directory, "download", _path, COUNT)


def _path(index: int, rng: random.Random) -> str:
    return f"/download?n={index}&key={rng.randrange(1_000_000)}"
