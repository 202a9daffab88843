"""Answers of 100 KiB: what relaying bytes costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.heads import COUNT
from benchmarks.load import write_script
from benchmarks.scenarios.compare import compare

if TYPE_CHECKING:
    import random

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench


def run(bench: Bench) -> Section:
    """Compare all proxies."""
    script = write_script(bench.directory, "download", _path, COUNT)
    return compare(bench, "download", "download: GET, 100 KiB", script, "/download?n=0")


def _path(index: int, rng: random.Random) -> str:
    return f"/download?n={index}&key={rng.randrange(1_000_000)}"
