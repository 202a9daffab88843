"""Our own load tools, put straight on the backend."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.certificate import make
from benchmarks.clients import events, handshakes, messages, steady
from benchmarks.clients.run import run
from benchmarks.heads import requests
from benchmarks.load import LoadError
from benchmarks.machine import cores
from benchmarks.origin import streaming_origin
from benchmarks.origin_server import SMALL
from benchmarks.peers.aiohttp_peer import AiohttpPeer
from benchmarks.process import Server, free_port
from benchmarks.quantiles import QUANTILES


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    with streaming_origin(tmp_path_factory.mktemp("origin"), cores()[1]) as server:
        yield server


def options(server, **more):
    return {"port": server.port, "pid": server.pid, "seconds": 0.2, **more}


def test_requests_are_sent_at_the_rate_asked_for_and_some_go_straight(tmp_path, origin):
    """2,000 a second for 0.2 s are 400, of which every fourth has a twin; all are answered, none in no time."""
    heads = tmp_path / "heads.json"
    heads.write_text(json.dumps(requests(count=10)))
    more = {"direct": origin.port, "rate": 2000, "heads": str(heads), "end": SMALL.decode()}
    made = steady.run(options(origin, **more))
    assert (len(made["through"]), len(made["straight"]), made["every"]) == (400, 100, 4)
    assert (made["requests"], made["failed"]) == (400, 0)
    assert min(*made["through"], *made["straight"]) > 0
    assert made["cpu_ns"] > 0


def test_a_latency_counts_from_when_the_request_was_due():
    """A request that found no free connection has waited, though it was answered at once when it was sent."""
    lane = steady.Lane.__new__(steady.Lane)
    lane.heads, lane.end, lane.port = [b"GET /"], b"}", 0
    lane.latencies = [steady.FAILED] * 2
    lane.waiting, lane.under_way, lane.idle = steady.deque(), 0, []
    free = FakeConnection(lane)
    long_ago = steady.monotonic() - 1.0
    lane.request(1, long_ago)
    assert (list(lane.waiting), free.sent) == ([(1, long_ago)], [])
    free.number, free.due, lane.under_way = 0, steady.monotonic(), 1
    lane.readable(free)
    assert free.sent == [b"GET /"]
    lane.readable(free)
    assert lane.latencies[1] >= 1e6 > lane.latencies[0] > 0
    assert (lane.under_way, list(lane.idle)) == (0, [free])


class FakeConnection:
    """A connection whose every answer is there at once."""

    def __init__(self, lane):
        self.lane, self.socket, self.received = lane, self, b""
        self.number, self.due, self.sent = 0, 0.0, []

    def send(self, data):
        self.sent.append(data)

    def recv(self, _):
        return b"HTTP/1.1 200 OK\r\n\r\n{}"


@pytest.mark.parametrize("size", [64, 1024, 16_384, 70_000])
def test_messages_of_every_length_come_back(origin, size):
    """The three forms of a frame's length, on several connections."""
    made = messages.run(options(origin, size=size, connections=4))
    assert made["echoes"] > 0
    assert set(made["us"]) == set(QUANTILES)


def test_events_come_on_every_stream(origin):
    """Ten a second to each of 20 streams; what they are late is known."""
    made = events.run(options(origin, streams=20) | {"seconds": 0.35})
    assert made["events"] >= 20
    assert made["us"]["p50"] > 0


@pytest.mark.parametrize("resume", [False, True])
def test_handshakes_are_whole_or_resumed_as_asked(tmp_path, origin, resume):
    """Only the first of a row of resumed ones has nothing to resume."""
    listen = free_port()
    command = AiohttpPeer().command(tmp_path, listen=listen, origin=origin.port, tls=make(tmp_path))
    with Server("aiohttp", command, port=listen, core=cores()[0], directory=tmp_path) as server:
        made = handshakes.run(options(server, resume=resume) | {"seconds": 0.5})
    assert made["connections"] > 1
    assert made["resumed"] == (made["connections"] - 1 if resume else 0)


def test_a_load_tool_that_fails_tells_its_last_words(tmp_path):
    """Nothing listens there."""
    server = Server(
        "nobody", AiohttpPeer().command(tmp_path, listen=1, origin=1), port=1, core=0, directory=tmp_path
    )
    server.pid = os.getpid()
    with pytest.raises(LoadError, match="messages exited with 1: ConnectionRefusedError"):
        run("messages", server, {"size": 1, "connections": 1}, seconds=0.1, core=cores()[1])
