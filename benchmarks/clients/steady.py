"""Requests at a constant rate, whatever becomes of those before them: latencies that a slow server cannot hide.

A latency counts from the moment at which its request was due, so one that had to wait for a connection, because the
others were late, is late itself. Beside the requests through the proxy, some go straight to the backend, each due at
the same moment as one through the proxy: the difference is what the proxy adds, on the same busy machine.

    python -m benchmarks.clients.steady '{"port": 8000, "direct": 9000, "rate": 5000, "pid": 42, "heads": FILE, "end": "}", "seconds": 5}'

prints counts, what the proxy, which is that process, used, and latencies in microseconds; -1 stands for one that failed. FILE holds a
list of request heads, ``end`` is what an answer ends with.
"""

from __future__ import annotations

import ctypes
import gc
import json
import select
import socket
import sys
from array import array
from collections import deque
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.accounting import cpu_ns

CONNECTIONS = 64  # to each side
DIRECT_RATE = 500.0  # a second, at most
GRACE = 5.0  # seconds for what is under way at the end
PR_SET_TIMERSLACK = 29
FAILED = -1.0


class Connection:
    """One keep-alive connection, with the request under way on it."""

    __slots__ = ("due", "lane", "number", "received", "socket")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.socket = socket.create_connection(("127.0.0.1", lane.port), timeout=10)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.number = 0
        self.received = b""


class Lane:
    """The requests to one port: their latencies by number, and those that wait for a connection."""

    def __init__(self, port: int, count: int, heads: list[bytes], end: bytes) -> None:
        self.port = port
        self.heads = heads
        self.end = end
        self.latencies = array("d", [FAILED]) * count
        self.waiting: deque[tuple[int, float]] = deque()
        self.under_way = 0
        self.idle = [Connection(self) for _ in range(CONNECTIONS)]
        self.connections = list(self.idle)

    def request(self, number: int, due: float) -> None:
        """Send request ``number``, which was due then, or have it wait."""
        if not self.idle:
            self.waiting.append((number, due))
            return
        connection = self.idle.pop()
        connection.number, connection.due = number, due
        self.under_way += 1
        connection.socket.send(self.heads[number % len(self.heads)])

    def readable(self, connection: Connection) -> None:
        """Take what came; after a whole answer, the connection is free for whoever waits."""
        data = connection.received + connection.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"port {self.port} closed a connection")
        if not data.endswith(self.end):
            connection.received = data
            return
        connection.received = b""
        if data.startswith(b"HTTP/1.1 200"):
            self.latencies[connection.number] = (monotonic() - connection.due) * 1e6
        self.under_way -= 1
        self.idle.append(connection)
        if self.waiting:
            self.request(*self.waiting.popleft())


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Send the requests; return what came of them."""
    rate, seconds = float(options["rate"]), float(options["seconds"])
    heads = [head.encode() for head in json.loads(Path(options["heads"]).read_text(encoding="utf-8"))]
    end = options["end"].encode()
    every = max(1, round(rate / DIRECT_RATE))  # each so-manieth has a twin that goes straight
    count = max(1, int(rate * seconds))
    through = Lane(options["port"], count, heads, end)
    straight = Lane(options["direct"], (count + every - 1) // every, heads, end)
    _exact_timers()
    epoll = select.epoll()
    by_descriptor = {c.socket.fileno(): c for c in (*through.connections, *straight.connections)}
    for descriptor in by_descriptor:
        epoll.register(descriptor, select.EPOLLIN)
    used, epoll_descriptor, began = cpu_ns(options["pid"]), epoll.fileno(), monotonic() + 0.02
    number, due, latest = 0, began, 0.0
    give_up = began + seconds + GRACE
    while number < count or through.under_way or straight.under_way:
        now = monotonic()
        while due <= now and number < count:
            # The two of a pair take turns in being first.
            if number % every == 0 and number // every % 2:
                straight.request(number // every, due)
                through.request(number, due)
            else:
                through.request(number, due)
                if number % every == 0:
                    straight.request(number // every, due)
            latest = max(latest, now - due)
            number += 1
            due = began + number / rate
        if now > give_up:
            break
        # select takes microseconds where epoll takes milliseconds.
        select.select([epoll_descriptor], [], [], max(0.0, due - monotonic()) if number < count else 0.05)
        for descriptor, _ in epoll.poll(0):
            connection = by_descriptor[descriptor]
            connection.lane.readable(connection)
    spent, used = monotonic() - began, cpu_ns(options["pid"]) - used
    for connection in by_descriptor.values():
        connection.socket.close()
    return {
        "every": every,
        "requests": sum(latency != FAILED for latency in through.latencies),
        "failed": sum(latency == FAILED for lane in (through, straight) for latency in lane.latencies),
        "spent": spent,
        "cpu_ns": used,
        "latest_us": latest * 1e6,
        "through": [round(latency, 1) for latency in through.latencies],
        "straight": [round(latency, 1) for latency in straight.latencies],
    }


def _exact_timers() -> None:
    """Ask the kernel not to round waits up by its usual 50 microseconds."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)


if __name__ == "__main__":
    gc.disable()  # its pauses are not the gateway's
    try:
        print(json.dumps(run(json.loads(sys.argv[1]))))
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
