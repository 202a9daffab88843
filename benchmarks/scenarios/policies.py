"""GET of a small JSON document through the usual policies: what they cost together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmarks.heads import COUNT, default_path
from benchmarks.load import write_script
from benchmarks.peers.policies import HEADERS, PolicyNginx, PolicyProxyd, PolicyPure
from benchmarks.scenarios.compare import compare

if TYPE_CHECKING:
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench


def run(bench: Bench) -> Section:
    """Compare nginx and proxyd, as far as they were chosen, both with every policy."""
    chosen = {peer.name for peer in bench.peers}
    peers = [peer for peer in (PolicyNginx(), PolicyProxyd(), PolicyPure()) if peer.name in chosen]
    script = write_script(bench.directory, "policies", default_path, COUNT, HEADERS)
    title = "policies: key-auth, rate-limiting, cors, correlation-id, prometheus, file-log"
    return compare(
        dataclasses.replace(bench, peers=peers), "policies", title, script, "/api/v1/orders/1", HEADERS
    )
