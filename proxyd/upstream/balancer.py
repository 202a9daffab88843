"""Choosing the target of each try: what the forwarder asks before it takes a connection from a pool."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from proxyd.errors import Kind
from proxyd.upstream.addresses import join_port
from proxyd.upstream.algorithms import (
    FAILURE_LATENCY,
    Latency,
    LeastConnections,
    Nobody,
    RoundRobin,
    Single,
    measure,
)
from proxyd.upstream.connector import Endpoint
from proxyd.upstream.hashing import compile_key
from proxyd.upstream.health import Passive, checks_on
from proxyd.upstream.peer import PeerKey
from proxyd.upstream.protection import Guarded
from proxyd.upstream.ring import ConsistentHashing

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.upstream.algorithms import Algorithm
    from proxyd.upstream.cluster import Cluster, Member
    from proxyd.upstream.connection import UpstreamConnection
    from proxyd.upstream.peer import Peer
    from proxyd.upstream.registry import Registry
    from proxyd.upstream.tls import UpstreamContext

HTTP_PORT, HTTPS_PORT = 80, 443


class Balancer:
    """A cluster spoken to in one way, in plain text or under one TLS context.

    ``pick(exchange, tried)`` returns the Peer for the next try, avoiding the ``tried`` ones while others are
    eligible, and counts the try in the peer's ``inflight`` until ``end(peer)``. It raises GatewayError(NO_TARGET), or (NAME_RESOLUTION) where no target's name has an address.
    Ask ``resolved`` first: while it is False, ``await resolve()``.
    """

    __slots__ = (
        "_clock",
        "_guard",
        "_measures",
        "_outliers",
        "_passive",
        "_peers",
        "_random",
        "_registry",
        "cluster",
        "pick",
        "resolved",
        "tls",
    )

    pick: Callable[[Exchange, Container[Peer]], Peer]

    def __init__(
        self,
        cluster: Cluster,
        tls: UpstreamContext | None,
        registry: Registry,
        clock: Clock,
        rng: random.Random | None = None,
    ) -> None:
        self.cluster = cluster
        self.tls = tls
        self._registry = registry
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311
        checks = cluster.checks
        self._passive = Passive(checks) if checks is not None and checks_on(checks) else None
        self._outliers = cluster.outliers
        resilience = cluster.upstream.resilience if cluster.upstream is not None else None
        # Where tries are let in one by one.
        self._guard = cluster.protection if resilience is not None and resilience.guarded else None
        self._measures = cluster.upstream is not None and cluster.upstream.algorithm == "latency"
        self._peers: dict[PeerKey, Peer] = {}
        self.resolved = False  # whether pick has something to say: an address, or why there is none
        self.pick = Nobody(Kind.NO_TARGET, f"{cluster.title}: not started").pick

    def __repr__(self) -> str:
        return f"<Balancer {self.cluster.title} {'tls ' if self.tls else ''}peers={len(self._peers)}>"

    @property
    def peers(self) -> list[Peer]:
        """Every peer that it may pick or could pick, were it healthy."""
        return list(self._peers.values())

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow the cluster."""
        self.cluster.listeners.append(self._rebuild)

    def stop(self) -> None:
        """Let the peers go; exchanges that still hold one may finish with it. Harmless if not started."""
        if self._rebuild in self.cluster.listeners:
            self.cluster.listeners.remove(self._rebuild)
        for peer in self._peers.values():
            self._registry.release_peer(peer)
        self._peers = {}
        if self._guard is not None:
            self._guard.openings.follow(id(self), ())

    # --- for each try ----------------------------------------------------------------------------------------

    async def resolve(self) -> None:
        """Wait for the first answer of DNS; what it was, ``pick`` tells."""
        await self.cluster.wait()

    async def connect(self, peer: Peer, timeout: float, *, repeatable: bool) -> UpstreamConnection:  # noqa: ASYNC109
        """Get a connection to what was picked, a new one or one that was waited for; raises GatewayError."""
        if self._guard is None:
            return await peer.pool.connect(timeout)
        return await self._guard.openings.connect(peer.pool, timeout, repeatable=repeatable)

    def end(self, exchange: Exchange, peer: Peer) -> None:
        """Count a try as over, however it ended; once per ``pick``."""
        peer.inflight -= 1
        if self._guard is not None:
            self._guard.leave(exchange)

    def may_retry(self, exchange: Exchange) -> bool:
        """Whether another try may follow one that is over; it is counted until ``end`` or ``retried``."""
        return self._guard is None or self._guard.retry(exchange)

    def retried(self, exchange: Exchange) -> None:
        """Count another try as over for which nothing was picked."""
        if self._guard is not None:
            self._guard.retried(exchange)

    def observe(self, exchange: Exchange, peer: Peer, status: int, now: float) -> None:
        """Learn from an answer whose head is complete ``now``."""
        if self._passive is not None:
            self._passive.answered(peer.health, status)
        if self._outliers is not None:
            self._outliers.answered(peer.health, status)
        if self._guard is None and not self._measures:
            return
        # From the end of the request: what a client takes to send its body is not the target's time.
        latency = now - exchange.asked if exchange.asked else 0.0
        if self._guard is not None:
            self._guard.judge(exchange, latency, failed=status >= 500)  # noqa: PLR2004
        if self._measures and exchange.asked:
            # An error must not make a target look fast.
            measure(peer, latency if status < 500 else max(latency, peer.ewma), self._clock.now())  # noqa: PLR2004

    def observe_failure(self, exchange: Exchange, peer: Peer, kind: Kind) -> None:
        """Learn from a failure. One on a reused connection that went stale says nothing: leave it out."""
        if self._passive is not None:
            self._passive.failed(peer.health, kind)
        if self._outliers is not None:
            self._outliers.failed(peer.health, kind)
        if self._guard is not None:
            self._guard.judge(exchange, 0.0, failed=True)
        if self._measures:
            measure(peer, max(FAILURE_LATENCY, peer.ewma), self._clock.now())

    # --- following the cluster -------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        held: dict[PeerKey, Peer] = {}
        eligible: list[tuple[Peer, int]] = []
        takes = self.cluster.takes()
        for member in self.cluster.members:
            key = self._key(member)
            peer = self._peers.pop(key, None) or self._registry.hold_peer(key, member.health)
            held[key] = peer
            if member.health in takes:
                eligible.append((peer, member.weight))
        for peer in self._peers.values():
            self._registry.release_peer(peer)
        self._peers = held
        self.resolved = self.cluster.resolved
        self.pick = self._algorithm(eligible).pick
        if self._guard is not None:
            self._guard.openings.follow(id(self), (peer.pool for peer in held.values()))
            self.pick = Guarded(self._guard, self.pick).pick

    def _key(self, member: Member) -> PeerKey:
        target = member.target
        upstream = self.cluster.upstream
        name = target.host
        if upstream is not None and upstream.use_srv_name and member.record.name:
            name = member.record.name
        default = HTTP_PORT if self.tls is None else HTTPS_PORT
        if upstream is not None and upstream.host_header:
            name = header = upstream.host_header
        elif target.memory or member.port == default:
            header = f"[{name}]" if ":" in name else name
        else:
            header = join_port(name, member.port)
        server_name = None if self.tls is None else name
        endpoint = Endpoint(
            member.record.address,
            member.port,
            tls=self.tls,
            server_name=server_name,
            memory=target.memory,
        )
        return PeerKey(self.cluster.name, target.label, header.encode("latin-1", "replace"), endpoint)

    def _algorithm(self, eligible: list[tuple[Peer, int]]) -> Algorithm:
        nobody = self._nobody(eligible)
        upstream = self.cluster.upstream
        if nobody is not None:
            return nobody
        # As in Kong, to say what is hashed is to ask for hashing.
        if upstream is not None and (
            upstream.hash_on != "none" or upstream.algorithm == "consistent-hashing"
        ):
            total = self.cluster.total_weight
            return ConsistentHashing(eligible, compile_key(upstream), upstream.slots, total, self._random)
        if upstream is not None and upstream.algorithm == "latency":
            return Latency(eligible, self._random, self._clock.now)
        if len(eligible) == 1:
            return Single(eligible[0][0])
        if upstream is not None and upstream.algorithm == "least-connections":
            return LeastConnections(eligible, self._random)
        return RoundRobin(eligible, self._random)

    def _nobody(self, eligible: list[tuple[Peer, int]]) -> Nobody | None:
        """Say why nobody may be picked, if that is so."""
        cluster = self.cluster
        if not eligible:
            if cluster.errors and not cluster.members:
                return Nobody(Kind.NAME_RESOLUTION, "; ".join(cluster.errors))
            return Nobody(Kind.NO_TARGET, f"{cluster.title}: no healthy target with a weight")
        # Kong's threshold is about health: an ejection is a pause, and must not take the whole upstream away.
        healthy = sum(member.weight for member in cluster.members if member.health.healthy)
        available = 100 * healthy / cluster.total_weight
        needed = cluster.checks.threshold if cluster.checks is not None else 0
        if available < needed:
            cause = f"{cluster.title}: {available:.4g} % of the weight is available, {needed:g} % needed"
            return Nobody(Kind.NO_TARGET, cause)
        return None
