"""GraphQL requests that are meant to cost more than they do: how soon each is refused, and what it leaves in memory."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

from benchmarks import accounting
from benchmarks.load import LoadError
from benchmarks.origin import static_origin
from benchmarks.peers.graphql import HOSTILE
from benchmarks.process import pinned
from benchmarks.report import Section
from benchmarks.scenarios.compare import Probe, running
from tests.graphql_floods import FLOODS, Flood, query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.process import Server
    from benchmarks.scenarios.base import Bench

COLUMNS = ["request", "KB", "status", "code", "CPU ms", "answered in ms", "growth MB"]
PATH = "/graphql"
SENT = 5  # times each, with a text that is new each time
WARM_UP = 20
DISTINCT = 2000
PATIENCE = 30.0  # seconds for an answer
ORDINARY = Flood("an ordinary query", lambda: query("{ hello }"), ())
# As many names as the limit of tokens lets by, in documents that are all different: what the gateway remembers of them.
MANY = Flood("many documents at the limit", lambda: query("{a{" + "b " * 900 + "}}"), ())


def run(bench: Bench) -> Section:
    """Send each of the floods that the tests know to one gateway, one after the other."""
    title = f"graphql-hostile: {len(FLOODS)} requests that are meant to cost, {SENT} times each"
    section = Section("graphql-hostile", title, COLUMNS, raw={})
    with static_origin(bench.directory, bench.load_core) as origin:
        probe = Probe(bench.directory, f"{PATH}?query=%7Bhello%7D")
        with running(bench, HOSTILE, origin, probe) as server, pinned(bench.load_core):
            for _ in range(WARM_UP):
                send(server.port, ORDINARY.body)
            first = accounting.rss_bytes(server.pid)
            for name, flood, times in sent():
                result = section.raw[name] = _measure(server, flood, times)
                section.rows.append(_row(name, result))
                bench.say(f"graphql-hostile: {name}: {result['cpu_ms']:.2f} ms")
            grown = accounting.rss_bytes(server.pid) - first
    section.notes.append(
        f"{HOSTILE.shown}; every text is new to the gateway; CPU is the gateway's own, a median, and the time the longest; "
        f"after all of them its memory has grown by {grown / 1e6:.0f} MB"
    )
    return section


def sent() -> Iterator[tuple[str, Flood, int]]:
    """Yield what is sent, and how often."""
    yield ORDINARY.name, ORDINARY, SENT
    for name, flood in FLOODS.items():
        yield name, flood, SENT
    yield f"{MANY.name} ({DISTINCT:,})", MANY, DISTINCT


def _measure(server: Server, flood: Flood, times: int) -> dict[str, Any]:
    before = accounting.rss_bytes(server.pid)
    cpu, spent = [], []
    for _ in range(times):
        body = flood.body
        used, began = accounting.cpu_ns(server.pid), time.monotonic()
        status, answer = send(server.port, body)
        spent.append((time.monotonic() - began) * 1e3)
        cpu.append((accounting.cpu_ns(server.pid) - used) / 1e6)
    server.check()
    return {
        "bytes": len(body),
        "status": status,
        "code": code_of(answer),
        "cpu_ms": statistics.median(cpu),
        "longest_ms": max(spent),
        "growth": accounting.rss_bytes(server.pid) - before,
    }


def _row(name: str, result: dict[str, Any]) -> list[str]:
    return [
        name,
        f"{result['bytes'] / 1000:,.1f}",
        str(result["status"]),
        result["code"] or "-",
        f"{result['cpu_ms']:.2f}",
        f"{result['longest_ms']:.1f}",
        f"{result['growth'] / 1e6:.1f}",
    ]


def send(port: int, body: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the answer to a POST; LoadError where none comes."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: api.shop.example\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Accept: application/graphql-response+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # it has answered, and does not read on
            connection.sendall(head.encode() + body)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
    head_, _, answer = received.partition(b"\r\n\r\n")
    if not head_.startswith(b"HTTP/1.1 "):
        raise LoadError(f"a request of {len(body)} bytes got no answer")
    return int(head_.split(b" ", 2)[1]), answer


def code_of(answer: bytes) -> str:
    """Return the code of the first error in an answer, or nothing."""
    try:
        errors = json.loads(answer)["errors"]
        return str(errors[0]["extensions"]["code"])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
