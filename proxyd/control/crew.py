"""The status listener of a master: how the gateway is, out of what its workers have written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from proxyd import __version__
from proxyd.control.answers import errors_as_json, json_answer
from proxyd.control.database import database
from proxyd.control.health import add_health
from proxyd.control.metrics import metrics_handler
from proxyd.control.overload import overload
from proxyd.control.resilience import resilience
from proxyd.control.status import last_reload
from proxyd.telemetry.access_line import timestamp
from proxyd.telemetry.admin_families import AdminCounts, of_admin
from proxyd.telemetry.database_families import of_database
from proxyd.telemetry.exposition import FleetExposition
from proxyd.telemetry.health_families import of_health
from proxyd.telemetry.kong import of_datastore
from proxyd.telemetry.memory import resident_bytes
from proxyd.telemetry.shipping_families import of_shipping
from proxyd.telemetry.source_families import of_config
from proxyd.telemetry.worker_families import WorkerCounts, of_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiohttp.typedefs import Handler
    from prometheus_client import Metric

    from proxyd.control.health import HealthSource
    from proxyd.telemetry.fleet import Fleet, Summary
    from proxyd.telemetry.shipping import Shipping
    from proxyd.telemetry.source import ConfigState, Followed

SENT_TO = ("HEALTHY", "HEALTHCHECKS_OFF")  # states in which requests are sent to an address


class WorkerLike(Protocol):
    """One worker."""

    slot: int
    state: str
    started_at: float

    @property
    def pid(self) -> int:
        """Its process."""


class CrewSource(Protocol):
    """What is asked of a master."""

    started_at: float
    counts: WorkerCounts
    admin_counts: AdminCounts
    fleet: Fleet

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""

    @property
    def database(self) -> Followed | None:
        """The database of entities, where there is one."""

    def workers(self) -> Sequence[WorkerLike]:
        """Return every worker that has a process."""

    async def refresh(self) -> None:
        """Have every worker write down its figures."""

    def not_ready(self) -> str:
        """Say why no traffic should come here now, or nothing where it may."""


def crew_app(
    source: CrewSource, health: HealthSource | None = None, shipping: Shipping | None = None
) -> web.Application:
    """Return the application of a master's ``status_listen``."""

    def own() -> Iterator[Metric]:
        yield from of_config(source.config)
        yield from of_database(source.database)
        yield from of_admin(source.admin_counts)
        yield from of_workers([one.state for one in source.workers()], source.counts)
        yield from of_health(health.states() if health is not None else ())
        yield from of_shipping(shipping)

    app = web.Application(middlewares=[errors_as_json])
    exposition = FleetExposition(source.fleet, source.refresh, own, lambda: [of_datastore(source.database)])
    app.router.add_get("/metrics", metrics_handler(exposition))
    app.router.add_get("/status", _status_handler(source))
    add_health(app, source, health)
    return app


def _status_handler(source: CrewSource) -> Handler:
    async def get(_request: web.Request) -> web.StreamResponse:
        """Tell how the gateway is, all workers together."""
        await source.refresh()
        summary = source.fleet.summary()
        workers = source.workers()
        return json_answer(
            {
                "pid": os.getpid(),
                "memory": {
                    "workers": [{"pid": one.pid, "rss_bytes": resident_bytes(one.pid)} for one in workers],
                    "master": {"pid": os.getpid(), "rss_bytes": resident_bytes()},
                },
                "server": _server(summary),
                "configuration_hash": source.config.digest,
                "version": __version__,
                "started_at": timestamp(source.started_at),
                "generation": source.config.generation,
                "last_reload": last_reload(source),
                "database": database(source.database),
                "workers": list(_workers(workers, summary, source.config)),
                "upstreams": upstreams(summary.states),
                "overload": overload(state.get("overload") for state in summary.states),
                "resilience": resilience(
                    row for state in summary.states for row in state.get("resilience", ())
                ),
            }
        )

    return get


def _server(summary: Summary) -> dict[str, int]:
    now = [state["connections"] for state in summary.states]

    def total(name: str) -> int:
        return sum(counts[name] for counts in now)

    since = summary.connections
    return {
        "connections_accepted": since["accepted"],
        "connections_handled": since["accepted"] - since["refused"],
        "connections_active": total("open"),
        "connections_reading": 0,
        "connections_writing": total("answering"),
        "connections_waiting": max(total("open") - total("answering"), 0),
        "total_requests": summary.requests,
        "websockets": total("tunnels"),
    }


def _workers(
    workers: Iterable[WorkerLike], summary: Summary, config: ConfigState
) -> Iterator[dict[str, Any]]:
    """Tell of each process; one that has written nothing down yet has no figures."""
    states = {state["pid"]: state for state in summary.states}
    for one in workers:
        state = states.get(one.pid)
        current = state is not None and state["hash"] == config.digest
        yield {
            "slot": one.slot,
            "pid": one.pid,
            "state": one.state,
            "started_at": timestamp(one.started_at),
            "generation": config.generation if current else None,  # None: another one than the gateway's
            "rss_bytes": resident_bytes(one.pid),
            "connections": state["connections"]["open"] if state is not None else 0,
            "connections_limit": state["connections"]["limit"] if state is not None else 0,
            "total_requests": state["requests"] if state is not None else 0,
        }


def upstreams(states: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put together how each address is in every worker: each checks for itself."""
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for state in states:
        for target in state["upstreams"]:
            key = (target["upstream"], target["target"], target["address"])
            row = merged.setdefault(
                key,
                {
                    "upstream": key[0] or None,
                    "target": key[1],
                    "address": key[2],
                    "health": target["health"],
                    "healthy_in": 0,
                    "workers": 0,
                    "ejected": False,
                    "requests_in_flight": 0,
                    "connections": 0,
                },
            )
            if target["health"] in SENT_TO:
                row["healthy_in"] += 1
                row["health"] = target["health"]
            row["workers"] += 1
            row["ejected"] = row["ejected"] or target["ejected"]
            row["requests_in_flight"] += target["in_flight"]
            row["connections"] += target["connections"]
    return list(merged.values())
