"""What the Admin API asks of the process that serves it: a gateway by itself, or a master with its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from proxyd.telemetry.source import Configured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxyd.admin.audit.auditor import Auditor
    from proxyd.admin.dashboard.observed import Observation
    from proxyd.database.live import Live
    from proxyd.database.uses import Uses
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.telemetry.source import TargetState

POSTED = "request"  # what problems call a text that came with a request


class AdminSource(Configured, Protocol):
    """Where the configuration that runs is read, and replaced."""

    settings: Settings
    auditor: Auditor

    uses: Uses

    @property
    def database(self) -> Live | None:
        """The database of entities, where there is one: then they are read there, and written."""

    async def loaded(self) -> Loaded:
        """Return the configuration that runs."""

    async def text(self) -> str | None:
        """Return the text that it came from, or None where that is not to be had any more."""

    async def apply(self, text: str) -> Loaded:
        """Take a text over, everywhere or nowhere; raises ConfigError, and BusyError while another one is being loaded."""

    async def targets(self) -> Sequence[TargetState]:
        """List every address that requests can be sent to; of several workers, in what they agree on."""

    async def mark(self, upstream: str, target: str, address: str | None, *, healthy: bool) -> int:
        """Have every worker take somebody's word for a target's health; return of how many of its addresses."""

    async def tail(self, watches: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, bytes]]:
        """Return what every process has for those who watch requests, as ``telemetry.tail`` has it, with the process's id."""

    async def observe(self) -> Observation:
        """Return how the gateway is now, for the dashboard; called every second."""


class BusyError(Exception):
    """Another configuration is being loaded."""
