"""Who is told where the time of a request went, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.gateway.marks import Marks
from proxyd.gateway.server_timing import ServerTiming
from proxyd.telemetry.slow_log import SlowLog

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import Clock
    from proxyd.gateway.forwarded import TrustedIPs
    from proxyd.model.settings import Settings
    from proxyd.telemetry.redact import Redactor


def times_plugins(settings: Settings) -> bool:
    """Tell whether anybody asks how long each plugin takes."""
    return settings.slow_request_log != "off" or settings.server_timing != "off"


def make_slow_log(
    settings: Settings, clock: Clock, loop: asyncio.AbstractEventLoop, redactor: Redactor
) -> SlowLog | None:
    """Return the log of slow requests, None where there is none."""
    edge = settings.slow_request_log
    if edge == "off":
        return None
    return SlowLog(settings.latency_budget[1] if edge == "on" else float(edge), clock, loop, redactor)


def make_marks(settings: Settings, clock: Clock, trusted: TrustedIPs) -> Marks:
    """Return what the gateway writes on answers about itself."""
    timing = None
    if settings.server_timing != "off":
        timing = ServerTiming(clock.now, trusted if settings.server_timing == "trusted" else None)
    return Marks(settings.headers, clock.now, debug=settings.allow_debug_header, timing=timing)
