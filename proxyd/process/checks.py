"""The indicators of ``/status/health``: looked at by the process that tells of them, whatever serves beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.health.monitor import Health
from proxyd.health.registry import make_looks
from proxyd.process.authorities import authorities_of
from proxyd.telemetry.memory import resident_bytes

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from proxyd.clock import Clock
    from proxyd.health.look import Look, Processes
    from proxyd.model.indicators import Indicator
    from proxyd.model.load import Loaded
    from proxyd.telemetry.record import Telemetry

NAME = "gateway"  # of a process that serves by itself


class OneProcess:
    """A gateway of one process; implements ``health.look.Processes``."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def __repr__(self) -> str:
        return f"<OneProcess {self._telemetry!r}>"

    def resident(self) -> dict[str, int]:
        """Return the memory of this process."""
        return {NAME: resident_bytes() or 0}

    def lags(self) -> dict[str, float]:
        """Return how late its loop was."""
        return {NAME: self._telemetry.lately.worst()}


def own_health(loaded: Loaded, telemetry: Telemetry, clock: Clock, started: AsyncExitStack) -> Health | None:
    """Do as ``start_health`` for a gateway of one process."""
    return start_health(loaded, OneProcess(telemetry), clock, started)


def start_health(
    loaded: Loaded, processes: Processes, clock: Clock, started: AsyncExitStack
) -> Health | None:
    """Look at the indicators until ``started`` ends; None where nobody could ask. Raises ConfigError."""
    settings = loaded.settings
    if not settings.health or not (settings.status_listen or settings.admin_listen):
        return None
    health = Health(looks_of(loaded, processes), clock)
    started.push_async_callback(health.stop)
    health.start()
    return health


def looks_of(loaded: Loaded, processes: Processes) -> list[tuple[Indicator, Look]]:
    """Set the indicators up; raises ConfigError."""
    settings = loaded.settings
    return make_looks(settings.health, processes, loaded.configuration.places, authorities_of(settings))
