"""What a scenario is given, and the measurement that most of them are made of."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import accounting, load
from benchmarks.process import Server, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from benchmarks.peers.base import Peer

WARM_UP_SECONDS = 1.0
VERIFY_SECONDS = 15.0
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname, UNCHECKED.verify_mode = False, ssl.CERT_NONE  # its authority was made a second ago


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of a run: how often, how long, between whom, on which cores; ``say`` prints progress."""

    rounds: int
    seconds: float
    peers: list[Peer]
    directory: Path
    proxy_core: int
    load_core: int
    say: Callable[[str], None]

    def among(self, *names: str) -> list[Peer]:
        """Return those of the chosen proxies that are named."""
        return [peer for peer in self.peers if peer.name in names]


@dataclass(frozen=True, slots=True)
class Sample:
    """One loaded run of one proxy. Times in microseconds; the rest are shares, from 0 to 1, of a core's time.

    ``proxy_share`` is what the proxy itself used, ``others_share`` what other processes took from its core,
    ``load_share`` how busy the core of load tool and backend was, ``stolen`` what the hypervisor took.
    """

    peer: str
    rate: float
    cpu_us: float
    p50_us: float
    p99_us: float
    proxy_share: float
    others_share: float
    load_share: float
    stolen: float
    requests: int
    errors: dict[str, int]

    def raw(self) -> dict[str, Any]:
        """Return the sample as JSON will hold it."""
        return asdict(self)


def measure(bench: Bench, server: Server, script: Path, *, tls: bool = False) -> Sample:
    """Warm ``server`` up, load it, and account for what its process tree used meanwhile."""

    def put(seconds: float) -> load.Load:
        return load.run(script, port=server.port, seconds=seconds, core=bench.load_core, tls=tls)

    put(min(WARM_UP_SECONDS, bench.seconds))
    cores_before, cpu_before = accounting.core_times(), accounting.cpu_ns(server.pid)
    result = put(bench.seconds)
    cpu_ns = accounting.cpu_ns(server.pid) - cpu_before
    cores = accounting.core_times()
    server.check()
    if not result.requests:
        raise load.LoadError(f"nothing was answered in {result.seconds:.1f} s")
    cpu_us = cpu_ns / 1000 / result.requests
    share = cpu_us * result.rate / 1e6
    return Sample(
        peer=server.name,
        rate=result.rate,
        cpu_us=cpu_us,
        p50_us=result.p50_us,
        p99_us=result.p99_us,
        proxy_share=share,
        others_share=max(0.0, cores.busy_share(cores_before, bench.proxy_core) - share),
        load_share=cores.busy_share(cores_before, bench.load_core),
        stolen=cores.stolen_share(cores_before, bench.proxy_core),
        requests=result.requests,
        errors=result.errors,
    )


def fetch(port: int, path: str, headers: Mapping[str, str] | None = None, *, tls: bool = False) -> bytes:
    """Return the body of a 200 to GET ``path``; ServerError for anything else, retried while a server settles."""
    scheme = "https" if tls else "http"
    request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}{path}", headers=dict(headers or {}))
    deadline = time.monotonic() + VERIFY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10, context=UNCHECKED if tls else None) as answer:
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ServerError(f"GET {path} on port {port}: {error}") from error
            time.sleep(0.1)
