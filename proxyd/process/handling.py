"""Settings to what carries requests and records them: the handler, its forwarder, what makes requests of the gateway's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.gateway.asking import Asker
from proxyd.gateway.forward import Forwarder
from proxyd.gateway.forwarded import RealIP, TrustedIPs
from proxyd.gateway.handler import Handler
from proxyd.process.assemble import client_tls, reads_preface
from proxyd.process.shipping import start_shipping
from proxyd.process.timings import make_marks, make_slow_log
from proxyd.telemetry.access_log import open_access_log
from proxyd.telemetry.record import Telemetry
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.spooled import open_segments

if TYPE_CHECKING:
    import asyncio
    from contextlib import AsyncExitStack

    from proxyd.clock import Clock
    from proxyd.gateway.snapshot import Snapshot
    from proxyd.gateway.tasks import Tasks
    from proxyd.model.settings import Settings
    from proxyd.overload.control import Overload
    from proxyd.telemetry.journal import Journal


def make_asker(settings: Settings, clock: Clock, tasks: Tasks) -> Asker:
    """Return what makes requests of the gateway's own."""
    return Asker(clock.now, tasks, send_request_id=_sends_request_id(settings))


def make_handler(
    snapshot: Snapshot,
    settings: Settings,
    clock: Clock,
    tasks: Tasks,
    telemetry: Telemetry,
    trusted: TrustedIPs,
    asker: Asker,
    overload: Overload | None,
) -> Handler:
    """Return a handler, complete."""
    marks = make_marks(settings, clock, trusted)
    header = b"" if reads_preface(settings) else settings.real_ip_header.lower().encode()
    real_ip = RealIP(trusted, header, recursive=settings.real_ip_recursive)
    handler = Handler(snapshot, clock, tasks, marks, real_ip, telemetry, settings.error_default_type)
    handler.forwarder = Forwarder(
        clock.now,
        tasks,
        marks,
        handler.reply,
        handler.finished,
        send_request_id=_sends_request_id(settings),
    )
    handler.asker = asker
    handler.overload = overload
    return handler


def make_telemetry(
    settings: Settings,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    journal: Journal | None,
    name: str,
    started: AsyncExitStack,
) -> Telemetry:
    """Return what records exchanges, with its logs open; raises ConfigError where they cannot be.

    One of several processes has a ``name``; another one ships their logs until its ``started`` ends.
    """
    redactor = Redactor()
    shipping = start_shipping(settings, clock, started) if not name else None
    segments = open_segments(settings, "access", name, clock.time, started)
    access_log = open_access_log(settings.proxy_access_log, clock, loop, redactor, segments)
    slow = make_slow_log(settings, clock, loop, redactor)
    telemetry = Telemetry(clock, access_log, settings.latency_budget, redactor, slow, journal)
    telemetry.logs.tls = client_tls(settings)
    telemetry.shipping = shipping
    return telemetry


def _sends_request_id(settings: Settings) -> bool:
    return "x-kong-request-id" in settings.headers_upstream
