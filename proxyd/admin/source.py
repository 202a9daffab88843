"""What the Admin API asks of the process that serves it: a gateway by itself, or a master with its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proxyd.telemetry.source import Configured

if TYPE_CHECKING:
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings

POSTED = "request"  # what problems call a text that came with a request


class AdminSource(Configured, Protocol):
    """Where the configuration that runs is read, and replaced."""

    settings: Settings

    async def loaded(self) -> Loaded:
        """Return the configuration that runs."""

    async def text(self) -> str | None:
        """Return the text that it came from, or None where that is not to be had any more."""

    async def apply(self, text: str) -> Loaded:
        """Take a text over, everywhere or nowhere; raises ConfigError, and BusyError while another one is being loaded."""


class BusyError(Exception):
    """Another configuration is being loaded."""
