"""Metrics of single requests in StatsD's lines, as Kong's statsd plugin names them."""

from __future__ import annotations

import random
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proxyd.telemetry.kong_record import WORKSPACE, latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxyd.exchange import Exchange
    from proxyd.telemetry.queue import Sender

TYPES: Final = {
    "counter": "c",
    "distribution": "d",
    "gauge": "g",
    "histogram": "h",
    "meter": "m",
    "set": "s",
    "timer": "ms",
}
WORKSPACES: Final = {"workspace_id": WORKSPACE, "workspace_name": "default"}

# How each style writes tags: before the value or behind the type, how joined to the name, and how to their values.
_STYLES: Final = {
    "dogstatsd": ("{name}:{value}|{kind}|#{tags}", ":"),
    "influxdb": ("{name},{tags}:{value}|{kind}", "="),
    "librato": ("{name}#{tags}:{value}|{kind}", "="),
    "signalfx": ("{name}[{tags}]:{value}|{kind}", "="),
}
_SPECIAL: Final = re.compile(r"[:|@#,=\[\]\s]")  # what would end a name

VALUES: Final[dict[str, tuple[str, Callable[[Exchange, dict[str, int]], int]]]] = {
    "request_count": ("request.count", lambda _exchange, _times: 1),
    "request_size": ("request.size", lambda exchange, _: exchange.head_received + exchange.bytes_received),
    "response_size": ("response.size", lambda exchange, _: exchange.head_sent + exchange.bytes_sent),
    "latency": ("latency", lambda _, times: times["request"]),
    "upstream_latency": ("upstream_latency", lambda _, times: times["proxy"]),
    "kong_latency": ("kong_latency", lambda _, times: times["kong"]),
}
_NAMES: Final = {
    "status_count": "{scope}.status.{status}:1",
    "status_count_per_workspace": "{scope}.workspace.{workspace}.status.{status}:1",
    "unique_users": "{scope}.user.uniques:{consumer}",
    "request_per_user": "{scope}.user.{consumer}.request.count:1",
    "status_count_per_user": "{scope}.user.{consumer}.status.{status}:1",
    "status_count_per_user_per_route": "route.{route}.user.{consumer}.status.{status}:1",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, with the identifiers by which it names services, consumers and workspaces."""

    name: str
    stat_type: str
    sample_rate: float
    consumer: str
    service: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Makes the lines of an exchange."""

    prefix: str
    metrics: tuple[Metric, ...]
    tag_style: str | None = None
    chance: Callable[[], float] = random.random

    def of(self, exchange: Exchange) -> Iterator[str]:
        """Yield a line for each metric that there is something to say of."""
        times = latencies(exchange)
        for metric in self.metrics:
            if metric.sample_rate < 1 and self.chance() >= metric.sample_rate:
                continue  # the collector multiplies by the rate
            if metric.name in VALUES:
                stat, find = VALUES[metric.name]
                value: int | str = find(exchange, times)
                if value == -1:
                    continue
                if self.tag_style is not None:
                    if exchange.service is not None:
                        yield self._tagged(metric, stat, value, exchange)
                    continue
                found: tuple[str, int | str] | None = (f"{_scope(metric, exchange)}.{stat}", value)
            else:
                found = None if self.tag_style is not None else _of_somebody(metric, exchange)
            if found is not None:
                yield f"{self.prefix}.{found[0]}:{found[1]}|{_kind(metric)}"

    def _tagged(self, metric: Metric, stat: str, value: int | str, exchange: Exchange) -> str:
        form, joint = _STYLES[str(self.tag_style)]
        route = exchange.route
        tags = {
            "service": _service(metric, exchange),
            "route": route and (route.name or route.id),
            "workspace": WORKSPACES[metric.workspace],
            "consumer": _consumer(metric, exchange),
            "node": host_name(),
            "status": exchange.status,
        }
        told = ",".join(f"{name}{joint}{plain(tag)}" for name, tag in tags.items() if tag)
        return form.format(name=f"{self.prefix}.{stat}", value=value, kind=_kind(metric), tags=told)


def host_name() -> str:
    """Return the machine's name, with underscores for its dots."""
    return socket.gethostname().replace(".", "_")


def _kind(metric: Metric) -> str:
    kind = TYPES[metric.stat_type]
    return kind if metric.sample_rate == 1 else f"{kind}|@{metric.sample_rate:g}"


def plain(value: Any) -> str:
    """Return a value without what would end a name or a tag."""
    return _SPECIAL.sub("_", str(value))


def _consumer(metric: Metric, exchange: Exchange) -> str | None:
    consumer = exchange.consumer
    if consumer is None:
        return None
    value = consumer.id if metric.consumer == "consumer_id" else getattr(consumer, metric.consumer)
    return plain(value) if value else None


def _service(metric: Metric, exchange: Exchange) -> str | None:
    service = exchange.service
    if service is None:
        return None
    if metric.service == "service_name_or_host":
        return service.name or service.host
    value = getattr(service, metric.service.removeprefix("service_"))
    return str(value) if value else None


def _scope(metric: Metric, exchange: Exchange) -> str:
    if exchange.service is None:
        return "global.unmatched"
    return f"service.{plain(_service(metric, exchange) or 'unnamed').replace('.', '_')}"


def _of_somebody(metric: Metric, exchange: Exchange) -> tuple[str, int | str] | None:
    """Return name and value of a metric that counts statuses or callers; None where there is no caller."""
    form = _NAMES.get(metric.name)
    consumer = _consumer(metric, exchange)
    if form is None or (consumer is None and "{consumer}" in form):
        return None  # shdict_usage: there are no dictionaries that workers share
    route = exchange.route
    name, _, value = form.format(
        scope=_scope(metric, exchange),
        status=exchange.status,
        workspace=WORKSPACES[metric.workspace],
        consumer=consumer,
        route=route and route.id,
    ).partition(":")
    return name, value


class Packets:
    """A sender that takes the lines of exchanges apart, and fills datagrams with them up to ``size`` bytes."""

    def __init__(self, sender: Sender, size: int) -> None:
        self._sender = sender
        self._size = size

    async def send(self, batch: list[bytes]) -> None:
        """Send every line of a batch; raises DeliveryError."""
        await self._sender.send(list(pack(b"\n".join(batch).split(b"\n"), self._size)))

    async def close(self) -> None:
        """Close the socket."""
        await self._sender.close()


def pack(lines: list[bytes], size: int) -> Iterator[bytes]:
    """Join lines to packets of at most ``size`` bytes; a longer line is one of its own, and with 0 each is."""
    packet = b""
    for line in lines:
        if packet and len(packet) + 1 + len(line) <= size:
            packet += b"\n" + line
        else:
            if packet:
                yield packet
            packet = line
    if packet:
        yield packet
