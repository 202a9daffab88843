"""What status and metrics see of a worker's connections and upstreams, put together when they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.source import ConnectionCounts, LimitCounts, ProtectionState, TargetState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.downstream.listener import Connections
    from proxyd.gateway.snapshot import Snapshot
    from proxyd.store.counting import Counting
    from proxyd.upstream.registry import Registry


def connections(clients: Connections) -> ConnectionCounts:
    """Count client connections."""
    return ConnectionCounts(
        clients.accepted,
        clients.refused,
        len(clients),
        len(clients) - clients.idle,
        clients.tunnels,
        clients.malformed,
        clients.limit,
    )


def limits(counting: Counting) -> LimitCounts:
    """Tell how counting goes."""
    return LimitCounts(counting.strangers, dict(counting.fallbacks), counting.redis.states())


def targets(registry: Registry, snapshot: Snapshot | None) -> Iterator[TargetState]:
    """List every address that requests can be sent to, with its load."""
    load: dict[tuple[str, str, str], tuple[int, int]] = {}
    for peer in registry.peers:
        key = (peer.key.group, peer.label, peer.key.endpoint.host)
        in_flight, open_now = load.get(key, (0, 0))
        load[key] = (in_flight + peer.inflight, open_now + peer.pool.open)
    if snapshot is not None:
        for row in snapshot.balancers.states():
            figures = load.pop((row.upstream, row.target, row.address), (0, 0))
            yield TargetState(
                row.upstream, row.target, row.address, row.state.value, *figures, row.ejected, row.weight
            )
    for (group, target, address), figures in load.items():
        if not group:
            yield TargetState(group, target, address, "HEALTHCHECKS_OFF", *figures)


def protections(registry: Registry) -> list[ProtectionState]:
    """List the upstreams that are protected, and what came of it."""
    return [
        ProtectionState(one.name, one.ejections, one.circuit_state, one.rejected, one.exhausted)
        for one in registry.protections
    ]
