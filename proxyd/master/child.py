"""One worker as its master sees it: a process, the channel to it, and where it is in its life."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.errors import Place, Problem
from proxyd.master.channel import Channel
from proxyd.master.messages import PROTOCOL
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from proxyd.clock import Clock

    HearUses = Callable[[Mapping[str, float]], None]  # when credentials were last used, by id

    class Figures(Protocol):
        """Where the figures of workers are kept."""

        def open(self) -> int:
            """Return the descriptor of a file for a worker's figures, which the worker inherits."""

        def begun(self, slot: int, pid: int, fd: int) -> None:
            """Hear whose file it is."""

        def ended(self, pid: int) -> None:
            """Hear that it is gone."""


POLL = 0.02  # seconds between two looks at a process that is about to end
LINGER = 5.0  # seconds that a process gets to end after its last word
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

log = get_logger("master")


class LaunchError(Exception):
    """A worker did not begin to serve. ``problems`` are those of its configuration, and none where it just died."""

    def __init__(self, reason: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(reason)
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is started with.

    ``text`` is the configuration that it runs, ``base`` the one whose settings hold, which takes a restart to change;
    ``name`` is what both are called in problems. ``listens`` are the entries of ``proxy_listen``, ``sockets`` their
    descriptors by slot, ``counters`` that of the file of counters, None where the settings name one, and ``under_way`` that
    of the file in which requests under way are counted.
    """

    text: str
    base: str
    name: str
    listens: Sequence[dict[str, Any]]
    sockets: Sequence[Sequence[int]]
    counters: int | None
    under_way: int | None = None


class Child:
    """A worker: ``starting``, ``ready``, ``draining``, and in the end ``ended``.

    ``leaving`` is set as soon as it accepts no longer, ``ended`` when its process is gone.
    """

    def __init__(
        self,
        slot: int,
        order: Order,
        clock: Clock,
        figures: Figures | None = None,
        hear_uses: HearUses | None = None,
    ) -> None:
        self.slot = slot
        self.state = "starting"
        self.covers: list[int] = []
        self.hung = False  # whether that is why it is ended
        self.started_at = clock.time()
        self.begun = clock.now()  # by a clock that nobody sets
        self.leaving = asyncio.Event()
        self.ended = asyncio.Event()
        self.returncode: int | None = None
        self._order = order
        self._figures = figures
        self._hear_uses = hear_uses
        self._file: int | None = None
        self._up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel = Channel(self._hear)
        self._reaping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Child slot={self.slot} pid={self.pid} {self.state}>"

    @property
    def pid(self) -> int:
        """The number of its process; 0 before there is one."""
        return self._process.pid if self._process is not None else 0

    @property
    def hung_up(self) -> bool:
        """Whether there is nobody to talk to any more."""
        return self._channel.ended.is_set()

    # --- start -----------------------------------------------------------------------------------------------

    async def start(self, within: float) -> None:
        """Start the process and wait until it serves; raises LaunchError."""
        loop = asyncio.get_running_loop()
        try:
            near, far = socket.socketpair()
        except OSError as error:
            self._end()
            raise LaunchError(f"cannot be started: {error.strerror}") from error
        with far:
            try:
                self._spawn(far.fileno())
            except OSError as error:
                near.close()
                self._end()
                raise LaunchError(f"cannot be started: {error.strerror}") from error
        self._reaping = loop.create_task(self._reap())
        try:
            await loop.create_connection(lambda: self._channel, sock=near)
        except BaseException:
            near.close()
            self._channel.ended.set()
            raise
        try:
            async with asyncio.timeout(within):
                await self._up
        except TimeoutError:
            raise LaunchError(f"does not serve after {within:g} seconds") from None
        if self.state == "starting":
            self.state = "ready"

    def _spawn(self, channel: int) -> None:
        order, file = self._order, self._figures.open() if self._figures is not None else None
        descriptors = [channel, *(one for slot in order.sockets for one in slot)]
        descriptors += [one for one in (order.counters, order.under_way, file) if one is not None]
        try:
            with _signals_held():
                self._process = subprocess.Popen(  # noqa: S603  # our own interpreter
                    command(self.slot, channel), pass_fds=descriptors, stdin=subprocess.DEVNULL
                )
        except OSError:
            if file is not None:
                os.close(file)
            raise
        if self._figures is not None and file is not None:
            self._file = file
            self._figures.begun(self.slot, self.pid, file)

    def _hear(self, message: dict[str, Any], _attached: bytes) -> None:
        what = message.get("what")
        if what == "hello":
            self._greet(message)
        elif what == "ready":
            if not self._up.done():
                self._up.set_result(None)
        elif what == "failed":
            problems = [problem_of(one) for one in message["problems"]]
            self._fail(LaunchError("its configuration is refused", problems))
        elif what == "used" and self._hear_uses is not None:
            self._hear_uses(message["times"])
        elif what == "draining":
            self.state = "draining"
            self.leaving.set()

    def _greet(self, message: dict[str, Any]) -> None:
        if message.get("protocol") != PROTOCOL:
            reason = f"is version {message.get('version')}, which this master cannot talk to: restart it"
            self._fail(LaunchError(reason))
            return
        order = self._order
        text, base = order.text.encode(), b"" if order.base == order.text else order.base.encode()
        self._channel.tell(
            "start",
            text + base,
            slot=self.slot,
            name=order.name,
            size=len(text),
            listens=list(order.listens),
            sockets=[list(slot) for slot in order.sockets],
            counters=order.counters,
            under_way=order.under_way,
            figures=self._file,
        )

    def _fail(self, error: LaunchError) -> None:
        if not self._up.done():
            self._up.set_exception(error)
            self._up.exception()  # seen, whether or not somebody waits

    # --- while it serves -------------------------------------------------------------------------------------

    async def ask(self, what: str, attached: bytes = b"", *, within: float, **values: Any) -> dict[str, Any]:
        """Ask it something and return the answer; raises ChannelError."""
        return (await self._channel.ask(what, attached, within=within, **values))[0]

    async def tail(self, watches: Mapping[str, Any], within: float) -> bytes:
        """Return what it has for those who watch requests; raises ChannelError."""
        return (await self._channel.ask("tail", within=within, watches=dict(watches)))[1]

    def cover(self, slots: list[int]) -> None:
        """Have it accept for these slots beside its own, and no longer for others."""
        if slots != self.covers:
            self.covers = slots
            self._channel.tell("cover", slots=slots)

    def tell(self, what: str, **values: Any) -> None:
        """Tell it something."""
        self._channel.tell(what, **values)

    # --- the end ---------------------------------------------------------------------------------------------

    def drain(self, limit: float, delay: float = 0.0, *, last: bool = False) -> None:
        """Ask it to end when its requests have, within ``limit`` seconds, which may be infinite.

        For ``delay`` seconds it accepts as before. ``last`` where nobody accepts behind it.
        """
        self.state = "draining"
        self.leaving.set()
        self._channel.tell("drain", limit=None if math.isinf(limit) else limit, delay=delay, last=last)

    async def see_off(self, limit: float) -> bool:
        """Wait until it has ended; false where it had to be killed after ``limit`` seconds."""
        try:
            async with asyncio.timeout(None if math.isinf(limit) else limit):
                await self.ended.wait()
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """End it now; works after half a start."""
        if self._process is None:
            self._end()
        elif self._process.poll() is None:
            self._process.kill()
        self._channel.abort()
        await self.ended.wait()

    def alive(self) -> bool:
        """Tell whether its process is there; it may hang, and its channel may be held by a child of its own."""
        if self._process is None or self._process.poll() is None:
            return True
        self._channel.abort()
        return False

    async def _reap(self) -> None:
        await self._channel.ended.wait()
        process = self._process
        if process is None:
            return
        self.leaving.set()
        looks = int(LINGER / POLL)
        while process.poll() is None:
            looks -= 1
            if looks == 0:
                process.kill()
            await asyncio.sleep(POLL)
        self.returncode = process.returncode
        self._end()

    def _end(self) -> None:
        if self._figures is not None and self.pid and not self.ended.is_set():
            try:
                self._figures.ended(self.pid)
            except Exception as error:  # noqa: BLE001  # it is gone all the same, and somebody waits to hear so
                log.crit("figures of a worker are lost", worker=self.slot, pid=self.pid, exc_info=error)
        self.state = "ended"
        self.leaving.set()
        self.ended.set()
        self._fail(LaunchError(f"ended before it served ({self.how()})"))

    def how(self) -> str:
        """Say how it ended."""
        code = self.returncode
        if code is None:
            return "no process"
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def command(slot: int, channel: int) -> list[str]:
    """Return the command line of a worker: a fresh interpreter, so that it runs what is installed now."""
    main = sys.modules["__main__"]
    # Of a script, the working directory is not on the path where modules are looked for, and it must not get there.
    safe = [] if getattr(main, "__spec__", None) is not None and not sys.flags.safe_path else ["-P"]
    return [sys.executable, *safe, "-m", "proxyd", "worker", "--slot", str(slot), "--channel", str(channel)]


def problem_of(values: dict[str, Any]) -> Problem:
    """Return a problem out of a message."""
    place = Place(values["file"], values["line"], values["column"])
    return Problem(place, values["path"], values["message"], values["hint"])


def values_of(problem: Problem) -> dict[str, Any]:
    """Return a problem as it goes into a message."""
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Start a process for which signals wait until it is ready for them: at first they would end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
