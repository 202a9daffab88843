"""The same GET over TLS, on connections that stay: what encryption costs a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.certificate import make
from benchmarks.heads import COUNT, default_path
from benchmarks.load import write_script
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp")


def run(bench: Bench) -> Section:
    """Compare proxies that show the same certificate; what a handshake costs is `handshakes`."""
    script = write_script(bench.directory, "tls", default_path, COUNT)
    probe = Probe(script, "/api/v1/orders/1", tls=make(bench.directory))
    title = "tls: GET, small JSON, over TLS 1.3, keep-alive"
    return compare(bench, "tls", title, bench.among(*PEERS), probe)
