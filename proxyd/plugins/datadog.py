"""datadog: counts, times and sizes of each request to a Datadog agent, told apart by tags."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.model.base import Port  # noqa: TC001  # pydantic reads it
from proxyd.model.grammar import Host  # noqa: TC001
from proxyd.telemetry.kong_record import latencies
from proxyd.telemetry.socket_sender import DatagramSender, place
from proxyd.telemetry.statsd import TYPES, VALUES, Packets, plain

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from proxyd.exchange import Exchange
    from proxyd.telemetry.queue import Limits, Sender

Name = Literal[
    "kong_latency", "latency", "request_count", "request_size", "response_size", "upstream_latency"
]
TagName = Annotated[str, Field(pattern=r"^[^:|@#,\s]+$")]
Tag = Annotated[str, Field(pattern=r"^[^|#,\n]*[^:|#,\n]$")]


class MetricConfig(plugin.Config):
    """One metric."""

    name: Name
    """What is told."""
    stat_type: Literal["counter", "gauge", "histogram", "meter", "set", "timer", "distribution"]
    """Type at the agent."""
    tags: tuple[Tag, ...] | None = None
    """Further tags, as `app:kong`."""
    sample_rate: float | None = Field(None, gt=0, le=1)
    """Share of the requests that are told; required for counters and gauges."""
    consumer_identifier: Literal["consumer_id", "custom_id", "username"] | None = None
    """What names the consumer in a tag; none: it is not told."""

    @model_validator(mode="after")
    def _has_rate(self) -> Self:
        if self.stat_type in {"counter", "gauge"} and self.sample_rate is None:
            raise ValueError(f"a {self.stat_type} needs a sample_rate")
        return self


_TIMERS: tuple[Name, ...] = ("latency", "request_size", "response_size", "upstream_latency", "kong_latency")
DEFAULT = (
    MetricConfig(
        name="request_count",
        stat_type="counter",
        sample_rate=1,
        tags=("app:kong",),
        consumer_identifier="custom_id",
    ),
    *(
        MetricConfig(name=name, stat_type="timer", tags=("app:kong",), consumer_identifier="custom_id")
        for name in _TIMERS
    ),
)


class Config(logger.QueueConfig):
    """Settings of datadog (Kong's ``kong/plugins/datadog/schema.lua``)."""

    host: Host = "localhost"
    """Host name or address of the agent."""
    port: Port = 8125
    """Its port."""
    prefix: str = Field("kong", pattern=r"^[^:|@\s]+$")
    """What every name begins with."""
    service_name_tag: TagName = "name"
    """Tag that names the service."""
    status_tag: TagName = "status"
    """Tag that tells the status."""
    consumer_tag: TagName = "consumer"
    """Tag that names the consumer."""
    metrics: tuple[MetricConfig, ...] = DEFAULT
    """What is told."""


class Datadog(QueueLogger[Config]):
    """Sends what each request to a service counts and measures to a Datadog agent, a datagram for each metric."""

    name = "datadog"
    priority = 10

    def limits(self) -> Limits:
        """Return what the queue is held to."""
        return self.config.limits()

    def output_key(self) -> Hashable:
        """Share the socket with instances that tell other metrics."""
        return self.name, self.limits(), self.config.host, self.config.port

    def sender(self) -> tuple[str, Sender]:
        """Return the agent's name and what sends there."""
        address = (self.config.host, self.config.port)
        return place(*address), Packets(DatagramSender(address, self.kit.clock.now), 0)

    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Put the lines of each into the queue; without a service there is nothing to tell."""
        del wall
        for exchange in batch:
            lines = "\n".join(self._lines(exchange)) if exchange.service is not None else ""
            if lines:
                self.output.put(lines.encode())

    def _lines(self, exchange: Exchange) -> Iterator[str]:
        config, service, consumer = self.config, exchange.service, exchange.consumer
        times = latencies(exchange)
        name = plain((service.name or service.host) if service is not None else "")
        common = (f"{config.service_name_tag}:{name}", f"{config.status_tag}:{exchange.status}")
        for metric in config.metrics:
            stat, find = VALUES[metric.name]
            value = find(exchange, times)
            rate = metric.sample_rate or 1
            if value < 0 or (rate < 1 and random.random() >= rate):  # noqa: S311
                continue
            who = None
            if consumer is not None and metric.consumer_identifier is not None:
                field = metric.consumer_identifier
                who = consumer.id if field == "consumer_id" else getattr(consumer, field)
            mine = (f"{config.consumer_tag}:{plain(who)}",) if who else ()
            tags = ",".join((*common, *mine, *(metric.tags or ())))
            kind = TYPES[metric.stat_type] if rate == 1 else f"{TYPES[metric.stat_type]}|@{rate:g}"
            yield f"{config.prefix}.{stat}:{value}|{kind}|#{tags}"
