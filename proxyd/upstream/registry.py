"""What survives a reload: peers with their pools and loads, healths, and TLS contexts.

Each generation of balancers holds what it uses and releases it when it stops. The new generation starts
before the old one stops, so whatever both refer to is never let go; the rest is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from proxyd.upstream.health import Health, HealthKey
from proxyd.upstream.peer import Peer, PeerKey
from proxyd.upstream.protection import Protection, Tell, unheard
from proxyd.upstream.tls import Contexts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from proxyd.model.healthchecks import Healthchecks
    from proxyd.upstream.connector import Endpoint
    from proxyd.upstream.pool import Pool

ItemT = TypeVar("ItemT")
Key = TypeVar("Key", bound="Hashable")


class _Held(Generic[ItemT]):
    __slots__ = ("count", "item")

    def __init__(self, item: ItemT) -> None:
        self.item = item
        self.count = 0


class MakePool(Protocol):
    """Makes the pool of a new peer."""

    def __call__(self, endpoint: Endpoint) -> Pool:
        """Return an empty pool for this endpoint."""


class Registry:
    """Peers and healths by identity, counted by who holds them."""

    def __init__(self, make_pool: MakePool, tell: Tell = unheard) -> None:
        self.contexts = Contexts()
        self._make_pool = make_pool
        self._peers: dict[PeerKey, _Held[Peer]] = {}
        self._healths: dict[tuple[HealthKey, str], _Held[Health]] = {}
        self._protections: dict[str, _Held[Protection]] = {}
        self._tell = tell

    def __repr__(self) -> str:
        return f"<Registry peers={len(self._peers)} healths={len(self._healths)}>"

    @property
    def peers(self) -> list[Peer]:
        """Every peer that is held, for status and metrics."""
        return [held.item for held in self._peers.values()]

    def hold_health(self, key: HealthKey, checks: Healthchecks | None) -> Health:
        """Return the health of this address under these checks; to be released as often as held."""
        return _hold(self._healths, (key, _identity(checks)), lambda: Health(key, checks))

    def release_health(self, health: Health) -> None:
        """Let go of a health; the last one forgets it."""
        _release(self._healths, (health.key, _identity(health.checks)))

    def mark(self, upstream: str, target: str, address: str | None, *, healthy: bool) -> int:
        """Take somebody's word for the health of a target, or of one address of it; return of how many addresses."""
        found = [
            held.item
            for held in self._healths.values()
            if held.item.key[:2] == (upstream, target) and address in {None, held.item.key.address}
        ]
        for health in found:
            health.mark(healthy=healthy)
        return len(found)

    def hold_peer(self, key: PeerKey, health: Health) -> Peer:
        """Return the peer of this identity, with the health that counts now; to be released as often as held."""
        peer = _hold(self._peers, key, lambda: Peer(key, self._make_pool(key.endpoint), health))
        peer.health = health
        return peer

    def release_peer(self, peer: Peer) -> None:
        """Let go of a peer; the last one closes its idle connections."""
        if _release(self._peers, peer.key):
            peer.pool.close()

    @property
    def protections(self) -> list[Protection]:
        """What protects upstreams now, for status and metrics."""
        return [held.item for held in self._protections.values()]

    def protection(self, name: str, now: Callable[[], float]) -> Protection:
        """Return what protects this upstream: what it has already, or a new one. Hold it once it serves."""
        held = self._protections.get(name)
        return held.item if held is not None else Protection(name, now, self._tell)

    def hold_protection(self, protection: Protection) -> None:
        """Keep it; to be released as often as held."""
        _hold(self._protections, protection.name, lambda: protection)

    def release_protection(self, protection: Protection) -> None:
        """Let go of it; the last one forgets it."""
        _release(self._protections, protection.name)


def _identity(checks: Healthchecks | None) -> str:
    return checks.model_dump_json() if checks is not None else ""


def _hold(table: dict[Key, _Held[ItemT]], key: Key, make: Callable[[], ItemT]) -> ItemT:
    held = table.get(key)
    if held is None:
        held = table[key] = _Held(make())
    held.count += 1
    return held.item


def _release(table: dict[Key, _Held[ItemT]], key: Key) -> bool:
    held = table[key]
    held.count -= 1
    if held.count:
        return False
    del table[key]
    return True
