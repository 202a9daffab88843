"""10,000 idle WebSocket connections through one proxyd process: the memory that each costs."""

from __future__ import annotations

import resource
import socket
import time
from typing import TYPE_CHECKING

from benchmarks import accounting
from benchmarks.origin import streaming_origin
from benchmarks.peers.proxyd import ProxydPeer
from benchmarks.process import Server, ServerError, free_port
from benchmarks.report import Section
from benchmarks.scenarios.base import fetch

if TYPE_CHECKING:
    from benchmarks.scenarios.base import Bench

WANTED = 10_000
WARM_UP = 100
SPARE_FILES = 200
SETTLE_SECONDS = 2.0
MASKED_HELLO = (
    bytes((0x81, 0x85))
    + b"\x01\x02\x03\x04"
    + bytes(a ^ b for a, b in zip(b"hello", b"\1\2\3\4\1", strict=True))
)
HELLO = b"\x81\x05hello"


def run(bench: Bench) -> Section:
    """Open the connections one by one, let them rest, and read the gateway's resident memory."""
    section = Section(
        "websocket-idle",
        "websocket-idle: idle connections in one process",
        ["connections", "opened in s", "resident MB before", "after", "KB/connection", "CPU % while idle"],
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    count, limit = affordable()
    if count < WANTED:
        section.notes.append(
            f"{count:,} instead of {WANTED:,}: the limit of open files is {limit:,} here, and each connection takes two"
        )
    listen = free_port()
    with streaming_origin(bench.directory, bench.load_core) as origin:
        command = peer.command(bench.directory, listen=listen, origin=origin.port)
        with Server(
            peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory
        ) as server:
            fetch(listen, "/")
            _fill(section, server, count)
    return section


def affordable() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; return how many connections it allows, and the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(WANTED, (hard - SPARE_FILES) // 2), hard


def _fill(section: Section, server: Server, count: int) -> None:
    sockets: list[socket.socket] = []
    try:
        # The first connections pay for imports, pools and buffers that all the others share.
        sockets.extend(_open(server.port, number) for number in range(WARM_UP))
        before = accounting.rss_bytes(server.pid)
        started = time.monotonic()
        sockets.extend(_open(server.port, number) for number in range(WARM_UP, count))
        opened = time.monotonic() - started
        cpu = accounting.cpu_ns(server.pid)
        time.sleep(SETTLE_SECONDS)
        idle = (accounting.cpu_ns(server.pid) - cpu) / (SETTLE_SECONDS * 1e9)
        after = accounting.rss_bytes(server.pid)
        for sample in (sockets[0], sockets[count // 2], sockets[-1]):
            _echo(sample)
    finally:
        for opened_socket in sockets:
            opened_socket.close()
    each = (after - before) / (count - WARM_UP)
    section.rows.append(
        [
            f"{count:,}",
            f"{opened:.1f}",
            f"{before / 1e6:.1f}",
            f"{after / 1e6:.1f}",
            f"{each / 1e3:.1f}",
            f"{idle:.1%}",
        ]
    )
    section.notes.append("the first, the middle and the last connection echoed a message after the rest")
    section.raw = {"connections": count, "seconds": opened, "before": before, "after": after, "idle": idle}


def _open(port: int, number: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(
        (
            f"GET /ws?client={number} HTTP/1.1\r\nHost: api.shop.example\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\nOrigin: https://www.shop.example\r\n\r\n"
        ).encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise ServerError(f"WebSocket {number}: closed after {head!r}")
        head += piece
    if b" 101 " not in head.partition(b"\r\n")[0]:
        raise ServerError(f"WebSocket {number}: {head!r}")
    return connection


def _echo(connection: socket.socket) -> None:
    connection.sendall(MASKED_HELLO)
    answer = b""
    while len(answer) < len(HELLO):
        piece = connection.recv(64)
        if not piece:
            break
        answer += piece
    if answer != HELLO:
        raise ServerError(f"an idle WebSocket answered {answer!r}")
