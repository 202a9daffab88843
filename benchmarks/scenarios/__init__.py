"""The scenarios by name, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios import (
    admin_writes,
    connections,
    download,
    events,
    exactness,
    graphql,
    graphql_hostile,
    graphql_subscriptions,
    handshakes,
    latency,
    many,
    messages,
    overload,
    plain,
    policies,
    processes,
    routes,
    slow_clients,
    stream_memory,
    tls,
    upload,
    websocket_idle,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

SCENARIOS: dict[str, Callable[[Bench], Section]] = {
    "plain": plain.run,
    "policies": policies.run,
    "many": many.run,
    "latency": latency.run,
    "connections": connections.run,
    "tls": tls.run,
    "handshakes": handshakes.run,
    "download": download.run,
    "upload": upload.run,
    "messages": messages.run,
    "events": events.run,
    "routes": routes.run,
    "websocket-idle": websocket_idle.run,
    "stream-memory": stream_memory.run,
    "slow-clients": slow_clients.run,
    "exactness": exactness.run,
    "processes": processes.run,
    "overload": overload.run,
    "admin-writes": admin_writes.run,
    "graphql": graphql.run,
    "graphql-hostile": graphql_hostile.run,
    "graphql-subscriptions": graphql_subscriptions.run,
}
