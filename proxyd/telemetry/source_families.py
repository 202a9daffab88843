"""Metric families of what the runtime tells when it is asked: connections, targets, certificates, keys, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from proxyd.telemetry.database_families import of_database
from proxyd.telemetry.overload_families import of_overload
from proxyd.telemetry.protection_families import of_protections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.source import ConfigState, StatusSource


def of_source(source: StatusSource) -> Iterator[Metric]:
    """Yield them, one after the other."""
    for make in (_of_traffic, _of_targets, of_protections, _of_tls, _of_key_sets, _of_limits, of_overload):
        yield from make(source)
    yield from of_config(source.config)
    yield from of_database(source.database)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _of_traffic(source: StatusSource) -> Iterator[Metric]:
    counts = source.connections()
    yield _gauge(
        "proxyd_http_requests_in_flight", "Requests under way, WebSockets left out.", counts.in_flight
    )
    connections = GaugeMetricFamily(
        "proxyd_open_connections", "Client connections, by what they are doing.", labels=("state",)
    )
    connections.add_metric(("answering",), counts.in_flight)
    connections.add_metric(("idle",), counts.idle)
    connections.add_metric(("websocket",), counts.tunnels)
    yield connections
    yield _gauge("proxyd_connections_limit", "How many client connections there may be.", counts.limit)
    yield _gauge("proxyd_websockets_open", "WebSocket connections.", counts.tunnels)
    yield CounterMetricFamily(
        "proxyd_connections", "Client connections accepted since the start.", value=counts.accepted
    )
    yield CounterMetricFamily(
        "proxyd_connections_refused",
        "Client connections closed at the connection limit.",
        value=counts.refused,
    )
    yield CounterMetricFamily(
        "proxyd_connections_malformed",
        "Connections cut because they did not begin with a PROXY header.",
        value=counts.malformed,
    )


def _of_targets(source: StatusSource) -> Iterator[Metric]:
    labels = ("upstream", "target", "address")
    healthy = GaugeMetricFamily(
        "proxyd_upstream_healthy", "Whether requests are sent to an address: 1 or 0.", labels=labels
    )
    in_flight = GaugeMetricFamily(
        "proxyd_upstream_requests_in_flight", "Requests under way to an address.", labels=labels
    )
    connections = GaugeMetricFamily(
        "proxyd_upstream_open_connections", "Connections to an address, idle ones included.", labels=labels
    )
    # Peers of one address that differ only in how they are spoken to are one series.
    merged: dict[tuple[str, str, str], tuple[bool, int, int]] = {}
    for target in source.targets():
        key = (target.upstream, target.target, target.address)
        available, requests, opened = merged.get(key, (True, 0, 0))
        merged[key] = (
            available and target.available,
            requests + target.in_flight,
            opened + target.connections,
        )
    for key, (available, requests, opened) in merged.items():
        healthy.add_metric(key, available)
        in_flight.add_metric(key, requests)
        connections.add_metric(key, opened)
    yield from (healthy, in_flight, connections)


def _of_tls(source: StatusSource) -> Iterator[Metric]:
    state = source.tls_state
    expiry = GaugeMetricFamily(
        "proxyd_certificate_expiry_timestamp_seconds",
        "When a certificate ends.",
        labels=("use", "certificate", "name"),
    )
    for one in state.certificates:
        expiry.add_metric((one.use, one.certificate, one.name), one.not_after)
    yield expiry
    renewals = CounterMetricFamily(
        "proxyd_certificate_renewals", "Changes of certificate files that were seen.", labels=("result",)
    )
    renewals.add_metric(("success",), state.succeeded)
    renewals.add_metric(("failure",), state.failed)
    yield renewals
    failures = CounterMetricFamily(
        "proxyd_tls_handshake_failures", "Handshakes with clients that failed.", labels=("reason",)
    )
    for reason, count in state.handshake_failures.items():
        failures.add_metric((reason,), count)
    yield failures


def _of_key_sets(source: StatusSource) -> Iterator[Metric]:
    keys = GaugeMetricFamily(
        "proxyd_jwks_keys", "Keys known of a token issuer, by where they are published.", labels=("uri",)
    )
    fetches = CounterMetricFamily(
        "proxyd_jwks_fetches", "Attempts to fetch the keys of a token issuer.", labels=("uri", "result")
    )
    success = GaugeMetricFamily(
        "proxyd_jwks_last_success_timestamp_seconds",
        "When the keys of a token issuer were last fetched.",
        labels=("uri",),
    )
    for state in source.key_sets():
        keys.add_metric((state.uri,), state.keys)
        fetches.add_metric((state.uri, "success"), state.succeeded)
        fetches.add_metric((state.uri, "failure"), state.failed)
        success.add_metric((state.uri,), state.last_success)
    yield from (keys, fetches, success)


def _of_limits(source: StatusSource) -> Iterator[Metric]:
    counts = source.limits()
    yield CounterMetricFamily(
        "proxyd_limits_strangers",
        "Requests that shared a counter with others', because there was no room for one of their own.",
        value=counts.strangers,
    )
    fallbacks = CounterMetricFamily(
        "proxyd_limits_fallbacks",
        "Requests that were counted nearer by than they should have been, by what was away.",
        labels=("away",),
    )
    for away, count in counts.fallbacks.items():
        fallbacks.add_metric((away,), count)
    yield fallbacks
    redis = GaugeMetricFamily(
        "proxyd_redis_up", "Whether a Redis can be counted in: 1 or 0.", labels=("redis",)
    )
    for place, up in counts.redis.items():
        redis.add_metric((place,), up)
    yield redis


def of_config(config: ConfigState) -> Iterator[Metric]:
    """Yield what became of configurations."""
    yield _gauge(
        "proxyd_config_generation", "How many configurations have been taken over.", config.generation
    )
    reloads = CounterMetricFamily(
        "proxyd_config_reloads", "Attempts to load a configuration.", labels=("result",)
    )
    reloads.add_metric(("success",), config.succeeded)
    reloads.add_metric(("failure",), config.failed)
    yield reloads
    yield _gauge(
        "proxyd_config_last_reload_success",
        "Whether the last attempt to load a configuration was a success: 1 or 0.",
        config.last_succeeded,
    )
    yield _gauge(
        "proxyd_config_last_success_timestamp_seconds",
        "When a configuration was last taken over.",
        config.last_success,
    )
    yield InfoMetricFamily(
        "proxyd_config_hash", "The configuration that runs.", value={"hash": config.digest}
    )
