"""A master with its workers, as processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
from e2e_command import Running
from e2e_wire import PATIENCE

LONG = 3 * PATIENCE  # seconds: several interpreters start, on a machine that may be busy


class Gang:
    """``proxyd run`` with workers; ``one`` is the master as a process, ``file`` the configuration."""

    def __init__(self, one: Running, file: Path) -> None:
        self.one = one
        self.file = file
        self._http = httpx.AsyncClient(timeout=PATIENCE)

    @classmethod
    async def start(
        cls, config: dict[str, Any], directory: Path, workers: int, *options: str, **env: Any
    ) -> Gang:
        file = directory / "kong.json"
        file.write_text(json.dumps(config))
        env = {"PROXYD_WORKERS": str(workers), **env}
        return cls(await Running.start(file, directory, *options, patience=LONG, **env), file)

    @property
    def port(self) -> int:
        return self.one.port

    async def status(self) -> dict[str, Any]:
        """Return what the status listener says."""
        answer = await self._http.get(self.one.status_url + "/status")
        return dict(answer.json())

    async def workers(self, state: str = "ready") -> dict[int, int]:
        """Return the process ids of the workers in a state, by slot."""
        found = (await self.status())["workers"]
        return {one["slot"]: one["pid"] for one in found if one["state"] == state}

    async def metric(self, series: str) -> float:
        """Return the value of a series."""
        text = (await self._http.get(self.one.status_url + "/metrics")).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series))

    async def until(self, condition: Any) -> None:
        """Wait until an awaitable condition holds: other processes tell nobody."""
        async with asyncio.timeout(LONG):
            while not await condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def restarted(self, slot: int, old: int) -> int:
        """Wait until another process serves in a slot; return its id."""

        async def other() -> bool:
            return (await self.workers()).get(slot, old) != old

        await self.until(other)
        return (await self.workers())[slot]

    async def close(self) -> None:
        """End everything, whatever a test has left."""
        pids = (await self.workers()).values() if self.one.process.returncode is None else ()
        await self._http.aclose()
        await self.one.kill()
        await gone(pids)


async def gone(pids: Any) -> None:
    """Wait until processes are no more: they are nobody's children here."""
    async with asyncio.timeout(LONG):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sockets_of(pid: int, port: int) -> int:
    """Count the connections to a local port that a process holds."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(entry.readlink()))
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    found = set()
    for local, _, state, inode in ([*line.split()[1:4], line.split()[9]] for line in lines):
        if int(local.split(":")[1], 16) == port and state == "01":
            found.add(f"socket:[{inode}]")
    return len(found & held)


def resident(pid: int) -> int:
    """Return the memory that a process holds, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
