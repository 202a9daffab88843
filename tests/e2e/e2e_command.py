"""The command ``proxyd`` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e_wire import PATIENCE

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping

PROXYD = str(Path(sys.executable).parent / "proxyd")
ROOT = Path(__file__).parents[2]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a small environment: none of the caller's own settings, but the build that is being tested."""
    build = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **build, **(more or {})}


def proxyd(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, **options: Any):
    """Run a verb that ends by itself; the result has ``returncode``, ``stdout`` and ``stderr``."""
    return subprocess.run(
        [PROXYD, *arguments],
        env=environment(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


class Running:
    """``proxyd run`` as a process; ``events`` are the lines of its event log so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.output = ""

    @classmethod
    async def start(
        cls, config: Path, directory: Path, *options: str, patience: float = PATIENCE, **env: Any
    ) -> Running:
        """Start it on ports of the system's choice, and wait until it serves.

        ``stdin`` and ``pass_fds`` are for the process, as ``subprocess`` has them.
        """
        inherits = {name: env.pop(name) for name in ("stdin", "pass_fds") if name in env}
        settings = {
            "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
            "PROXYD_STATUS_LISTEN": "127.0.0.1:0",
            "PROXYD_ADMIN_LISTEN": "off",
            "PROXYD_PROXY_ACCESS_LOG": str(directory / "access.log"),
        }
        process = await asyncio.create_subprocess_exec(
            PROXYD,
            "run",
            "--config",
            str(config),
            *options,
            env=environment(settings | env),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            **inherits,
        )
        running = cls(process)
        try:
            await running.event("started", patience)
        except BaseException:
            await running.kill()
            raise
        return running

    async def event(self, name: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Read the event log up to and with an event of this name."""
        async with asyncio.timeout(patience):
            while line := await self.process.stderr.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == name:
                    return self.events[-1]
        raise AssertionError(f"no event {name!r} in {self.events}")

    @property
    def port(self) -> int:
        return int(self.events_named("started")[0]["listen"][0].rpartition(":")[2])

    @property
    def status_url(self) -> str:
        return str(self.events_named("started")[0]["status"][0])

    def events_named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end, keeping what it said; return the exit code."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate()
        self.output += out.decode()
        self.events += [json.loads(line) for line in err.splitlines()]
        return int(self.process.returncode)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


def options_of(text: str) -> set[str]:
    """Return the long options that a help text names."""
    return set(re.findall(r"--[a-z-]+", text))
