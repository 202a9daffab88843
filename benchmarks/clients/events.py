"""Listens to streams of Server-Sent Events, and tells how late their events are.

    python -m benchmarks.clients.events '{"port": 8000, "streams": 500, "pid": 42, "seconds": 5}'

prints how many events came in the time given once all streams were open, what the proxy, which is that process, used
meanwhile, and the events' delays in microseconds: from the moment at which the backend began to send an event to all
streams, by the clock that both share.
"""

from __future__ import annotations

import gc
import json
import re
import select
import socket
import sys
from time import monotonic, monotonic_ns
from typing import Any

from benchmarks.accounting import cpu_ns
from benchmarks.quantiles import summary

REQUEST = (
    b"GET /events?client=%d HTTP/1.1\r\nHost: api.shop.example\r\nAccept: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\n\r\n"
)
EVENT = re.compile(rb"\ndata: (\d+) ")
KEPT = 64  # bytes that the beginning of an event may take


def open_streams(port: int, count: int) -> dict[int, socket.socket]:
    """Return the connections by their descriptors, each of which has answered 200."""
    streams = {}
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(REQUEST % number)
        streams[connection.fileno()] = connection
    for connection in streams.values():
        if not connection.recv(16).startswith(b"HTTP/1.1 200"):
            raise ConnectionError("a stream was not answered 200")
        connection.setblocking(False)
    return streams


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Listen; return how many events came, and how late."""
    streams = open_streams(options["port"], options["streams"])
    epoll = select.epoll()
    for descriptor in streams:
        epoll.register(descriptor, select.EPOLLIN)
    rests = dict.fromkeys(streams, b"")
    _listen(epoll, streams, rests, 0.3)  # what came before all were there
    used, began = cpu_ns(options["pid"]), monotonic()
    delays = _listen(epoll, streams, rests, options["seconds"])
    spent, used = monotonic() - began, cpu_ns(options["pid"]) - used
    for connection in streams.values():
        connection.close()
    return {"events": len(delays), "spent": spent, "cpu_ns": used, "us": summary(delays)}


def _listen(
    epoll: select.epoll, streams: dict[int, socket.socket], rests: dict[int, bytes], seconds: float
) -> list[float]:
    delays: list[float] = []
    until = monotonic() + seconds
    while True:
        for descriptor, _ in epoll.poll(max(0.0, min(0.05, until - monotonic()))):
            data = streams[descriptor].recv(65_536)
            if not data:
                raise ConnectionError("a stream ended")
            now = monotonic_ns()
            data = rests[descriptor] + data
            end = 0
            for found in EVENT.finditer(data):
                delays.append((now - int(found[1])) / 1000)
                end = found.end()
            rests[descriptor] = data[max(end, len(data) - KEPT) :]
        if monotonic() >= until:
            return delays


if __name__ == "__main__":
    gc.disable()  # its pauses are not the gateway's
    try:
        print(json.dumps(run(json.loads(sys.argv[1]))))
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
