"""Overload control as the settings ask for it, and the look at the event loop that it lives by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem
from proxyd.overload.control import Overload
from proxyd.overload.line import PERIOD
from proxyd.telemetry.lag import LoopLag

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxyd.clock import Clock
    from proxyd.model.settings import Settings
    from proxyd.telemetry.record import Telemetry


def make_overload(settings: Settings, clock: Clock) -> Overload | None:
    """Return the overload control that settings ask for; raises ConfigError."""
    if not settings.overload_control:
        return None
    floor, ceiling = settings.min_concurrent_requests, settings.max_concurrent_requests
    if ceiling < floor:
        reason = f"{ceiling} is less than min_concurrent_requests, which is {floor}"
        raise ConfigError([Problem(Place("max_concurrent_requests"), "", reason)])
    return Overload(settings.overload_queue_target, floor, ceiling, clock)


def watch_loop(
    telemetry: Telemetry, loop: asyncio.AbstractEventLoop, clock: Clock, overload: Overload | None
) -> Callable[[], None]:
    """Begin to look how late the loop is, more often where somebody acts on it; returns what ends that."""
    if overload is None:
        lag = LoopLag(telemetry.loop_lag, loop, clock.now, lately=telemetry.lately)
    else:
        lag = LoopLag(telemetry.loop_lag, loop, clock.now, PERIOD, overload.look, telemetry.lately)
    lag.start()
    return lag.stop
