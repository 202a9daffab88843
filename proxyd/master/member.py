"""A worker's end of the talk: it does what the master says, and ends by itself when there is no master any more."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxyd import __version__
from proxyd.errors import ConfigError
from proxyd.master.channel import Channel
from proxyd.master.child import HELD, values_of
from proxyd.master.messages import PROTOCOL
from proxyd.model.listen import Listen
from proxyd.process import memory
from proxyd.process.worker import Prepared, Worker, changed_settings, why_refused
from proxyd.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from proxyd.master.messages import Message
    from proxyd.model.load import Loaded
    from proxyd.telemetry.writer import LineWriter

    # Loads a text that has a name, with settings that win over all others.
    Load = Callable[[str, str, dict[str, Any]], Loaded]

CHANNEL_WAIT = 2.0  # seconds that the last words get
WORD_WAIT = 0.3  # seconds for the master's word, where a signal may have been for all processes

log = events.get_logger("worker")


class Member:
    """One worker of several. ``channel`` is the descriptor of its end of the socket pair."""

    def __init__(self, channel: int, load: Load) -> None:
        self._socket = socket.socket(fileno=channel)
        self._socket.set_inheritable(False)
        self._load = load
        self._started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._signals = 0
        self._limit: float | None = None
        self._delay = 0.0
        self._last = False  # whether the master ends, too
        self._prepared: tuple[int, Prepared] | None = None
        self._changing = asyncio.Lock()
        self._covering = asyncio.Lock()
        self._covered: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: Worker | None = None
        self._writer: LineWriter | None = None
        self._overrides: dict[str, Any] = {}
        self._name = ""

    # --- life ------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until the end; returns the exit code."""
        loop = asyncio.get_running_loop()
        self._channel = channel = await Channel.over(self._socket, self._hear)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, self._signalled)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)  # meant for the master, and sent to the whole group
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        channel.tell("hello", protocol=PROTOCOL, version=__version__)
        self._spawn(self._watch(channel))
        try:
            return await self._serve(*await self._started)
        except asyncio.CancelledError:
            if not channel.ended.is_set():
                raise
            return 0  # there was no master any more before there was anything to do
        finally:
            self._ending.set()
            channel.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(channel.ended.wait(), CHANNEL_WAIT)
            if self._writer is not None:
                self._writer.close()

    async def _watch(self, channel: Channel) -> None:
        await channel.ended.wait()
        if not self._started.done():
            self._started.cancel()
        elif not self._ending.is_set():
            log.error("the master is gone: draining")
            self._last = True
            self._ending.set()

    async def _serve(self, start: dict[str, Any], attached: bytes) -> int:
        try:
            loaded = self._first(start, attached)
            events.bind(worker=start["slot"])
            self._writer = events.configure(loaded.settings.log_level, loaded.settings.proxy_error_log)
            self._worker = worker = self._make(start, loaded)
            try:
                await worker.start()
            except BaseException:
                await worker.stop(drain=0.0)
                raise
        except ConfigError as error:
            self._channel.tell("failed", problems=[values_of(problem) for problem in error.problems])
            return 1
        memory.settle()
        self._channel.tell("ready")
        await self._ending.wait()
        await self._stop(worker)
        return 0

    async def _stop(self, worker: Worker) -> None:
        for number in self._inherited:
            os.close(number)
        self._inherited.clear()
        if worker.listener is not None:
            worker.listener.last = self._last
        await worker.stop(drain=self._limit, delay=self._delay)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._prepared is not None:
            await self._prepared[1].snapshot.stop()

    # --- start -----------------------------------------------------------------------------------------------

    def _first(self, start: dict[str, Any], attached: bytes) -> Loaded:
        """Load the configuration that runs, under the settings that were there when the master started."""
        size = start["size"]
        text, base = attached[:size].decode(), attached[size:].decode()
        self._name = start["name"]
        self._listens = tuple(Listen(**values) for values in start["listens"])
        self._sockets: list[list[int]] = start["sockets"]
        self._slot: int = start["slot"]
        self._inherited = {number for slot in self._sockets for number in slot}
        for number in self._inherited:
            os.set_inheritable(number, False)
        # What the master has opened, and what it serves itself, is its own affair.
        self._overrides = {
            "proxy_listen": tuple(dict.fromkeys(self._listens)),
            "status_listen": "off",
            "admin_listen": "off",
        }
        loaded = self._load(text, self._name, self._overrides)
        if base:
            loaded = replace(loaded, settings=self._load(base, self._name, self._overrides).settings)
        return loaded

    def _make(self, start: dict[str, Any], loaded: Loaded) -> Worker:
        given: dict[Listen, list[socket.socket]] = {}
        for listen, number in zip(self._listens, self._sockets[self._slot], strict=True):
            given.setdefault(listen, []).append(socket.socket(fileno=os.dup(number)))
        counters: int | None = start["counters"]
        figures: int | None = start["figures"]
        under_way: int | None = start["under_way"]
        for inherited in (counters, figures, under_way):
            if inherited is not None:
                os.set_inheritable(inherited, False)
        name = f"worker {self._slot}"
        return Worker(
            loaded,
            lambda: loaded,
            given={"proxy_listen": given},
            counters=counters,
            figures=figures,
            under_way=under_way,
            name=name,
            keeper=_Told(self._channel),
        )

    # --- what the master says --------------------------------------------------------------------------------

    def _hear(self, message: dict[str, Any], attached: bytes) -> None:
        what = message.get("what")
        if what == "start":
            if not self._started.done():
                self._started.set_result((message, attached))
        elif what == "drain":
            self._drain(math.inf if message["limit"] is None else message["limit"], message)
        elif what == "ping":
            self._channel.answer(message)
        elif what == "reopen":
            self._reopen()
        elif self._worker is not None:
            self._tell(self._worker, message, attached)

    def _drain(self, limit: float, message: dict[str, Any]) -> None:
        if not self._ending.is_set():
            self._limit, self._delay, self._last = limit, message["delay"], message["last"]
            self._ending.set()
        elif self._worker is not None and not math.isinf(limit):
            # It drains already, with more time than there is now.
            asyncio.get_running_loop().call_later(limit + message["delay"], self._worker.cut)

    def _tell(self, worker: Worker, message: dict[str, Any], attached: bytes) -> None:
        what = message.get("what")
        if what == "cut":
            self._ending.set()
            worker.cut()
        elif what == "report":
            self._spawn(self._report(worker, message))
        elif what == "mark":
            where = (message["upstream"], message["target"], message["address"])
            self._channel.answer(message, marked=worker.mark(*where, healthy=message["healthy"]))
        elif what == "tail":
            self._channel.answer(message, worker.tail.take(message["watches"]))
        elif what == "cover":
            self._spawn(self._cover(worker, set(message["slots"])))
        elif what == "prepare":
            self._spawn(self._prepare(worker, message, attached.decode()))
        elif what in {"commit", "abort"}:
            self._spawn(self._decide(worker, message))

    async def _report(self, worker: Worker, message: dict[str, Any]) -> None:
        await worker.reports.write()
        self._channel.answer(message)

    def _spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.crit("what the master asked for failed", exc_info=error)

    def _signalled(self) -> None:
        """End by oneself; where the master ends, too, it says how, and that it is the end of the sockets."""
        self._signals += 1
        if self._signals == 1 and not self._ending.is_set():
            self._channel.tell("draining")
            asyncio.get_running_loop().call_later(WORD_WAIT, self._ending.set)
            return
        self._ending.set()
        if self._worker is not None:
            self._worker.cut()

    def _reopen(self) -> None:
        if self._worker is not None:
            self._worker.reopen_logs()
        if self._writer is not None:
            self._writer.reopen()

    # --- reload ----------------------------------------------------------------------------------------------

    async def _prepare(self, worker: Worker, message: dict[str, Any], text: str) -> None:
        async with self._changing:
            await self._discard()
            try:
                loaded = await asyncio.to_thread(self._load, text, self._name, self._overrides)
                self._prepared = (message["number"], await worker.prepare(loaded))
            except Exception as error:  # noqa: BLE001  # whatever it is, what runs goes on
                problems = [values_of(problem) for problem in why_refused(error)]
                self._channel.answer(message, problems=problems)
                return
        self._channel.answer(
            message,
            problems=[],
            warnings=[str(problem) for problem in loaded.warnings],
            changed=changed_settings(worker.settings, loaded.settings),
            routes=len(self._prepared[1].snapshot.routes),
        )

    async def _decide(self, worker: Worker, message: dict[str, Any]) -> None:
        async with self._changing:
            if message["what"] == "abort":
                await self._discard()
                return
            if self._prepared is None or self._prepared[0] != message["number"]:
                return  # no answer: the master starts another worker, with the text that was decided for
            _, prepared = self._prepared
            self._prepared = None
            await worker.commit(prepared)
            memory.settle()
            self._channel.answer(message)

    async def _discard(self) -> None:
        if self._prepared is not None:
            _, prepared = self._prepared
            self._prepared = None
            await prepared.snapshot.stop()

    # --- sockets of others -----------------------------------------------------------------------------------

    async def _cover(self, worker: Worker, slots: set[int]) -> None:
        """Accept for these slots, too, and for others no longer."""
        async with self._covering:
            listener = worker.listener
            if listener is None or self._ending.is_set():
                return
            for slot in self._covered - slots:
                listener.leave(f"slot {slot}")
            for slot in slots - self._covered:
                for listen, number in zip(self._listens, self._sockets[slot], strict=True):
                    if number not in self._sockets[self._slot]:  # and not one that is there for all
                        await listener.accept(f"slot {slot}", listen, socket.socket(fileno=os.dup(number)))
            self._covered = slots


class _Told:
    """Hands to the master when credentials were last used: it is who has the database."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def use(self, times: Mapping[str, float]) -> None:
        """Tell."""
        self._channel.tell("used", times=dict(times))

    async def last_used(self) -> dict[str, float]:
        """Know nothing: nobody asks a worker."""
        return {}
