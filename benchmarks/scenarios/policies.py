"""GET of a small JSON document through the usual policies: what they cost together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.heads import COUNT, default_path
from benchmarks.load import write_script
from benchmarks.peers.policies import HEADERS, POLICY_PEERS
from benchmarks.scenarios.compare import Probe, compare, median_cpu

if TYPE_CHECKING:
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

TITLE = "policies: key-auth, rate-limiting, cors, correlation-id, prometheus, JSON access log"


def run(bench: Bench) -> Section:
    """Compare nginx and proxyd with every policy, and with Envoy and aiohttp without any, as far as they were chosen."""
    chosen = {peer.name for peer in bench.peers}
    # proxyd-file-log and envoy-plain go with proxyd and envoy.
    peers = [
        peer
        for peer in POLICY_PEERS
        if {peer.name, peer.name.removesuffix("-plain").removesuffix("-file-log")} & chosen
    ]
    script = write_script(bench.directory, "policies", default_path, COUNT, HEADERS)
    section = compare(bench, "policies", TITLE, peers, Probe(script, "/api/v1/orders/1", HEADERS))
    section.notes[:0] = [*ratios(section.raw["samples"]), *(f"{peer.name}: {peer.shown}" for peer in peers)]
    return section


def ratios(samples: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return the sentence that holds proxyd's CPU per request to the others', by the medians; none without proxyd."""
    cpu = {peer: median_cpu(taken) for peer, taken in samples.items() if taken}
    if "proxyd" not in cpu:
        return []
    parts = [
        f"{cpu['proxyd'] / other:.2f} times {peer}'s"
        for peer, other in cpu.items()
        if not peer.startswith("proxyd")
    ]
    return [f"proxyd's CPU per request is {', '.join(parts)}"] if parts else []
