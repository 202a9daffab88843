"""Several workers under load: what reloads, replacements and the death of a worker cost, and whether memory grows.

Clients post and never ask twice: some keep their connections, some open one for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.origin import static_origin
from benchmarks.peers.proxyd import ProxydPeer, one_route
from benchmarks.process import Command, Server, ServerError, free_port
from benchmarks.report import Section

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.scenarios.base import Bench

WORKERS = 2
KEPT, FRESH = 16, 4  # clients
RELOADS, MANY_RELOADS, REPLACEMENTS = 20, 1000, 5
LIMIT = 500
PATIENCE = 60.0  # seconds for anything to happen
BODY = b"x" * 128
COLUMNS = ["while", "requests", "failed", "seconds", "MB before", "MB after"]


def run(bench: Bench) -> Section:
    """Put a master and two workers through it all."""
    section = Section(
        "processes", f"processes: {WORKERS} workers, {KEPT + FRESH} clients that post", COLUMNS, raw=[]
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    with static_origin(bench.directory, bench.load_core) as origin:
        listen, status = free_port(), free_port()
        gateway = Gateway(bench.directory / "kong.json", origin.port, listen, status)
        made = peer.command_for(bench.directory, gateway.document(), listen=listen)
        env = made.env | {"PROXYD_STATUS_LISTEN": f"127.0.0.1:{status}", "PROXYD_WORKERS": str(WORKERS)}
        command = Command(made.argv, env)
        with Server(
            peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory
        ) as server:
            gateway.pid = server.pid
            asyncio.run(_all(bench, section, gateway))
    section.failed = any(one["failed"] > one["allowed"] for one in section.raw)
    section.notes.append(
        "MB are resident, of the master and its workers together; all on one core, with another for the rest"
    )
    section.notes.append(
        "failed are posts without a whole answer of status 200; for a killed worker, what was under way in it"
    )
    return section


@dataclass
class Gateway:
    """A master that runs: its file, its ports, its process."""

    file: Path
    origin: int
    listen: int
    status_port: int
    pid: int = 0
    generation: int = 1

    def document(self, **more: Any) -> dict[str, Any]:
        """Return a configuration, another one each time."""
        document = one_route(self.origin)
        document["services"][0]["routes"][0]["tags"] = [f"generation-{self.generation}"]
        return document | more

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    async def status(self) -> dict[str, Any]:
        """Return what the status listener says."""
        return dict(json.loads(await asyncio.to_thread(self._get, "/status")))

    async def workers(self) -> dict[int, int]:
        """Return the process ids of the workers that serve, by slot."""
        return {
            one["slot"]: one["pid"] for one in (await self.status())["workers"] if one["state"] == "ready"
        }

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the status says so."""
        give_up = time.monotonic() + PATIENCE
        while not condition(await self.status()):
            if time.monotonic() > give_up:
                raise ServerError("the gateway has not done what it was asked for")
            await asyncio.sleep(0.02)

    async def reload(self, times: int, **more: Any) -> None:
        """Have it take over another file, and wait until it has."""
        for _ in range(times):
            self.generation += 1
            self.file.write_text(json.dumps(self.document(**more)))
            os.kill(self.pid, signal.SIGHUP)
            await self.until(lambda status: status["generation"] == self.generation)

    async def replace(self, times: int) -> None:
        """Have every worker replaced, and wait until the old ones are gone."""
        for _ in range(times):
            await self._replace(set((await self.workers()).values()))

    async def _replace(self, old: set[int]) -> None:
        os.kill(self.pid, signal.SIGUSR2)
        await self.until(lambda status: not old & {one["pid"] for one in status["workers"]})

    async def kill(self) -> None:
        """Kill one worker, and wait for the next."""
        old = (await self.workers())[0]
        os.kill(old, signal.SIGKILL)
        await self.until(
            lambda status: (
                {0, 1}
                == {one["slot"] for one in status["workers"] if one["pid"] != old and one["state"] == "ready"}
            )
        )

    def resident(self) -> float:
        """Return the memory of all of its processes, in MB."""
        pids = [self.pid, *map(int, re.findall(rb'"slot":\d+,"pid":(\d+)', self._get("/status")))]
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _all(bench: Bench, section: Section, gateway: Gateway) -> None:
    await gateway.until(lambda status: [one["state"] for one in status["workers"]] == ["ready"] * WORKERS)

    async def row(name: str, doing: Awaitable[None], allowed: int = 0) -> None:
        before = gateway.resident()
        load = Load(gateway.listen)
        began = time.monotonic()
        await doing
        seconds = time.monotonic() - began
        await load.stop()
        after = gateway.resident()
        failed = len(load.failures)
        section.rows.append(
            [name, str(load.done), str(failed), f"{seconds:.1f}", f"{before:.0f}", f"{after:.0f}"]
        )
        section.raw.append(
            {
                "name": name,
                "requests": load.done,
                "failed": failed,
                "allowed": allowed,
                "seconds": seconds,
                "before": before,
                "after": after,
                "failures": load.failures[:20],
            }
        )
        bench.say(f"processes: {name}: {load.done} requests, {failed} failed, {before:.0f} -> {after:.0f} MB")

    await row("nothing happens", asyncio.sleep(bench.seconds))
    await row(f"{RELOADS} reloads", gateway.reload(RELOADS))
    await row(f"{REPLACEMENTS} replacements of all workers", gateway.replace(REPLACEMENTS))
    await row("a worker is killed", gateway.kill(), allowed=KEPT + FRESH)
    await row(f"{MANY_RELOADS} reloads", gateway.reload(MANY_RELOADS))
    await _limit(bench, section, gateway)


