"""One gateway as its admin listener sees it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxyd.admin.dashboard.observed import of_one
from proxyd.admin.source import BusyError
from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxyd.admin.audit.auditor import Auditor
    from proxyd.admin.dashboard.observed import Observation
    from proxyd.database.live import Live
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.process.worker import Worker
    from proxyd.telemetry.admin_families import AdminCounts
    from proxyd.telemetry.source import ConfigState, TargetState


def _nothing() -> str:
    raise ConfigError([Problem(Place("configuration"), "", "there is no file")])


def _not_made(_text: str) -> Loaded:
    raise ConfigError(
        [Problem(Place("configuration"), "", "not loaded: no other configuration is taken here")]
    )


@dataclass(frozen=True, slots=True)
class Texts:
    """Where texts of configurations come from, and what becomes of them; both raise ConfigError.

    ``read`` returns that of the file; ``make`` loads one that was sent, and may take seconds.
    """

    read: Callable[[], str] = _nothing
    make: Callable[[str], Loaded] = _not_made


class Administered:
    """Implements ``admin.source.AdminSource``."""

    def __init__(self, worker: Worker, texts: Texts) -> None:
        self.settings: Settings = worker.settings
        self.admin_counts: AdminCounts = worker.admin_counts
        self.auditor: Auditor = worker.auditor
        self.uses = worker.uses
        self._worker = worker
        self._texts = texts

    def __repr__(self) -> str:
        return f"<Administered {self._worker!r}>"

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""
        return self._worker.config

    @property
    def database(self) -> Live | None:
        """The database of entities."""
        return self._worker.database

    async def observe(self) -> Observation:
        """Return how the gateway is now."""
        return of_one(self._worker.telemetry, self._worker)

    async def loaded(self) -> Loaded:
        """Return the configuration that runs."""
        return self._worker.loaded

    async def text(self) -> str | None:
        """Return the file's text, if that is what runs: there are keys in it, and nothing here keeps them."""
        try:
            text = await asyncio.to_thread(self._texts.read)
        except ConfigError:
            return None
        return text if hashlib.sha256(text.encode()).hexdigest() == self.config.digest else None

    async def apply(self, text: str) -> Loaded:
        """Take a text over; raises ConfigError, or BusyError."""
        if self._worker.changing:
            raise BusyError
        return await self._worker.change(lambda: self._texts.make(text))

    async def targets(self) -> Sequence[TargetState]:
        """List every address that requests can be sent to."""
        return list(self._worker.targets())

    async def mark(self, upstream: str, target: str, address: str | None, *, healthy: bool) -> int:
        """Take somebody's word for a target's health; return of how many of its addresses."""
        return self._worker.mark(upstream, target, address, healthy=healthy)

    async def tail(self, watches: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, bytes]]:
        """Return what there is for those who watch requests."""
        return [(os.getpid(), self._worker.tail.take(watches))]
