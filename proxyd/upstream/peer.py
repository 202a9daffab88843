"""One address that requests can be sent to: what a balancer picks and the forwarder dials.

A peer lives as long as any running configuration refers to it, so its pool, its load and its measured
latency survive reloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxyd.upstream.connector import Endpoint  # noqa: TC001  # a compiled tuple class needs its types

if TYPE_CHECKING:
    from proxyd.upstream.health import Health
    from proxyd.upstream.pool import Pool


class PeerKey(NamedTuple):
    """What makes two peers the same.

    ``group`` is the upstream's name, empty for services that name a host; ``label`` is the target as
    configured. The same address under another name is another peer: it has a Host and a health of its own.
    """

    group: str
    label: str
    host_header: bytes
    endpoint: Endpoint


class Peer:
    """One address of one target, spoken to in one way.

    ``label`` is the target as configured, ``address`` what it resolved to, both ``host:port``; ``host_header``
    is the Host that it expects and ``host_line`` the whole header line. ``inflight`` counts exchanges under way, ``ewma`` is the moving average of its
    latency in seconds (0.0 while unknown) as of the monotonic time ``ewma_at``.
    """

    __slots__ = (
        "address",
        "endpoint",
        "ewma",
        "ewma_at",
        "health",
        "host_header",
        "host_line",
        "inflight",
        "key",
        "label",
        "pool",
    )

    def __init__(self, key: PeerKey, pool: Pool, health: Health) -> None:
        self.key = key
        self.label = key.label
        self.host_header = key.host_header
        self.host_line = b"Host: %b\r\n" % key.host_header
        self.endpoint = key.endpoint
        self.address = str(key.endpoint)
        self.pool = pool
        self.health = health
        self.inflight = 0
        self.ewma = 0.0
        self.ewma_at = 0.0

    def __repr__(self) -> str:
        return f"<Peer {self.label} at {self.address} {self.health.state.value} inflight={self.inflight}>"
