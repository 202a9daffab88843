"""A limit of 100, asked for by 64 clients at once through several gateways: how many requests pass."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.origin import static_origin
from benchmarks.peers.proxyd import ProxydPeer, one_route
from benchmarks.process import Command, Server, ServerError, free_port
from benchmarks.report import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.scenarios.base import Bench

LIMIT = 100
CLIENTS = 64
EACH = 10  # requests of each client
COLUMNS = ["counted in", "gateways", "asked", "passed", "refused", "others", "seconds"]
REQUEST = b"GET / HTTP/1.1\r\nHost: api.shop.example\r\n\r\n"


def run(bench: Bench) -> Section:
    """Count what passes: over processes that share a file, and over two that share a Redis."""
    section = Section(
        "exactness", f"exactness: {LIMIT} requests may pass, {CLIENTS} clients ask", COLUMNS, raw=[]
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    with static_origin(bench.directory, bench.load_core) as origin:
        for gateways in (1, 2, 8):
            for number in range(bench.rounds):
                shared = {"PROXYD_SHARED_MEMORY": str(bench.directory / f"counters-{gateways}-{number}")}
                _one(section, bench, origin.port, gateways, "a file", {"policy": "local"}, shared)
        if shutil.which("redis-server") is None:
            section.notes.append("Redis is left out: redis-server is not installed")
        else:
            for _ in range(bench.rounds):
                with _redis(bench) as port:
                    redis = {"policy": "redis", "redis": {"host": "127.0.0.1", "port": port}}
                    _one(section, bench, origin.port, 2, "a Redis", redis, {})
    section.failed = any(one["passed"] != LIMIT or one["others"] for one in section.raw)
    section.notes.append(
        "gateways are processes, spread over both cores; others are answers that are neither 200 nor 429"
    )
    return section


@contextlib.contextmanager
def _redis(bench: Bench) -> Iterator[int]:
    port = free_port()
    command = Command(["redis-server", "--port", str(port), "--save", "", "--dir", str(bench.directory)])
    with Server("redis", command, port=port, core=bench.load_core, directory=bench.directory):
        yield port


def _one(
    section: Section,
    bench: Bench,
    origin: int,
    gateways: int,
    where: str,
    policy: dict[str, Any],
    env: dict[str, str],
) -> None:
    config = {"year": LIMIT, "limit_by": "service", "fault_tolerant": False, **policy}
    document = one_route(origin) | {"plugins": [{"name": "rate-limiting", "config": config}]}
    peer = ProxydPeer()
    with contextlib.ExitStack() as running:
        ports = []
        for number in range(gateways):
            listen = free_port()
            made = peer.command_for(bench.directory, document, listen=listen)
            core = (bench.proxy_core, bench.load_core)[number % 2]
            command = Command(made.argv, made.env | env)
            running.enter_context(
                Server(peer.name, command, port=listen, core=core, directory=bench.directory)
            )
            ports.append(listen)
        began = time.monotonic()
        statuses = asyncio.run(_ask(ports))
        seconds = time.monotonic() - began
    passed, refused = statuses.pop(200, 0), statuses.pop(429, 0)
    others, asked = sum(statuses.values()), CLIENTS * EACH
    section.rows.append(
        [where, *(str(one) for one in (gateways, asked, passed, refused, others)), f"{seconds:.2f}"]
    )
    section.raw.append({"where": where, "gateways": gateways, "passed": passed, "others": others})
    bench.say(f"exactness: {gateways} gateways, {where}: {passed} of {asked} passed")


async def _ask(ports: list[int]) -> Counter[int]:
    """Have every client ask, all at once; return how often each status was answered."""
    clients = [_client(ports[number % len(ports)]) for number in range(CLIENTS)]
    return Counter(chain.from_iterable(await asyncio.gather(*clients)))


async def _client(port: int) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for _ in range(EACH):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                line.partition(b":")[2]
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            None,
        )
        if length is None:
            raise ServerError(f"an answer without a length: {head!r}")
        await reader.readexactly(int(length))
        statuses.append(int(head.split(b" ", 2)[1]))
    writer.close()
    await writer.wait_closed()
    return statuses
