"""Ejecting targets that answer worse than the others: what traffic tells, beside health checks and on top of them.

Kong's passive checks ask whether a target works, and leave that to probes to take back. An ejection is a pause: it ends
by itself, lasts longer each time in a row, and never takes more than a share of the targets. Either keeps requests away.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.errors import Kind
    from proxyd.model.resilience import OutlierDetection
    from proxyd.upstream.cluster import Cluster
    from proxyd.upstream.health import Health
    from proxyd.upstream.protection import Protection

SERVER_ERRORS = 500  # statuses from here on are failures
_GATEWAY = frozenset({502, 503, 504})
_THOUSANDTHS = 1000


class Outlier:
    """What is known of one address; it outlasts reloads with the address's health.

    ``times`` counts ejections in a row: each interval without one takes one off. ``until`` is when this one ends.
    """

    __slots__ = ("ejected", "errors", "gateway_errors", "good", "times", "total", "until")

    def __init__(self) -> None:
        self.ejected = False
        self.until = 0.0
        self.times = 0
        self.errors = 0  # in a row
        self.gateway_errors = 0  # in a row
        self.total = 0  # in this interval
        self.good = 0  # the same

    def __repr__(self) -> str:
        return f"<Outlier {'ejected' if self.ejected else 'in'} errors={self.errors} times={self.times}>"


class Outliers:
    """The rules of one upstream, and who is out by them."""

    __slots__ = ("_cluster", "_now", "_protection", "rules")

    def __init__(
        self, rules: OutlierDetection, cluster: Cluster, protection: Protection, now: Callable[[], float]
    ) -> None:
        self.rules = rules
        self._cluster = cluster
        self._protection = protection
        self._now = now

    def __repr__(self) -> str:
        out = sum(health.outlier.ejected for health in self._healths())
        return f"<Outliers {self._cluster.title} ejected={out}>"

    def _healths(self) -> list[Health]:
        return [member.health for member in self._cluster.members if member.weight]

    # --- what traffic tells ----------------------------------------------------------------------------------

    def answered(self, health: Health, status: int) -> None:
        """Count an answer."""
        outlier = health.outlier
        outlier.total += 1
        if status >= SERVER_ERRORS:
            self._failure(health, outlier, gateway=status in _GATEWAY)
        else:
            outlier.good += 1
            outlier.errors = outlier.gateway_errors = 0

    def failed(self, health: Health, kind: Kind) -> None:  # noqa: ARG002  # whichever it was
        """Count a failure to connect or to get an answer."""
        outlier = health.outlier
        outlier.total += 1
        self._failure(health, outlier, gateway=True)

    def _failure(self, health: Health, outlier: Outlier, *, gateway: bool) -> None:
        rules = self.rules
        outlier.errors += 1
        outlier.gateway_errors = outlier.gateway_errors + 1 if gateway else 0
        if outlier.ejected:
            return  # under way since before
        if 0 < rules.consecutive_5xx <= outlier.errors:
            self._eject(health, "consecutive_5xx")
        elif 0 < rules.consecutive_gateway_failure <= outlier.gateway_errors:
            self._eject(health, "consecutive_gateway_failure")

    # --- out and back in -------------------------------------------------------------------------------------

    def _eject(self, health: Health, reason: str) -> None:
        outlier, rules = health.outlier, self.rules
        outlier.errors = outlier.gateway_errors = 0  # it takes as many again, also where there is no room
        healths = self._healths()
        out = sum(one.outlier.ejected for one in healths)
        if health not in healths or (out and (out + 1) * 100 > rules.max_ejection_percent * len(healths)):
            return  # it is no target any more, or enough are out
        outlier.times += 1
        longest = max(rules.max_ejection_time, rules.base_ejection_time)
        seconds = min(rules.base_ejection_time * outlier.times, longest)
        outlier.ejected = True
        outlier.until = self._now() + seconds
        self._protection.ejected(health.key, reason, seconds)
        health.changed()

    def readmit(self, health: Health, reason: str) -> None:
        """Take an ejected target back in."""
        outlier = health.outlier
        outlier.ejected = False
        outlier.errors = outlier.gateway_errors = 0
        self._protection.readmitted(health.key, reason)
        health.changed()

    def probed(self, health: Health) -> None:
        """Take a successful probe."""
        if health.outlier.ejected and self.rules.successful_active_health_check_uneject_host:
            self.readmit(health, "probe")

    def sweep(self) -> None:
        """Let those back in whose time is over, and compare success rates; once in each interval."""
        now = self._now()
        for health in self._healths():
            outlier = health.outlier
            if not outlier.ejected:
                outlier.times = max(outlier.times - 1, 0)
            elif now >= outlier.until:
                self.readmit(health, "time")
        self._compare()

    def _compare(self) -> None:
        rules = self.rules
        healths = self._healths()
        rates = [
            (health.outlier.good / health.outlier.total, health)
            for health in healths
            if health.outlier.total >= rules.success_rate_request_volume and not health.outlier.ejected
        ]
        for health in healths:
            health.outlier.total = health.outlier.good = 0
        if not rules.success_rate_stdev_factor or len(rates) < rules.success_rate_minimum_hosts:
            return
        mean = sum(rate for rate, _ in rates) / len(rates)
        deviation = math.sqrt(sum((rate - mean) ** 2 for rate, _ in rates) / len(rates))
        least = mean - deviation * rules.success_rate_stdev_factor / _THOUSANDTHS
        for rate, health in sorted(rates, key=lambda pair: pair[0]):
            if rate < least:
                self._eject(health, "success_rate")

    def kept(self, healthy: list[Health]) -> set[Health]:
        """Return those of the healthy targets that requests go to: all of them where too few would be left."""
        left = {health for health in healthy if not health.outlier.ejected}
        if len(left) * 100 < self.rules.panic_threshold * len(healthy):
            return set(healthy)
        return left


class Sweeper:
    """Sweeps at each interval, for as long as a configuration runs."""

    def __init__(self, outliers: Outliers, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._outliers = outliers
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Sweeper of {self._outliers!r}>"

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._rounds(), name=f"sweep {self._outliers!r}")

    async def stop(self) -> None:
        """End. Harmless if not started."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _rounds(self) -> None:
        while True:
            await self._sleep(self._outliers.rules.interval)
            self._outliers.sweep()
