"""Starts a server on its core, waits until it answers, and stops it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOWEST_PORT = 10_240
PORT_TRIES = 1000
PORTS_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")  # to connections, and for port 0

_taken: set[int] = set()


class ServerError(Exception):
    """A server did not start, stopped by itself, or answered with something else than expected."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: the argument vector and the variables added to the environment."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


def free_port() -> int:
    """Return a loopback port that nothing listens on now, and that no connection takes for its own end before a server does.

    So it is none of those that the system gives out, where those leave enough, and each time another one.
    """
    first, last = map(int, PORTS_GIVEN.read_text().split())
    ports = range(LOWEST_PORT, first) if first > 2 * LOWEST_PORT else range(first, last + 1)
    for _ in range(PORT_TRIES):
        port = random.choice(ports)
        if port in _taken:
            continue
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _taken.add(port)
            return port
    raise ServerError(f"no port from {ports.start} to {ports.stop - 1} is free")


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run the block on ``core``; what is started in it stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """One server process and its children, as a context manager: running inside the block, gone after it.

    ``pid`` is the root of its process tree, ``port`` the loopback port it listens on, ``startup_seconds`` the
    time from its start to its first accepted connection.
    """

    def __init__(self, name: str, command: Command, *, port: int, core: int, directory: Path) -> None:
        self.name = name
        self.port = port
        self.pid = 0
        self.startup_seconds = 0.0
        self._command = command
        self._core = core
        self._log = directory / f"{name}-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Server {self.name} pid={self.pid} port={self.port} core={self._core}>"

    def __enter__(self) -> Self:
        started = time.monotonic()
        with pinned(self._core), self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command.argv,
                cwd=ROOT,
                env=os.environ | self._command.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt of the bench reaches it once, through stop
            )
        self.pid = self._process.pid
        try:
            self._wait_until_accepting(started + START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.startup_seconds = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise ServerError, with the end of its log, when the process is no longer there."""
        if self._process is not None and self._process.poll() is not None:
            tail = self._log.read_text(errors="replace").strip()[-1500:]
            raise ServerError(f"{self.name} exited with {self._process.returncode}: {tail or 'no output'}")

    def stop(self) -> None:
        """Ask it to end; after ``STOP_SECONDS``, or when it left children behind, end its whole process group."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whoever of its session is still there
        process.wait()

    def _wait_until_accepting(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise ServerError(f"{self.name} does not listen on port {self.port} after {START_SECONDS:.0f} s")
