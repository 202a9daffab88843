"""What is answered beside the traffic: the listeners of status and administration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.admin.app import admin_app
from proxyd.clock import Clock
from proxyd.control.server import AppServer
from proxyd.errors import ConfigError, Place, Problem
from proxyd.telemetry.spooled import open_segments

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack
    from typing import Any

    from aiohttp import web

    from proxyd.admin.source import AdminSource


async def start_servers(
    status: web.Application,
    admin: AdminSource,
    context: ssl.SSLContext | None,
    given: Mapping[str, Mapping[Any, Sequence[socket.socket]]],
    started: AsyncExitStack,
) -> tuple[list[str], list[str]]:
    """Serve ``status_listen`` and ``admin_listen`` until ``started`` ends; returns their addresses as URLs.

    ``given`` are sockets that others have bound, by setting and entry.

    Raises ConfigError where that is not possible.
    """
    settings = admin.settings
    if settings.admin_listen:
        started.callback(admin.auditor.close)
        segments = open_segments(settings, "audit", "", Clock().time, started)
        admin.auditor.open(settings.admin_audit_log, segments)
        admin.admin_counts.dropped = lambda: admin.auditor.dropped
    found: dict[str, list[str]] = {"status_listen": [], "admin_listen": []}
    for setting in found:
        if listens := getattr(settings, setting):
            app = status if setting == "status_listen" else _admin_app(admin, status)
            server = AppServer(app, listens, setting, context, given.get(setting))
            started.push_async_callback(server.stop)
            await server.start()
            found[setting] = list(server.addresses)
    return found["status_listen"], found["admin_listen"]


def _admin_app(admin: AdminSource, status: web.Application) -> web.Application:
    """Return the application; raises ConfigError where it would let somebody in unasked."""
    try:
        return admin_app(admin, status)
    except ValueError as error:
        raise ConfigError([Problem(Place("admin_listen"), "", str(error))]) from error
