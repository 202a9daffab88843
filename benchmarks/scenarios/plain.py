"""GET of a small JSON document: what a request costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.heads import COUNT, default_path
from benchmarks.load import write_script
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench


def run(bench: Bench) -> Section:
    """Compare all proxies."""
    script = write_script(bench.directory, "plain", default_path, COUNT)
    return compare(bench, "plain", "plain: GET, small JSON", bench.peers, Probe(script, "/api/v1/orders/1"))
