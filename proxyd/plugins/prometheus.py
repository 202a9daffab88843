"""prometheus: Kong's metrics beside the gateway's own on /metrics, for the routes that it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd import plugin
from proxyd.telemetry.tally import Counted, Measures

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Config(plugin.Config):
    """Settings of prometheus (Kong's ``kong/plugins/prometheus/schema.lua``)."""

    per_consumer: bool = False
    """Whether requests and bytes are told per consumer; of 10,000 at most, the rest together as _OTHER."""
    status_code_metrics: bool = False
    """Whether kong_http_requests_total is told."""
    latency_metrics: bool = False
    """Whether the histograms kong_kong_latency_ms, kong_upstream_latency_ms and kong_request_latency_ms are told."""
    bandwidth_metrics: bool = False
    """Whether kong_bandwidth_bytes is told."""
    upstream_health_metrics: bool = False
    """Whether kong_upstream_target_health is told."""
    ai_metrics: bool = False
    """Accepted for Kong's sake: there are no AI plugins to measure."""
    wasm_metrics: bool = False
    """Accepted for Kong's sake: there are no Wasm filters to measure."""


class Prometheus(plugin.Plugin[Config]):
    """Counts what /metrics tells under Kong's names: of each route where an instance stands, what it asks for.

    What the gateway tells of itself under its own names needs no plugin.
    """

    name = "prometheus"
    priority = 13

    def prepare(self) -> None:
        """Note what is asked for."""
        config = self.config
        self._measures = Measures(
            status=config.status_code_metrics,
            latency=config.latency_metrics,
            bandwidth=config.bandwidth_metrics,
            health=config.upstream_health_metrics,
        )
        self._counted = Counted(self.kit.tallies, self._measures, per_consumer=config.per_consumer)
        if config.status_code_metrics or config.latency_metrics or config.bandwidth_metrics:
            self.direct = {"log": self._counted.log}

    async def start(self) -> None:
        """Have what is not per route told."""
        self.kit.tallies.running.append(self._measures)

    async def stop(self) -> None:
        """Have it told no more, unless another instance runs."""
        if self._measures in self.kit.tallies.running:
            self.kit.tallies.running.remove(self._measures)

    def log(self, exchange: Exchange) -> None:
        """Count the exchange."""
        if self.direct:
            self._counted.log(exchange)
