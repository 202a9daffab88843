"""Active health checks of one upstream: who is probed when, and what the answer counts for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyd.errors import GatewayError, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.model.healthchecks import ActiveChecks
    from proxyd.upstream.cluster import Cluster, Member
    from proxyd.upstream.probe import Probe

_TIMEOUTS = frozenset({Kind.CONNECT_TIMEOUT, Kind.READ_TIMEOUT})


class Monitor:
    """Probes the healthy addresses at one interval and the unhealthy at another; an interval of 0 is never."""

    def __init__(
        self,
        cluster: Cluster,
        checks: ActiveChecks,
        probe: Probe,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cluster = cluster
        self._checks = checks
        self._probe = probe
        self._sleep = sleep
        self._good = frozenset(checks.healthy.http_statuses)
        self._bad = frozenset(checks.unhealthy.http_statuses)
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Monitor {self._cluster.title} {'running' if self._tasks else 'stopped'}>"

    async def start(self) -> None:
        """Begin probing; the first round is at once."""
        for interval, healthy in (
            (self._checks.healthy.interval, True),
            (self._checks.unhealthy.interval, False),
        ):
            if interval:
                name = f"probe {self._cluster.name} {'healthy' if healthy else 'unhealthy'}"
                self._tasks.append(asyncio.create_task(self._rounds(interval, healthy=healthy), name=name))

    async def stop(self) -> None:
        """End probing, the probes under way included. Harmless if not started."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._probe.close()

    async def _rounds(self, interval: float, *, healthy: bool) -> None:
        while True:
            await self.round(healthy=healthy)
            await self._sleep(interval)

    async def round(self, *, healthy: bool) -> None:
        """Probe every address in this state once, at most ``concurrency`` at a time."""
        waiting = [member for member in self._cluster.members if member.health.healthy is healthy]

        async def work() -> None:
            while waiting:
                await self._check(waiting.pop())

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(waiting), self._checks.concurrency)):
                group.create_task(work())

    async def _check(self, member: Member) -> None:
        health = member.health
        unhealthy = self._checks.unhealthy
        try:
            status = await self._probe(member)
        except GatewayError as error:
            if error.kind in _TIMEOUTS:
                health.failure("timeout", unhealthy.timeouts)
            else:
                health.failure("tcp", unhealthy.tcp_failures)
            return
        if not status or status in self._good:
            health.success(self._checks.healthy.successes)
            if self._cluster.outliers is not None:
                self._cluster.outliers.probed(health)
        elif status in self._bad:
            health.failure("http", unhealthy.http_failures)