async def _limit(bench: Bench, section: Section, gateway: Gateway) -> None:
    """Count what passes of a limit while workers are killed and replaced and the file is reloaded."""
    limit = {"name": "rate-limiting", "config": {"year": LIMIT, "limit_by": "service", "policy": "local"}}
    await gateway.reload(1, plugins=[limit])
    passed = 0
    for doing in (gateway.kill, lambda: gateway.reload(1, plugins=[limit]), lambda: gateway.replace(1), None):
        for _ in range(LIMIT // 3):
            passed += await _once(gateway.listen) == 200
        if doing is not None:
            await doing()
    name = f"a limit of {LIMIT} over a kill, a reload and a replacement"
    wrong = abs(passed - LIMIT)
    section.rows.append([name, str(LIMIT // 3 * 4), str(wrong), "-", "-", "-"])
    section.raw.append({"name": name, "passed": passed, "failed": wrong, "allowed": 0})
    section.notes.append(f"of the limit of {LIMIT}, {passed} passed")
    bench.say(f"processes: limit of {LIMIT}: {passed} passed")


def _request(*, close: bool) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: api.shop.example\r\nContent-Length: {len(BODY)}\r\n"
    return (head + ("Connection: close\r\n\r\n" if close else "\r\n")).encode() + BODY


async def _once(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await _ask(reader, writer, _request(close=True)))[0]
    finally:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool]:
    """Ask once; return the status, and whether the connection may be used again."""
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(b" ", 2)[1]), b"\r\nconnection: close" not in head


@dataclass
class Load:
    """Clients that post until they are stopped."""

    port: int
    done: int = 0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = False
        kinds = [False] * KEPT + [True] * FRESH
        self._clients = [asyncio.ensure_future(self._client(close=close)) for close in kinds]

    async def stop(self) -> None:
        """Let what is under way finish."""
        self._over = True
        await asyncio.gather(*self._clients)

    async def _client(self, *, close: bool) -> None:
        request = _request(close=close)
        while not self._over:
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                again = True
                while again and not self._over:
                    status, again = await _ask(reader, writer, request)
                    if status != 200:
                        self.failures.append(f"status {status}")
                    self.done += 1
            except (OSError, EOFError, TimeoutError) as error:
                self.failures.append(repr(error))
            finally:
                if writer is not None:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
