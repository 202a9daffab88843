"""A thousand slow clients of each kind, and a polite one beside them: is it served, what does each cost, do they go?"""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from benchmarks import accounting
from benchmarks.origin import streaming_origin
from benchmarks.peers.proxyd import ProxydPeer
from benchmarks.process import Server, free_port
from benchmarks.report import Section
from benchmarks.scenarios.base import fetch
from benchmarks.scenarios.websocket_idle import affordable

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.scenarios.base import Bench

WANTED = 1000  # of each kind
TIMEOUT = 8.0  # seconds that the gateway gives a slow client
HOLD = 4.0  # seconds for which all of a kind are there, before the gateway's patience is over
TRICKLE = 1.0  # seconds between two bytes
LATE = 30.0  # seconds after which those that are still there have not been dropped
HOST = b"Host: api.shop.example\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be slow: what is sent first, what now and then, and whether the gateway must end it."""

    name: str
    opening: bytes
    drip: bytes = b""
    reads: bool = True
    dropped: bool = True


KINDS = (
    Kind("heads", b"GET / HTTP/1.1\r\n" + HOST, drip=b"X: 1\r\n"),
    Kind("bodies", b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nx"),
    Kind("readers", b"GET /stream/50000000 HTTP/1.1\r\n" + HOST + b"\r\n", reads=False),
    Kind("WebSockets", HANDSHAKE, dropped=False),
)


@dataclass
class Polite:
    """A client in a thread that asks and reads, over one connection after the other, as a context manager."""

    port: int
    latencies: list[float] = field(default_factory=list)
    failures: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.005):
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                for _ in range(5):
                    began = time.monotonic()
                    connection.request("GET", "/")
                    answer = connection.getresponse()
                    self.failures += answer.status != 200 or not answer.read()
                    self.latencies.append(time.monotonic() - began)
            except OSError:
                self.failures += 1
            finally:
                connection.close()

    def success(self) -> str:
        """Describe how often it was served, and how soon."""
        count = len(self.latencies) + self.failures
        worst = sorted(self.latencies)[int(len(self.latencies) * 0.99)] if self.latencies else 0.0
        return f"{1 - self.failures / max(1, count):.1%} of {count:,}, p99 {worst * 1000:.1f} ms"


def run(bench: Bench) -> Section:
    """Open the crowds one after the other, with a polite client there all the time."""
    section = Section(
        "slow-clients",
        f"slow-clients: {WANTED:,} slow clients of a kind, and a polite one",
        [
            "kind",
            "clients",
            "polite client served",
            "resident MB before",
            "highest",
            "KB/client",
            "CPU %",
            "dropped",
        ],
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    most, limit = affordable()
    count = min(WANTED, most)
    if count < WANTED:
        section.notes.append(f"{count:,} instead of {WANTED:,}: the limit of open files is {limit:,} here")
    section.raw = {"timeout": TIMEOUT, "count": count}
    listen = free_port()
    with streaming_origin(bench.directory, bench.load_core) as origin:
        command = peer.command(bench.directory, listen=listen, origin=origin.port)
        names = ("CLIENT_HEADER_TIMEOUT", "CLIENT_BODY_TIMEOUT", "SEND_TIMEOUT")
        command = replace(command, env=command.env | {f"PROXYD_{name}": f"{TIMEOUT:g}" for name in names})
        for kind in KINDS:
            with Server(
                peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory
            ) as server:
                fetch(listen, "/")
                section.rows.append(_measure(server, kind, count))
    section.notes.append(
        f"header, body and send timeout are {TIMEOUT:g} s; WebSockets may idle, and are not dropped by them"
    )
    return section


def _measure(server: Server, kind: Kind, count: int) -> list[str]:
    crowd: list[socket.socket] = []
    before = highest = accounting.rss_bytes(server.pid)
    with Polite(server.port) as polite:
        try:
            crowd.extend(_open(server.port, kind) for _ in range(count))
            cpu, began = accounting.cpu_ns(server.pid), time.monotonic()
            while (spent := time.monotonic() - began) < HOLD:
                _drip(crowd, kind.drip)
                highest = max(highest, accounting.rss_bytes(server.pid))
                time.sleep(TRICKLE / 4)
            used = (accounting.cpu_ns(server.pid) - cpu) / (spent * 1e9)
            dropped = _dropped(crowd, kind) if kind.dropped else 0
        finally:
            for each in crowd:
                each.close()
    server.check()
    megabytes = [f"{size / 1e6:.1f}" for size in (before, highest)]
    each = f"{(highest - before) / count / 1e3:.1f}"
    gone = f"{dropped:,}" if kind.dropped else "-"
    return [kind.name, f"{count:,}", polite.success(), *megabytes, each, f"{used:.0%}", gone]


def _open(port: int, kind: Kind) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if not kind.reads:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(kind.opening)
    return connection


def _drip(crowd: list[socket.socket], data: bytes) -> None:
    for connection in crowd if data else ():
        try:
            connection.sendall(data)
        except OSError:
            continue  # dropped already


def _dropped(crowd: list[socket.socket], kind: Kind) -> int:
    """Wait until the gateway has ended each connection, and count those; who does not read learns it by a reset."""
    poll = select.poll()
    # Without POLLIN, the end of the stream and a reset are still told.
    events = select.POLLRDHUP
    waiting = {connection.fileno(): connection for connection in crowd}
    for descriptor in waiting:
        poll.register(descriptor, events)
    give_up = time.monotonic() + LATE
    while waiting and time.monotonic() < give_up:
        for descriptor, _ in poll.poll(200):
            poll.unregister(descriptor)
            waiting.pop(descriptor, None)
        _drip(list(waiting.values()), kind.drip)
    return len(crowd) - len(waiting)
