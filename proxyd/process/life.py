"""What signals ask of a process, from its start to its end; nginx and Kong use the same ones.

HUP loads the configuration anew, USR1 opens the logs anew, USR2 takes the code that is now installed. QUIT drains, TERM and
INT stop sooner; a second one of these three ends it at once.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Protocol

from proxyd.clock import Clock
from proxyd.process import early, memory
from proxyd.process.notify import Notifier
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from proxyd.model.files import FileWatch
    from proxyd.model.settings import Settings
    from proxyd.telemetry.source import ConfigState
    from proxyd.telemetry.writer import LineWriter

UNBOUNDED = float("inf")  # seconds

log = get_logger("process")


class Process(Protocol):
    """What a life is led by: a worker, or a master of several."""

    @property
    def settings(self) -> Settings:
        """The settings that it was started with."""

    @property
    def config(self) -> ConfigState:
        """The state of the configuration."""

    async def start(self) -> None:
        """Begin to serve; raises ConfigError."""

    async def reload(self) -> bool:
        """Take the file's present content over; true where that was done. Says why not by itself."""

    async def upgrade(self) -> bool:
        """Take the code over that is now installed; true where that was done. Says why not by itself."""

    def reopen_logs(self) -> None:
        """Go on in new log files."""

    async def stop(self, *, drain: float | None = None, delay: float = 0.0) -> None:
        """Stop accepting after ``delay`` seconds, let requests finish for ``drain``, and end."""

    def cut(self) -> None:
        """Wait for nothing any longer; called while ``stop`` runs."""


class Life:
    """Leads a process through its life. ``started`` is called once it serves.

    ``events`` is where events are written, to be reopened with the other logs; the ``notifier`` tells the service manager.
    ``watched`` is the file of the configuration, which is loaded anew when it changes.
    """

    def __init__(
        self,
        process: Process,
        started: Callable[[], None],
        events: LineWriter | None = None,
        notifier: Notifier | None = None,
        watched: FileWatch | None = None,
    ) -> None:
        self._process = process
        self._started = started
        self._events = events
        self._notifier = notifier or Notifier({}, 0, Clock())
        self._watched = watched
        self._ending = asyncio.Event()
        self._drain: float | None = None
        self._delay = 0.0
        self._asked: asyncio.Queue[int] = asyncio.Queue()
        self._waiting: set[int] = set()  # what is in the queue: twice is once
        self._doing: asyncio.Future[bool] | None = None

    def __repr__(self) -> str:
        return f"<Life {'ending' if self._ending.is_set() else 'running'} asked={len(self._waiting)}>"

    async def run(self) -> None:
        """Start, do what is asked, and stop; raises what the start raised."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, *early.ENDING):
            loop.add_signal_handler(number, self._end, number)
        for number in early.ASKING:
            loop.add_signal_handler(number, self._ask, number)
        for asked in early.release():
            self._ask(asked)
        self._notifier.watch(loop)
        try:
            if await self._unless_ended(self._process.start()):
                memory.settle()
                self._started()
                self._notifier.ready(self._state())
                if self._watched is not None:
                    self._watched.start(lambda: self._ask(signal.SIGHUP))
                await self._unless_ended(self._serve())
        finally:
            if self._watched is not None:
                await self._watched.stop()
            await self._process.stop(drain=self._drain, delay=self._delay)
            if self._doing is not None:
                await asyncio.gather(self._doing, return_exceptions=True)
            self._notifier.close()
            for number in (signal.SIGINT, *early.ENDING, *early.ASKING):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # it is as good as gone

    async def _unless_ended(self, doing: Coroutine[None, None, None]) -> bool:
        """Wait for something, or for the end; true for the former, whose exception is raised."""
        task = asyncio.ensure_future(doing)
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
        done = task.done()
        task.cancel()
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        if done:
            task.result()
        else:
            await asyncio.gather(task, return_exceptions=True)
        return done

    # --- what is asked ---------------------------------------------------------------------------------------

    def _end(self, number: int) -> None:
        if self._ending.is_set():  # asked twice: at once, then
            self._process.cut()
            return
        self._notifier.stopping("finishing what is under way")
        settings = self._process.settings
        if number == signal.SIGQUIT:
            self._drain = settings.drain_timeout or UNBOUNDED
        if number != signal.SIGINT:  # a person at the keyboard, who waits
            self._delay = settings.drain_delay
        self._ending.set()

    def _ask(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._process.reopen_logs()
            if self._events is not None:
                self._events.reopen()
        elif number not in self._waiting:
            self._waiting.add(number)
            self._asked.put_nowait(number)

    async def _serve(self) -> None:
        """Do what is asked, one thing after the other."""
        while True:
            number = await self._asked.get()
            self._waiting.discard(number)
            upgrade = number == signal.SIGUSR2
            if self._watched is not None and not upgrade:
                self._watched.taken()
            doing = self._process.upgrade() if upgrade else self._process.reload()
            self._doing = asyncio.ensure_future(doing)
            if not upgrade:
                self._notifier.reloading()
            if await asyncio.shield(self._doing) and not upgrade:  # what is begun is not left halfway
                memory.settle()
            self._notifier.ready(self._state())

    def _state(self) -> str:
        config = self._process.config
        refused = f"; reload refused: {config.problems[0]}" if config.problems else ""
        return f"generation {config.generation}{refused}"
