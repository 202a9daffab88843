"""What status and metrics see of a worker, put together when they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.source import ConnectionCounts, LimitCounts, ProtectionState, TargetState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.downstream.listener import Connections
    from proxyd.gateway.snapshot import Snapshot
    from proxyd.issuers.keysets import KeySets
    from proxyd.overload.control import Overload
    from proxyd.process.tls import Tls
    from proxyd.store.counting import Counting
    from proxyd.telemetry.source import KeySetState, OverloadState, TlsState
    from proxyd.upstream.registry import Registry


class Seen:
    """The part of a worker that answers them; the worker sets what it looks at."""

    tls: Tls
    clients: Connections
    _not_ready: str
    _snapshot: Snapshot | None
    _overload: Overload | None
    _registry: Registry
    _counting: Counting
    _key_sets: KeySets

    @property
    def tls_state(self) -> TlsState:
        """The state of certificates and handshakes."""
        return self.tls.state

    def connections(self) -> ConnectionCounts:
        """Count client connections."""
        clients = self.clients
        return ConnectionCounts(
            clients.accepted,
            clients.refused,
            len(clients),
            len(clients) - clients.idle,
            clients.tunnels,
            clients.malformed,
            clients.limit,
        )

    def targets(self) -> Iterable[TargetState]:
        """List every address that requests can be sent to, with its load."""
        load: dict[tuple[str, str, str], tuple[int, int]] = {}
        for peer in self._registry.peers:
            key = (peer.key.group, peer.label, peer.key.endpoint.host)
            in_flight, open_now = load.get(key, (0, 0))
            load[key] = (in_flight + peer.inflight, open_now + peer.pool.open)
        if self._snapshot is not None:
            for row in self._snapshot.balancers.states():
                figures = load.pop((row.upstream, row.target, row.address), (0, 0))
                yield TargetState(
                    row.upstream, row.target, row.address, row.state.value, *figures, row.ejected, row.weight
                )
        for (group, target, address), figures in load.items():
            if not group:
                yield TargetState(group, target, address, "HEALTHCHECKS_OFF", *figures)

    def protections(self) -> Iterable[ProtectionState]:
        """List the upstreams that are protected, and what came of it."""
        return [
            ProtectionState(one.name, one.ejections, one.circuit_state, one.rejected, one.exhausted)
            for one in self._registry.protections
        ]

    def key_sets(self) -> Iterable[KeySetState]:
        """List the addresses that token issuers' keys are fetched from."""
        return self._key_sets.states()

    def limits(self) -> LimitCounts:
        """Tell how counting goes."""
        counting = self._counting
        return LimitCounts(counting.strangers, dict(counting.fallbacks), counting.redis.states())

    def overload(self) -> OverloadState | None:
        """Tell what overload control does."""
        return self._overload.state() if self._overload is not None else None

    def not_ready(self) -> str:
        """Say why no traffic should come here now, or nothing where it may."""
        return self._not_ready
