"""What log plugins share: exchanges are noted as they end, and become records a moment later, off the request path."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from proxyd import plugin
from proxyd.telemetry.kong_record import Recorder
from proxyd.telemetry.lua_fields import LuaLine, compile_fields
from proxyd.telemetry.noted import Noted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from proxyd.exchange import Exchange
    from proxyd.telemetry.outputs import Output


class Config(plugin.Config):
    """The setting that every plugin which writes Kong's record has."""

    custom_fields_by_lua: dict[str, LuaLine] | None = Field(None)
    """Fields to add to the record or, with ``return nil``, to take out; of Lua, only one-line forms are understood."""


ConfigT = TypeVar("ConfigT", bound=plugin.Config)


class Logger(plugin.Plugin[ConfigT], ABC):
    """Base of the plugins that log. A subclass says what its output is, and delivers what was noted.

    The output is shared with every instance whose ``output_key`` is the same, those before and after a reload
    included.
    """

    output: Output

    def prepare(self) -> None:
        """Compile the custom fields."""
        fields = compile_fields(getattr(self.config, "custom_fields_by_lua", None))
        self.recorder = Recorder(self.kit.redactor, fields)
        self._note: Callable[[Exchange], None] = _not_started
        self._noted: Noted | None = None

    @abstractmethod
    def output_key(self) -> Hashable:
        """Return what makes this instance's output the same as another's."""

    @abstractmethod
    def open(self) -> Output:
        """Make the output; called on the loop, where no other instance has."""

    @abstractmethod
    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Hand exchanges to the output; ``wall`` makes seconds since the epoch of their times."""

    def log(self, exchange: Exchange) -> None:
        """Note the exchange."""
        self._note(exchange)

    async def start(self) -> None:
        """Open the output, unless there is one to share."""
        self.output = self.kit.outputs.acquire(self.output_key(), self.open)
        self._noted = Noted(self._take, asyncio.get_running_loop())
        self._note = self._noted.note

    async def stop(self) -> None:
        """Hand over what is noted, and let go of the output; works after a half start."""
        noted, self._noted = self._noted, None
        if noted is not None:
            noted.close()
            self._note = self._late
            self.kit.outputs.release(self.output_key())

    def _take(self, batch: list[Exchange]) -> None:
        if self._noted is not None and self._noted.dropped:
            self.output.lost(self._noted.dropped)
            self._noted.dropped = 0
        self.deliver(batch, self.kit.clock.time() - self.kit.clock.now())

    def _late(self, exchange: Exchange) -> None:
        """Take an exchange that outlived its generation, as WebSockets do."""
        self.output = self.kit.outputs.acquire(self.output_key(), self.open)
        self._take([exchange])
        self.kit.outputs.release(self.output_key())


def _not_started(_exchange: Exchange) -> None:
    """Log nothing: without a loop there is nowhere to."""
