"""``/status/live`` and ``/status/health`` in the shape of terminus; ``/status/ready`` is Kong's.

Live says that the process answers, whatever becomes of anything else. Health tells of every indicator as it was seen
last. Ready depends on those indicators alone of which the configuration says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from proxyd.control.answers import json_answer
from proxyd.model.indicators import OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web
    from aiohttp.typedefs import Handler

    from proxyd.telemetry.health_families import HealthState
    from proxyd.telemetry.source import Ready


class HealthSource(Protocol):
    """What looks at indicators."""

    async def details(self) -> dict[str, dict[str, Any]]:
        """Return what was seen last of each."""

    def not_ready(self) -> str:
        """Say why no traffic should come because of one, or nothing where it may."""

    def states(self) -> Sequence[HealthState]:
        """Return what metrics tell."""


def add_health(app: web.Application, source: Ready, health: HealthSource | None) -> None:
    """Add the three routes to an application."""
    app.router.add_get("/status/live", _live)
    app.router.add_get("/status/ready", ready_handler(source, health))
    app.router.add_get("/status/health", _health_handler(source, health))


async def _live(_request: web.Request) -> web.StreamResponse:
    """Tell that the process answers."""
    return json_answer(_document("ok", {}))


def ready_handler(source: Ready, health: HealthSource | None = None) -> Handler:
    """Return what answers 200, or 503 and why."""

    async def get(_request: web.Request) -> web.StreamResponse:
        """Tell whether traffic should come here."""
        reason = source.not_ready() or (health.not_ready() if health is not None else "")
        return json_answer({"message": reason}, 503) if reason else json_answer({"message": "ready"})

    return get


def _health_handler(source: Ready, health: HealthSource | None) -> Handler:
    async def get(_request: web.Request) -> web.StreamResponse:
        """Tell how the gateway and its dependencies are."""
        details = await health.details() if health is not None else {}
        reason = source.not_ready()
        own = {"status": "down", "message": reason} if reason else {"status": "up"}
        details = {OWN: own, **details}
        fine = all(one["status"] == "up" for one in details.values())
        status = "ok" if fine else "shutting_down" if reason == "draining" else "error"
        return json_answer(_document(status, details), 200 if fine else 503)

    return get


def _document(status: str, details: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": status,
        "info": {name: one for name, one in details.items() if one["status"] == "up"},
        "error": {name: one for name, one in details.items() if one["status"] != "up"},
        "details": details,
    }
