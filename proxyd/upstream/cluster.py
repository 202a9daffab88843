"""The targets behind one name: which addresses they have now, and which of those work.

One cluster stands behind each upstream and behind each host that services name directly. It follows DNS and
health, and tells its balancers when either changes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from proxyd.clock import Clock
from proxyd.upstream.addresses import join_port, split_port
from proxyd.upstream.health import HealthKey, State
from proxyd.upstream.outliers import Outliers

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model.entities import Upstream
    from proxyd.upstream.dnsclient import Record
    from proxyd.upstream.health import Health
    from proxyd.upstream.names import Name, Resolver
    from proxyd.upstream.protection import Protection
    from proxyd.upstream.registry import Registry

DEFAULT_TARGET_PORT = 8000  # Kong's, for a target without one


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A target as configured; ``label`` is its ``host:port``. ``memory``: ``host`` names a mounted application."""

    label: str
    host: str
    port: int
    weight: int = 100
    memory: bool = False

    @classmethod
    def parse(cls, text: str, weight: int = 100) -> TargetSpec:
        """Read ``host:port`` or ``host``; raises ValueError."""
        host, port = split_port(text, DEFAULT_TARGET_PORT)
        return cls(join_port(host, port), host, port, weight)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One address of one target, with its share of the load and its health."""

    target: TargetSpec
    record: Record
    port: int
    weight: int
    health: Health


class TargetState(NamedTuple):
    """One line of an upstream's health; ``address`` is empty where the name has none.

    ``ejected`` says that it gets no requests for a while, whatever its health.
    """

    upstream: str
    target: str
    address: str
    weight: int
    state: State
    ejected: bool = False


class Cluster:
    """One set of targets.

    ``name`` is the upstream's, empty for a host that a service names directly. ``resolved`` tells whether
    there is anything to say yet: an address, or an error for every target.
    """

    def __init__(
        self,
        name: str,
        targets: list[TargetSpec],
        upstream: Upstream | None,
        resolver: Resolver,
        registry: Registry,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.targets = list(dict.fromkeys(targets))
        self.upstream = upstream
        self.checks = upstream.healthchecks if upstream else None
        self.members: list[Member] = []
        self.resolved = False
        self.listeners: list[Callable[[], None]] = []
        self._resolver = resolver
        self._registry = registry
        self._names: dict[TargetSpec, Name] = {}
        self._healths: dict[HealthKey, Health] = {}
        self._settled = asyncio.Event()
        self._started = False
        self.protection: Protection | None = None
        self.outliers: Outliers | None = None
        resilience = upstream.resilience if upstream else None
        if resilience is not None:
            now = (clock or Clock()).now
            self.protection = registry.protection(name, now)
            if resilience.outlier_detection is not None:
                self.outliers = Outliers(resilience.outlier_detection, self, self.protection, now)

    def __repr__(self) -> str:
        working = sum(member.health.healthy for member in self.members)
        return f"<Cluster {self.title} targets={len(self.targets)} healthy={working}/{len(self.members)}>"

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"upstream {self.name}" if self.name else self.targets[0].label

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow DNS; needs a running loop. What is known already counts at once."""
        if self.protection is not None:
            self._registry.hold_protection(self.protection)
            self.protection.configure(self.upstream.resilience)  # type: ignore[union-attr, arg-type]
        for target in self.targets:
            self._names[target] = self._resolver.watch(target.host, self._update)
        self._started = True
        self._update()

    def stop(self) -> None:
        """Stop following, and let the healths go. Harmless if not started."""
        if self.protection is not None and self._started:
            self._registry.release_protection(self.protection)
        self._started = False
        for name in self._names.values():
            self._resolver.unwatch(name, self._update)
        self._names.clear()
        self.members = []
        self._forget_healths(set())
        self._settled.set()

    async def wait(self) -> None:
        """Wait until ``resolved``."""
        if not self.resolved:
            await self._settled.wait()

    # --- what it has -----------------------------------------------------------------------------------------

    @property
    def total_weight(self) -> int:
        """The weight of all addresses, and of the targets that have none at present."""
        missing = sum(target.weight for target in self._without_address())
        return missing + sum(member.weight for member in self.members)

    @property
    def errors(self) -> list[str]:
        """Why targets have no address."""
        return [name.error for name in self._names.values() if name.error]

    def takes(self) -> set[Health]:
        """Return the healths of the addresses that requests may go to now."""
        healthy = [member.health for member in self.members if member.weight and member.health.healthy]
        return set(healthy) if self.outliers is None else self.outliers.kept(healthy)

    def states(self) -> list[TargetState]:
        """List every address and every target without one."""
        rows = [
            TargetState(
                self.name,
                member.target.label,
                member.health.key.address,
                member.weight,
                member.health.state,
                self.outliers is not None and member.health.outlier.ejected,
            )
            for member in self.members
        ]
        rows += (
            TargetState(self.name, target.label, "", target.weight, State.DNS_ERROR)
            for target in self._without_address()
            if self._names[target].resolved
        )
        return rows

    def _without_address(self) -> list[TargetSpec]:
        return [target for target, name in self._names.items() if not name.records]

    # --- following -------------------------------------------------------------------------------------------

    def _update(self) -> None:
        if not self._started:
            return  # stopped by another callback of the same change
        members: dict[HealthKey, Member] = {}
        for target in self.targets:
            for record in self._names[target].records:
                member = self._member(target, record)
                members.setdefault(member.health.key, member)
        self.members = list(members.values())
        self._forget_healths(set(members))
        self.resolved = bool(members) or all(name.resolved for name in self._names.values())
        if self.resolved:
            self._settled.set()
        self._changed()

    def _member(self, target: TargetSpec, record: Record) -> Member:
        port = record.port or target.port
        # An SRV record's weight takes the place of the target's own, except that 0 still drains it.
        weight = target.weight if record.weight is None or not target.weight else record.weight
        key = HealthKey(self.name, target.label, join_port(record.address, port))
        health = self._healths.get(key)
        if health is None:
            health = self._healths[key] = self._registry.hold_health(key, self.checks)
            health.listen(self._changed)
        return Member(target, record, port, weight, health)

    def _forget_healths(self, kept: set[HealthKey]) -> None:
        for key in [key for key in self._healths if key not in kept]:
            health = self._healths.pop(key)
            health.unlisten(self._changed)
            self._registry.release_health(health)

    def _changed(self) -> None:
        for listener in tuple(self.listeners):
            listener()
