"""The status listener of a master: how the gateway is, out of what it knows of its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from proxyd import __version__
from proxyd.control.status import errors_as_json, json_answer, last_reload, ready_handler
from proxyd.telemetry.access_line import timestamp
from proxyd.telemetry.memory import resident_bytes
from proxyd.telemetry.source_families import of_config
from proxyd.telemetry.worker_families import WorkerCounts, of_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiohttp.typedefs import Handler
    from prometheus_client import Metric

    from proxyd.telemetry.source import ConfigState


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

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""

    def workers(self) -> Sequence[WorkerLike]:
        """Return every worker that has a process."""

    def not_ready(self) -> str:
        """Say why no traffic should come here now, or nothing where it may."""


def crew_app(source: CrewSource) -> web.Application:
    """Return the application of a master's ``status_listen``."""
    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/metrics", _metrics_handler(source))
    app.router.add_get("/status", _status_handler(source))
    app.router.add_get("/status/ready", ready_handler(source))
    return app


def _status_handler(source: CrewSource) -> Handler:
    async def get(_request: web.Request) -> web.StreamResponse:
        return json_answer(
            {
                "memory": {
                    "workers": [
                        {"pid": one.pid, "rss_bytes": resident_bytes(one.pid)} for one in source.workers()
                    ]
                },
                "configuration_hash": source.config.digest,
                "version": __version__,
                "started_at": timestamp(source.started_at),
                "generation": source.config.generation,
                "last_reload": last_reload(source),
                "workers": [_worker(one) for one in source.workers()],
            }
        )

    return get


def _worker(one: WorkerLike) -> dict[str, Any]:
    return {"slot": one.slot, "pid": one.pid, "state": one.state, "started_at": timestamp(one.started_at)}


class _Own(Collector):
    def __init__(self, source: CrewSource) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        yield from of_config(self._source.config)
        yield from of_workers([one.state for one in self._source.workers()], self._source.counts)


def _metrics_handler(source: CrewSource) -> Handler:
    registry = CollectorRegistry()
    registry.register(_Own(source))

    async def get(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    return get
