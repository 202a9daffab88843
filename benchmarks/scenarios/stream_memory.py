"""2 GB down and 2 GB up through proxyd: bodies pass in constant memory, slow readers included."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from benchmarks import accounting
from benchmarks.origin import streaming_origin
from benchmarks.origin_server import PAUSE_SECONDS, PAUSES
from benchmarks.peers.proxyd import ProxydPeer
from benchmarks.process import Server, ServerError, free_port, pinned
from benchmarks.report import Section
from benchmarks.scenarios.base import fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from benchmarks.scenarios.base import Bench

SIZE = 2 * 1024**3
WARM_UP_SIZE = 8 * 1024**2
SAMPLE_SECONDS = 0.1
BLOCK = 1024**2


def run(bench: Bench) -> Section:
    """Send each body once, sampling resident memory; the receiver stops reading for a second at each quarter."""
    section = Section(
        "stream-memory",
        "stream-memory: 2 GB through one connection",
        ["direction", "seconds", "MB/s", "resident MB before", "highest", "growth MB"],
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    section.raw = {}
    listen = free_port()
    with streaming_origin(bench.directory, bench.load_core) as origin:
        command = peer.command(bench.directory, listen=listen, origin=origin.port)
        with Server(
            peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory
        ) as server:
            fetch(listen, "/")
            for name, transfer in (("download", download), ("upload", upload)):
                with pinned(bench.load_core):
                    transfer(listen, WARM_UP_SIZE)
                    _measure(section, server, name, transfer)
    section.notes.append(
        f"the receiver stops reading for {PAUSE_SECONDS:.0f} s at each quarter; seconds and MB/s include these pauses"
    )
    return section


def _measure(section: Section, server: Server, name: str, transfer: Callable[[int, int], None]) -> None:
    before = highest = accounting.rss_bytes(server.pid)
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(transfer, server.port, SIZE)
        finished = threading.Event()
        running.add_done_callback(lambda _: finished.set())
        while not finished.wait(SAMPLE_SECONDS):
            highest = max(highest, accounting.rss_bytes(server.pid))
        running.result()
    seconds = time.monotonic() - started
    highest = max(highest, accounting.rss_bytes(server.pid))
    growth = (highest - before) / 1e6
    section.rows.append(
        [
            name,
            f"{seconds:.1f}",
            f"{SIZE / 1e6 / seconds:,.0f}",
            f"{before / 1e6:.1f}",
            f"{highest / 1e6:.1f}",
            f"{growth:.1f}",
        ]
    )
    section.raw[name] = {"seconds": seconds, "before": before, "highest": highest}


def download(port: int, size: int) -> None:
    """Read ``size`` bytes of /stream and drop them; ServerError when fewer or more come."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            f"GET /stream/{size} HTTP/1.1\r\nHost: api.shop.example\r\nConnection: close\r\n\r\n".encode()
        )
        stream = cast("BufferedReader", connection.makefile("rb", buffering=BLOCK))
        _expect_200(stream.readline())
        while stream.readline() not in (b"\r\n", b""):
            pass
        received, block = 0, memoryview(bytearray(BLOCK))
        quarter = max(1, size // PAUSES)
        while piece := stream.readinto(block):
            if size == SIZE and (received + piece) // quarter != received // quarter:
                time.sleep(PAUSE_SECONDS)
            received += piece
    if received != size:
        raise ServerError(f"download: {received} of {size} bytes came")


def upload(port: int, size: int) -> None:
    """Send ``size`` bytes to /upload; ServerError when the backend counted another number."""
    head = f"POST /upload HTTP/1.1\r\nHost: api.shop.example\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    block = bytes(BLOCK)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(size // BLOCK):
            connection.sendall(block)
        stream = connection.makefile("rb")
        _expect_200(stream.readline())
        body = stream.read().partition(b"\r\n\r\n")[2]
    received = json.loads(body)["received"]
    if received != size:
        raise ServerError(f"upload: {received} of {size} bytes arrived")


def _expect_200(line: bytes) -> None:
    if b" 200 " not in line:
        raise ServerError(f"the answer began with {line!r}")
