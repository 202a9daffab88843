"""The status listener: how the gateway is, for probes, Prometheus and people. It only reads.

``/status`` and ``/status/ready`` have Kong's shapes, ``/status/live`` and ``/status/health`` those of terminus; what proxyd adds stands beside Kong's keys.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxyd import __version__
from proxyd.control.answers import errors_as_json, json_answer
from proxyd.control.database import database
from proxyd.control.health import add_health
from proxyd.control.metrics import metrics_handler
from proxyd.control.overload import overload
from proxyd.control.resilience import resilience
from proxyd.telemetry.access_line import timestamp
from proxyd.telemetry.exposition import Exposition
from proxyd.telemetry.health_families import of_health
from proxyd.telemetry.memory import resident_bytes
from proxyd.telemetry.shipping_families import of_shipping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.typedefs import Handler
    from prometheus_client import Metric

    from proxyd.control.health import HealthSource
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import Configured, StatusSource


def status_app(
    telemetry: Telemetry, source: StatusSource, health: HealthSource | None = None
) -> web.Application:
    """Return the application of ``status_listen``."""
    app = web.Application(middlewares=[errors_as_json])

    def own() -> Iterator[Metric]:
        yield from of_health(health.states() if health is not None else ())
        yield from of_shipping(telemetry.shipping)

    app.router.add_get("/metrics", metrics_handler(Exposition(telemetry, source, own)))
    app.router.add_get("/status", _status_handler(telemetry, source))
    add_health(app, source, health)
    return app


def _status_handler(telemetry: Telemetry, source: StatusSource) -> Handler:
    async def get(_request: web.Request) -> web.StreamResponse:
        """Tell how the gateway is."""
        return json_answer(
            {
                "pid": os.getpid(),
                "memory": {"workers": [{"pid": os.getpid(), "rss_bytes": resident_bytes()}]},
                "server": _server(telemetry, source),
                "configuration_hash": source.config.digest,
                "version": __version__,
                "started_at": timestamp(telemetry.started_at),
                "generation": source.config.generation,
                "last_reload": last_reload(source),
                "upstreams": upstreams(source),
                "database": database(source.database),
                "overload": _overload(source),
                "graphql_schemas": telemetry.schemas.states(),
                "resilience": resilience(one.summary() for one in source.protections()),
            }
        )

    return get


def _server(telemetry: Telemetry, source: StatusSource) -> dict[str, int]:
    counts = source.connections()
    return {
        "connections_accepted": counts.accepted,
        "connections_handled": counts.accepted - counts.refused,
        "connections_active": counts.open,
        # A connection on which a head is arriving counts as waiting: nothing is known of it yet.
        "connections_reading": 0,
        "connections_writing": counts.answering,
        "connections_waiting": counts.idle,
        "total_requests": telemetry.requests,
        "websockets": counts.tunnels,
    }


def last_reload(source: Configured) -> dict[str, Any] | None:
    """Tell how the last attempt to load a configuration went; None where there was none."""
    config = source.config
    if not config.last_attempt:
        return None
    return {
        "success": config.last_succeeded,
        "time": timestamp(config.last_attempt),
        "errors": list(config.problems),
        "number": config.succeeded + config.failed,
    }


def _overload(source: StatusSource) -> dict[str, Any] | None:
    state = source.overload()
    return overload([state.summary()]) if state is not None else None


def upstreams(source: StatusSource) -> list[dict[str, Any]]:
    """Tell how each address is."""
    return [
        {
            "upstream": target.upstream or None,
            "target": target.target,
            "address": target.address,
            "health": target.health,
            "ejected": target.ejected,
            "requests_in_flight": target.in_flight,
            "connections": target.connections,
        }
        for target in source.targets()
    ]
