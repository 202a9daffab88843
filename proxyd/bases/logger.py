"""What log plugins share: exchanges are noted as they end, and become records a moment later, off the request path."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from proxyd import plugin
from proxyd.bases.queue import QueueSettings
from proxyd.telemetry.kong_record import Recorder
from proxyd.telemetry.lua_fields import LuaLine, compile_fields
from proxyd.telemetry.noted import Noted
from proxyd.telemetry.queue import Limits, Queue, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from proxyd.exchange import Exchange
    from proxyd.telemetry.outputs import Output


class Config(plugin.Config):
    """The setting that every plugin which writes Kong's record has."""

    custom_fields_by_lua: dict[str, LuaLine] | None = Field(None)
    """Fields to add to the record or, with ``return nil``, to take out; of Lua, only one-line forms are understood."""


# Kong's former settings, with the defaults that its exports still carry.
_FORMER = {"retry_count": 10, "queue_size": 1, "flush_timeout": 2}


class QueueConfig(plugin.Config):
    """The settings of plugins whose queue has any."""

    queue: QueueSettings = QueueSettings()
    """How records wait for the collector."""
    retry_count: int | None = None
    """Deprecated and without effect, as in Kong: `queue.max_retry_time` says how long."""
    queue_size: int | None = Field(None, ge=1, le=1_000_000)
    """Deprecated: `queue.max_batch_size`, which wins."""
    flush_timeout: float | None = Field(None, ge=0, le=3600)
    """Deprecated: `queue.max_coalescing_delay`, which wins."""

    def notices(self) -> Iterable[tuple[str, str]]:
        """Tell of former settings that are there with a value of their own."""
        return [
            (name, "is deprecated: see queue")
            for name, default in _FORMER.items()
            if getattr(self, name) not in {None, default}
        ]

    def limits(self) -> Limits:
        """Return what the queue is held to."""
        given = self.queue.model_dump()
        given["max_bytes"] = given["max_bytes"] or 0
        for former, name in (("queue_size", "max_batch_size"), ("flush_timeout", "max_coalescing_delay")):
            value = getattr(self, former)
            if value not in {None, _FORMER[former]} and name not in self.queue.model_fields_set:
                given[name] = value
        return Limits(**given)


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


class QueueLogger(Logger[ConfigT]):
    """Base of the plugins that send records to a collector. A subclass says where, and how."""

    output: Queue

    @abstractmethod
    def limits(self) -> Limits:
        """Return what the queue is held to."""

    @abstractmethod
    def sender(self) -> tuple[str, Sender]:
        """Return the collector's name, without a credential, and what sends there."""

    def open(self) -> Queue:
        """Make the queue; the collector is connected to when there is something to send."""
        destination, sender = self.sender()
        return Queue(self.name, destination, self.limits(), sender, self.kit.clock.now)

    def log(self, exchange: Exchange) -> None:
        """Note the exchange; its record is sent later."""
        self._note(exchange)

    def deliver(self, batch: list[Exchange], wall: float) -> None:
        """Put a record of each into the queue."""
        line, put = self.recorder.line, self.output.put
        for exchange in batch:
            put(line(exchange, wall))


def _not_started(_exchange: Exchange) -> None:
    """Log nothing: without a loop there is nowhere to."""
