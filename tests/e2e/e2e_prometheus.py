"""Debian's ``prometheus`` with the shipped configuration, in front of gateways of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import shutil
import time
from pathlib import Path
from typing import Any

import aiohttp
from e2e_wire import PATIENCE

CONFIG = Path(__file__).parents[2] / "config"
PROMETHEUS = shutil.which("prometheus")

INTERVAL = "400ms"
SHIPPED_TARGET = "127.0.0.1:8007"


def adapt(directory: Path, targets: list[str]) -> Path:
    """Copy the shipped files, with other targets and shorter intervals; nothing else is changed."""
    (directory / "rules").mkdir()
    for path in [CONFIG / "prometheus.yml", *(CONFIG / "rules").glob("*.yml")]:
        text = re.sub(r"(?<=interval: )\d+[sm]\b", INTERVAL, path.read_text())
        text = text.replace(SHIPPED_TARGET, ", ".join(targets))
        (directory / path.relative_to(CONFIG)).write_text(text)
    return directory / "prometheus.yml"


class Prometheus:
    """A running server; what it knows is asked over its API."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._url = ""
        self._reading: asyncio.Task[None] | None = None
        self.session = aiohttp.ClientSession()

    @classmethod
    async def start(cls, directory: Path, targets: list[str]) -> Prometheus:
        """Run it on a port of the system's choice, and wait until it answers."""
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={adapt(directory, targets)}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--enable-feature=exemplar-storage",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        one = cls(process)
        try:
            await one._listening()
        except BaseException:
            await one.stop()
            raise
        return one

    async def _listening(self) -> None:
        """Wait until it says where it listens, and that it is ready."""
        ready = False
        async with asyncio.timeout(PATIENCE):
            while not (self._url and ready):
                line = (await self._process.stderr.readline()).decode()
                assert line, "prometheus ended"
                if found := re.search(r'msg="Listening on" address=(\S+)', line):
                    self._url = f"http://{found[1]}/api/v1/"
                ready = ready or "Server is ready" in line
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while await self._process.stderr.readline():
            pass

    async def stop(self) -> None:
        await self.session.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await (self._reading or self._read())
        await self._process.wait()

    async def ask(self, path: str, **params: str) -> Any:
        """Return what it answers."""
        async with self.session.get(self._url + path, params=params) as answer:
            told = await answer.json()
            assert told["status"] == "success", (told, params)
            return told["data"]

    async def values(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return the series that a query has now, those that are numbers."""
        result = (await self.ask("query", query=query))["result"]
        found = [(one["metric"], float(one["value"][1])) for one in result]
        return [(labels, value) for labels, value in found if not math.isnan(value)]

    async def soon(self, query: str, patience: float = 3.0) -> list[tuple[dict[str, str], float]]:
        """Return the series of a query as soon as there is one, or none after a few evaluations."""
        give_up = time.monotonic() + patience
        while True:
            found = await self.values(query)
            if found or time.monotonic() > give_up:
                return found
            await asyncio.sleep(0.1)

    async def until(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return the series of a query, which has to have one before long."""
        found = await self.soon(query, PATIENCE)
        assert found, query
        return found

    async def alerts(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire, by name."""
        found = (await self.ask("alerts"))["alerts"]
        return {one["labels"]["alertname"]: one for one in found if one["state"] == "firing"}
