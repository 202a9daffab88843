"""A real supervisord with the files that ship; only variables are changed, as anybody would."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e_command import environment
from e2e_load import Load
from e2e_wire import closed_port
from fleet import Fleet, FleetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = Path(__file__).parents[2]
ECOSYSTEM = str(ROOT / "supervisor/ecosystem")
BIN = Path(sys.executable).parent
OK = 200
PATIENCE = 30.0  # seconds: two processes start, on cores that others use as well


def missing() -> str:
    """Tell why it cannot be run, or nothing where it can."""
    return "" if importlib.util.find_spec("supervisor") else "supervisor is not installed (the extra test)"


def free_hundred() -> str:
    """Return what a hundred ports begin with, of which the first three are free."""
    while True:
        prefix = random.randrange(110, 320)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(prefix * 100, prefix * 100 + 3):
                sock = stack.enter_context(socket.socket())
                sock.bind(("127.0.0.1", port))
            return str(prefix)


@contextlib.asynccontextmanager
async def posting(port: int, kept: int = 3, fresh: int = 2) -> AsyncIterator[Load]:
    """Post all the while; what was not answered by 200 is a failure as well."""
    load = Load(port, kept, fresh, pause=0.01)
    try:
        yield load
    finally:
        await load.stop()
        load.failures += [
            f"{count} answers of {status}" for status, count in load.statuses.items() if status != OK
        ]


class Ecosystem:
    """A running supervisord; ``env`` are its variables, ``code`` a copy of the sources that it runs, if there is one."""

    def __init__(self, directory: Path, name: str, env: dict[str, str]) -> None:
        self.directory = directory
        self.name = name
        self.port = closed_port()
        self.run = directory / "run"
        self.logs = directory / "log"
        self.env = environment(
            {
                "PATH": f"{BIN}:/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PROXYD_DECLARATIVE_CONFIG": str(directory / "proxyd.yml"),
                "PROXYD_SHARED_MEMORY": str(directory / "counters"),
                "RUNTIME_DIRECTORY": str(self.run),
                "LOGS_DIRECTORY": str(self.logs),
                "LISTEN": f"127.0.0.1:{self.port}",
                "STATUS_PORTS": free_hundred(),
                "INSTANCES": "2",
                "START_SECONDS": "1",
                **env,
            }
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until every instance is ready."""
        self._process = await asyncio.create_subprocess_exec(
            ECOSYSTEM, self.name, "start", env=self.env, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
        )
        await self.until(lambda: len(self.ready()) == int(self.env["INSTANCES"]), "instances are ready")

    def ready(self) -> list[int]:
        """Return the process of each instance that is ready."""
        if not (self.run / "supervisor.sock").exists():
            return []
        try:
            return [one.pid for one in Fleet(self.run).instances() if one.running and one.ready()]
        except FleetError:  # not listening yet
            return []

    async def call(self, verb: str, *arguments: str) -> tuple[int, str]:
        """Run a verb of supervisor/ecosystem; returns its exit code, and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(ECOSYSTEM, self.name, verb, *arguments),
            env=self.env,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return int(process.returncode), output.decode()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds; fails with the logs."""
        give_up = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(holds):
            if time.monotonic() > give_up:
                raise AssertionError(f"not so: {what}\n{self.log_text()}")
            await asyncio.sleep(0.05)

    def log_text(self) -> str:
        """Return everything that was logged, but for access lines."""
        files = [*self.logs.glob("events-*"), *self.logs.glob("keeper*"), *self.logs.glob("supervisord*")]
        return "".join(f"--- {file.name}\n{file.read_text()}" for file in sorted(files))

    async def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def stop(self) -> None:
        """End it, and with it the instances."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
