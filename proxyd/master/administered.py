"""A master with its workers as its admin listener sees them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyd.admin.source import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.master.master import Master
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings
    from proxyd.telemetry.source import ConfigState


class Administered:
    """Implements ``admin.source.AdminSource``.

    A master passes texts on and does not read them: ``take`` does, once for each text that somebody asks about.
    """

    def __init__(self, master: Master, loaded: Loaded, take: Callable[[str], Loaded]) -> None:
        self.settings: Settings = master.settings
        self._master = master
        self._take = take
        self._loaded = loaded
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Administered {self._master!r}>"

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""
        return self._master.config

    async def loaded(self) -> Loaded:
        """Return the configuration that runs."""
        async with self._reading:
            if self._loaded.hash != self._master.config.digest:
                self._loaded = await asyncio.to_thread(self._take, self._master.text)
            return self._loaded

    async def text(self) -> str | None:
        """Return the text that workers are started with."""
        return self._master.text

    async def apply(self, text: str) -> Loaded:
        """Have all workers take a text over, or none; raises ConfigError, or BusyError."""
        if self._master.changing:
            raise BusyError
        loaded = await asyncio.to_thread(self._take, text)
        await self._master.change(lambda: text)
        async with self._reading:
            self._loaded = loaded
        return loaded
