"""statsd: counts, times and sizes of each request to a StatsD server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from proxyd import plugin
from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.model.base import Port  # noqa: TC001  # pydantic reads it
from proxyd.model.grammar import Host  # noqa: TC001
from proxyd.telemetry.socket_sender import DatagramSender, StreamSender, place
from proxyd.telemetry.statsd import Lines, Metric, Packets, host_name

if TYPE_CHECKING:
    from collections.abc import Hashable

    from proxyd.exchange import Exchange
    from proxyd.telemetry.queue import Limits, Sender

Name = Literal[
    "kong_latency",
    "latency",
    "request_count",
    "request_per_user",
    "request_size",
    "response_size",
    "shdict_usage",
    "status_count",
    "status_count_per_user",
    "status_count_per_user_per_route",
    "status_count_per_workspace",
    "unique_users",
    "upstream_latency",
]
ConsumerBy = Literal["consumer_id", "custom_id", "username"]
ServiceBy = Literal["service_id", "service_name", "service_host", "service_name_or_host"]
WorkspaceBy = Literal["workspace_id", "workspace_name"]


class MetricConfig(plugin.Config):
    """One metric."""

    name: Name
    """What is told; shdict_usage says nothing here."""
    stat_type: Literal["counter", "gauge", "histogram", "meter", "set", "timer"]
    """Type at the server."""
    sample_rate: float | None = Field(None, gt=0)
    """Share of the requests that are told, up to 1; required for counters and gauges."""
    consumer_identifier: ConsumerBy | None = None
    """What names consumers; none: consumer_identifier_default."""
    service_identifier: ServiceBy | None = None
    """What names services; none: service_identifier_default."""
    workspace_identifier: WorkspaceBy | None = None
    """What names the workspace; none: workspace_identifier_default."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        kind = self.stat_type
        if self.name == "unique_users" and kind != "set":
            raise ValueError("unique_users must be a set")
        if self.name.startswith(("status_count", "request_per_user")) and kind != "counter":
            raise ValueError(f"{self.name} must be a counter")
        if kind in {"counter", "gauge"} and self.sample_rate is None:
            raise ValueError(f"a {kind} needs a sample_rate")
        return self


_COUNTERS: tuple[Name, ...] = (
    "request_count",
    "request_size",
    "response_size",
    "status_count",
    "request_per_user",
    "status_count_per_user",
    "status_count_per_workspace",
    "status_count_per_user_per_route",
)
_TIMERS: tuple[Name, ...] = ("latency", "upstream_latency", "kong_latency")
DEFAULT = (
    *(MetricConfig(name=name, stat_type="counter", sample_rate=1) for name in _COUNTERS),
    *(MetricConfig(name=name, stat_type="timer") for name in _TIMERS),
    MetricConfig(name="unique_users", stat_type="set"),
)


class Config(logger.QueueConfig):
    """Settings of statsd (Kong's ``kong/plugins/statsd/schema.lua``)."""

    host: Host = "localhost"
    """Host name or address of the server."""
    port: Port = 8125
    """Its port."""
    prefix: str = Field("kong", pattern=r"^[^:|@\s]+$")
    """What every name begins with."""
    metrics: tuple[MetricConfig, ...] = DEFAULT
    """What is told."""
    allow_status_codes: tuple[str, ...] | None = None
    """Ranges of statuses, as `200-299`; requests that end with others are not told. None: all are."""
    udp_packet_size: int = Field(0, ge=0, le=65_507)
    """Bytes that lines are gathered in for a datagram; 0: each is one of its own."""
    use_tcp: bool = False
    """Whether lines go over TCP."""
    hostname_in_prefix: bool = False
    """Whether names begin with the machine's, behind the prefix."""
    consumer_identifier_default: ConsumerBy = "custom_id"
    """What names consumers."""
    service_identifier_default: ServiceBy = "service_name_or_host"
    """What names services."""
    workspace_identifier_default: WorkspaceBy = "workspace_id"
    """What names the workspace."""
    tag_style: Literal["dogstatsd", "influxdb", "librato", "signalfx"] | None = None
    """Style of tags, which then tell service, route, consumer and status; none: names do."""

    @field_validator("allow_status_codes")
    @classmethod
    def _ranges(cls, ranges: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for one in ranges or ():
            first, dash, last = one.partition("-")
            if not (dash and first.isdigit() and last.isdigit()):
                raise ValueError("must be ranges such as 200-299")
        return ranges


class Statsd(QueueLogger[Config]):
    """Sends what each request counts and measures to a StatsD server, under Kong's names."""

    name = "statsd"
    priority = 11

    def prepare(self) -> None:
        """Work out names, identifiers and statuses."""
        super().prepare()
        config = self.config
        metrics = tuple(
            Metric(
                one.name,
                one.stat_type,
                min(one.sample_rate or 1, 1),
                one.consumer_identifier or config.consumer_identifier_default,
                one.service_identifier or config.service_identifier_default,
                one.workspace_identifier or config.workspace_identifier_default,
            )
            for one in config.metrics
        )
        prefix = config.prefix
        if config.hostname_in_prefix and config.tag_style is None:
            prefix += f".node.{host_name()}"
        self._lines = Lines(prefix, metrics, config.tag_style)
        ranges = [one.split("-") for one in config.allow_status_codes or ()]
        self._allowed = [range(int(first), int(last) + 1) for first, last in ranges]

    def limits(self) -> Limits:
        """Return what the queue is held to."""
        return self.config.limits()

    def output_key(self) -> Hashable:
        """Share the socket with instances that tell other metrics."""
        config = self.config
        return self.name, self.limits(), config.host, config.port, config.use_tcp, config.udp_packet_size

    def sender(self) -> tuple[str, Sender]:
        """Return the server's name and what sends there."""
        config, now = self.config, self.kit.clock.now
        address = (config.host, config.port)
        if config.use_tcp:
            return place(*address), StreamSender(*address, now, timeout=1.0)
        return place(*address), Packets(DatagramSender(address, now), config.udp_packet_size)

    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Put the lines of each into the queue."""
        del wall
        for exchange in batch:
            if not self._allowed or any(exchange.status in one for one in self._allowed):
                lines = "\n".join(self._lines.of(exchange))
                if lines:
                    self.output.put(lines.encode())
