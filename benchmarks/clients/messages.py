"""WebSocket messages in a closed loop: each connection sends its next message when the last one came back.

    python -m benchmarks.clients.messages '{"port": 8000, "size": 64, "connections": 32, "pid": 42, "seconds": 5}'

prints how many came back, how soon in microseconds, and what the proxy, which is that process, used meanwhile. Messages are masked with zeros (RFC 6455 allows any mask), so that
neither this side nor the backend spends its time on it.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
from time import monotonic
from typing import Any

from benchmarks.accounting import cpu_ns
from benchmarks.quantiles import summary

HANDSHAKE = (
    b"GET /ws?client=%d HTTP/1.1\r\nHost: api.shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
BINARY = 0x82  # the last frame of a binary message


def frame(payload: bytes, *, masked: bool) -> bytes:
    """Return a message of one frame, as clients send it (masked, with zeros) or as servers do."""
    flag = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = bytes((BINARY, flag | length))
    elif length < 65_536:
        head = bytes((BINARY, flag | 126)) + length.to_bytes(2)
    else:
        head = bytes((BINARY, flag | 127)) + length.to_bytes(8)
    return head + (bytes(4) if masked else b"") + payload


def connect(port: int, number: int) -> socket.socket:
    """Return a connection that has become a WebSocket."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(HANDSHAKE % number)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        if not piece:
            break
        head += piece
    if b" 101 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(f"no WebSocket: {head[:80]!r}")
    return connection


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Send messages to and fro; return how many came back, and how soon."""
    payload = bytes(range(256)) * (options["size"] // 256) + bytes(options["size"] % 256)
    message, answer = frame(payload, masked=True), frame(payload, masked=False)
    connections = {}
    for number in range(options["connections"]):
        made = connect(options["port"], number)
        connections[made.fileno()] = made
    epoll = select.epoll()
    missing = dict.fromkeys(connections, len(answer))
    sent = {}
    latencies: list[float] = []
    used, began = cpu_ns(options["pid"]), monotonic()
    now = began
    for descriptor, connection in connections.items():
        epoll.register(descriptor, select.EPOLLIN)
        sent[descriptor] = now
        connection.sendall(message)
    buffer = bytearray(1 << 18)
    while (now := monotonic()) < began + options["seconds"]:
        for descriptor, _ in epoll.poll(0.1):
            received = connections[descriptor].recv_into(buffer)
            if not received:
                raise ConnectionError("a WebSocket was closed")
            missing[descriptor] -= received
            if missing[descriptor] > 0:
                continue
            if missing[descriptor] < 0 or not buffer.startswith(
                answer[-min(received, 64) :], max(0, received - 64)
            ):
                raise ConnectionError("another message came back than was sent")
            now = monotonic()
            latencies.append((now - sent[descriptor]) * 1e6)
            missing[descriptor], sent[descriptor] = len(answer), now
            connections[descriptor].sendall(message)
    used = cpu_ns(options["pid"]) - used
    for connection in connections.values():
        connection.close()
    return {"echoes": len(latencies), "spent": now - began, "cpu_ns": used, "us": summary(latencies)}


if __name__ == "__main__":
    gc.disable()  # its pauses are not the gateway's
    try:
        print(json.dumps(run(json.loads(sys.argv[1]))))
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
