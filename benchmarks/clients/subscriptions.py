"""Holds GraphQL subscriptions over graphql-transport-ws, a connection each, and tells how late their results are.

    python -m benchmarks.clients.subscriptions '{"port": 8000, "path": "/graphql", "headers": {}, "connections": 500, "pid": 42, "seconds": 5}'

prints how many results came in the time given once all subscriptions were open, what the proxy, which is that process,
used meanwhile, and the results' delays in microseconds: from the moment at which the backend made them, by the clock
that both share.
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

QUERY = "subscription Price { price { sku amount currency at } }"
HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: api.shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n%b\r\n"
)
MADE = re.compile(rb'"at":"(\d+)"')
KEPT = 300  # bytes that the beginning of a result may take
SETTLE = 0.5  # seconds until what came before all were there has been read


def message(text: str) -> bytes:
    """Return a text message as clients send it, masked with zeros (RFC 6455 allows any mask)."""
    payload = text.encode()
    length = len(payload)
    head = bytes((0x81, 0x80 | length)) if length < 126 else bytes((0x81, 0xFE)) + length.to_bytes(2)
    return head + bytes(4) + payload


def subscribe(port: int, path: str, headers: dict[str, str]) -> socket.socket:
    """Return a connection with a subscription that has begun, as far as can be told."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(HANDSHAKE % (path.encode(), more.encode()))
    _until(connection, b"\r\n\r\n", b" 101 ")
    connection.sendall(message('{"type":"connection_init"}'))
    _until(connection, b"}", b"connection_ack")
    connection.sendall(message(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": QUERY}})))
    connection.setblocking(False)
    return connection


def _until(connection: socket.socket, end: bytes, meant: bytes) -> None:
    received = b""
    while end not in received:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    if meant not in received:
        raise ConnectionError(f"no subscription: {received[:120]!r}")


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Listen; return how many results came, and how late."""
    streams = {}
    for _ in range(options["connections"]):
        made = subscribe(options["port"], options["path"], options["headers"])
        streams[made.fileno()] = made
    epoll = select.epoll()
    for descriptor in streams:
        epoll.register(descriptor, select.EPOLLIN)
    rests = dict.fromkeys(streams, b"")
    _listen(epoll, streams, rests, SETTLE)
    used, began = cpu_ns(options["pid"]), monotonic()
    delays = _listen(epoll, streams, rests, options["seconds"])
    spent, used = monotonic() - began, cpu_ns(options["pid"]) - used
    for connection in streams.values():
        connection.close()
    return {"results": len(delays), "spent": spent, "cpu_ns": used, "us": summary(delays)}


def _listen(
    epoll: select.epoll, streams: dict[int, socket.socket], rests: dict[int, bytes], seconds: float
) -> list[float]:
    delays: list[float] = []
    until = monotonic() + seconds
    while True:
        for descriptor, _ in epoll.poll(max(0.0, min(0.05, until - monotonic()))):
            data = streams[descriptor].recv(65_536)
            if not data:
                raise ConnectionError("a subscription's connection was closed")
            now = monotonic_ns()
            data = rests[descriptor] + data
            end = 0
            for found in MADE.finditer(data):
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
