"""Upstreams that fail: which status, which cause in the log, which further try, and what the client reads of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest
from e2e_gateway import config_for
from e2e_wire import OK, closed_port

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
NO_RETRY = {"retries": 0}


def upstream_config(*targets, **service):
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "host": "pool", "routes": [{"name": "r", "paths": ["/"]}], **service}],
        "upstreams": [
            {
                "name": "pool",
                "targets": [{"target": f"127.0.0.1:{port}", "weight": weight} for port, weight in targets],
            }
        ],
    }


# --- told apart --------------------------------------------------------------------------------------------------


async def resets(wire):
    await wire.message()
    wire.reset()


async def closes(wire):
    await wire.message()
    wire.close()


async def never(wire):
    await wire.rest()


def says(answer):
    async def script(wire):
        await wire.message()
        await wire.send(answer)
        await wire.rest()

    return script


BAD_ANSWERS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "bad status": b"HTTP/1.1 20 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "folded line": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare LF inside": b"HTTP/1.1 200 OK\r\nX: 1\nY: 2\r\nContent-Length: 2\r\n\r\nok",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "too large": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
    "unasked switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_an_answer_that_is_not_strict_http_is_a_502(gateway, origin, raw, answer):
    """Nothing of a doubtful answer reaches the client, and its connection serves nobody after it."""
    upstream = await origin(says(answer))
    proxy = await gateway(config_for(upstream.port))
    client = await raw(proxy.port)
    for number in (1, 2):
        reply = await client.ask(GET)
        assert (reply.status, len(upstream.wires)) == (502, number)
    line = (await proxy.log_lines(2))[0]
    assert (line["error"], line["error_source"], line["tries"]) == ("bad_response", "upstream", 1)
    assert line["error_cause"]


@pytest.mark.parametrize(
    ("script", "status", "error"),
    [(resets, 502, "reset"), (closes, 502, "reset"), (says(b"HTTP/1.1 200 O"), 504, "read_timeout")],
)
async def test_an_origin_without_an_answer_is_a_502_or_504(gateway, origin, raw, script, status, error):
    """A reset or a close in place of an answer is a 502, half an answer and silence a 504."""
    upstream = await origin(script)
    proxy = await gateway(config_for(upstream.port, service={"read_timeout": 200}))
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == status
    (line,) = await proxy.log_lines()
    assert (line["error"], line["status"], line["tries"]) == (error, status, 1)


async def test_a_silent_origin_is_a_504(gateway, origin, raw):
    """No byte for read_timeout is a 504, and the origin's connection is given up."""
    upstream = await origin(never)
    proxy = await gateway(config_for(upstream.port, service={"read_timeout": 150}))
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 504
    (line,) = await proxy.log_lines()
    assert (line["error"], line["error_cause"]) == ("read_timeout", "no byte for 0.15 s")


async def test_an_origin_that_stops_in_its_answer_ends_the_clients_connection(gateway, origin, raw):
    """read_timeout counts between two pieces as well; what was sent cannot become a 504."""
    upstream = await origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"))
    proxy = await gateway(config_for(upstream.port, service={"read_timeout": 150}))
    client = await raw(proxy.port)
    await client.send(GET)
    assert (await client.rest()).endswith(b"\r\n\r\npart")
    (line,) = await proxy.log_lines()
    assert (line["status"], line["error"], line["aborted"]) == (200, "read_timeout", True)


async def test_an_origin_that_takes_nothing_is_a_504(gateway, origin, raw):
    """write_timeout runs while a request's body is not taken."""
    upstream = await origin(lambda _wire: asyncio.sleep(60), receive_buffer=4096)
    config = config_for(upstream.port, service={"write_timeout": 150})
    proxy = await gateway(config, client_max_body_size=0)
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 64000000\r\n\r\n")
    pouring = asyncio.ensure_future(client.send(*[bytes(100_000)] * 640))
    assert (await client.message()).status == 504
    pouring.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionError):
        await pouring
    (line,) = await proxy.log_lines()
    assert (line["error"], line["error_cause"]) == ("write_timeout", "no byte taken for 0.15 s")


async def test_a_refused_connection_is_a_502(gateway, raw):
    """Nobody listening is a 502; the log tells where and why."""
    port = closed_port()
    proxy = await gateway(config_for(port, service={"retries": 2}))
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 502
    (line,) = await proxy.log_lines()
    assert (line["error"], line["tries"]) == ("connect_refused", 3)
    assert f"127.0.0.1:{port}" in line["error_cause"]


async def test_a_connection_that_does_not_come_about_is_a_504(gateway, raw):
    """connect_timeout ends waiting for a connection that nobody accepts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # the queue of connections to be accepted is full
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        proxy = await gateway(config_for(port, service={"connect_timeout": 150, "retries": 1}))
        client = await raw(proxy.port)
        assert (await client.ask(GET)).status == 504
        for filler in fillers:
            filler.close()
    (line,) = await proxy.log_lines()
    assert (line["error"], line["tries"]) == ("connect_timeout", 2)


async def test_an_upstream_without_targets_is_a_503(gateway, raw):
    """A ring without a target that takes requests is Kong's 503."""
    proxy = await gateway(upstream_config((closed_port(), 0)), error_default_type="application/json")
    client = await raw(proxy.port)
    answer = await client.ask(GET)
    assert (answer.status, json.loads(answer.body)["message"]) == (
        503,
        "failure to get a peer from the ring-balancer",
    )
    (line,) = await proxy.log_lines()
    assert line["error"] == "no_target"


async def test_the_cause_is_in_the_log_alone(gateway, raw):
    """No address, port or reason of the upstream's stands in what the client reads."""
    port = closed_port()
    proxy = await gateway(config_for(port))
    client = await raw(proxy.port)
    answer = await client.ask(GET)
    for told in (str(port), "refused", "connect"):
        assert told.encode() not in answer.body.lower()
        assert told not in answer.start.lower() + str(answer.fields).lower()
    (line,) = await proxy.log_lines()
    assert str(port) in line["error_cause"]


async def test_a_5xx_of_the_origin_is_its_answer(gateway, origin, raw):
    """An answer with a 5xx status goes through untouched and is not tried again."""
    upstream = await origin(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbusy")
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    answer = await client.ask(GET)
    assert (answer.start, answer.body, answer["retry-after"]) == ("HTTP/1.1 503 Busy", b"busy", "7")
    assert len(upstream.requests) == 1


# --- the body of an error ----------------------------------------------------------------------------------------


SHAPES = {
    "application/json": (b"{", "application/json; charset=utf-8"),
    "text/html": (b"<!doctype html>", "text/html; charset=utf-8"),
    "application/xml": (b"<?xml", "application/xml; charset=utf-8"),
    "text/plain": (b"An invalid", "text/plain; charset=utf-8"),
}


@pytest.mark.parametrize(
    ("lines", "shape"),
    [
        (b"Accept: application/json\r\n", "application/json"),
        (b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", "text/html"),
        (b"Accept: application/xml\r\n", "application/xml"),
        (b"Accept: text/plain\r\n", "text/plain"),
        (b"Accept: text/html;q=0.3, application/json;q=0.5\r\n", "application/json"),
        (b"Accept: */*\r\n", "application/json"),
        (b"Accept: image/png\r\n", "application/json"),
        (b"Content-Type: application/xml\r\n", "application/xml"),
        (b"", "text/plain"),
    ],
)
async def test_an_error_is_told_in_the_form_asked_for(gateway, raw, lines, shape):
    """Accept decides, without it the request's Content-Type, and then error_default_type."""
    proxy = await gateway(closed_port())
    client = await raw(proxy.port)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % lines)
    start, media = SHAPES[shape]
    assert (answer.status, answer["content-type"]) == (502, media)
    assert answer.body.startswith(start)
    assert answer["x-kong-request-id"].encode() in answer.body


async def test_error_default_type_decides_where_nothing_is_asked_for(gateway, raw):
    """The setting has Kong's meaning."""
    proxy = await gateway(closed_port(), error_default_type="application/json")
    client = await raw(proxy.port)
    answer = await client.ask(GET)
    body = json.loads(answer.body)
    assert body == {
        "message": "An invalid response was received from the upstream server",
        "request_id": answer["x-kong-request-id"],
    }


async def test_an_unmatched_request_is_kongs_404(gateway, origin, raw):
    """The message is the one that Kong's clients know, with the request id beside it."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, route={"paths": ["/a"]}))
    client = await raw(proxy.port)
    answer = await client.ask(GET)
    assert answer.status == 404
    assert json.loads(answer.body)["message"] == "no Route matched with those values"
    head = await client.ask(b"HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (head.status, head["content-length"]) == (404, answer["content-length"])
    assert (await client.ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200


# --- further tries -----------------------------------------------------------------------------------------------


async def test_a_refusing_target_costs_a_try_and_no_answer(gateway, origin, raw):
    """Every request, POST included, goes on to the next target where a connection was refused."""
    upstream = await origin(OK)
    proxy = await gateway(upstream_config((closed_port(), 100), (upstream.port, 100)))
    client = await raw(proxy.port)
    answers = [await client.ask(request) for request in (GET, POST) * 4]
    assert {answer.status for answer in answers} == {200}
    assert [request.body for request in upstream.requests] == [b"", b"body"] * 4
    lines = await proxy.log_lines(8)
    assert max(line["tries"] for line in lines) == 2


async def test_the_number_of_tries_is_the_services(gateway, raw):
    """With retries at 0 there is one try."""
    proxy = await gateway(config_for(closed_port(), service=NO_RETRY))
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 502
    (line,) = await proxy.log_lines()
    assert line["tries"] == 1


async def test_an_origin_that_closes_behind_each_answer_never_fails_a_get(gateway, origin, raw):
    """200 rounds against connections that are closed unannounced right after an answer, and none is lost."""

    async def script(wire):
        await wire.message()
        await wire.send(OK)
        wire.close()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    for _ in range(200):
        assert (await client.ask(GET)).body == b"ok"


async def test_a_post_is_never_sent_twice(gateway, origin, raw):
    """Against connections that end unannounced, each POST arrives at most once, and a lost one is a 502."""

    async def script(wire):
        with contextlib.suppress(EOFError):
            upstream.requests.append(await wire.message())
            await wire.send(OK)
            upstream.requests.append(await wire.message())
        wire.reset()  # the second request of each connection is taken and not answered

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    statuses = []
    for number in range(40):
        post = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" % number
        statuses.append((await client.ask(post)).status)
    starts = [request.start for request in upstream.requests]
    assert len(starts) == len(set(starts)) == 40
    assert statuses == [200, 502] * 20


async def test_a_get_on_a_stale_connection_is_tried_again(gateway, origin, raw):
    """A pooled connection that takes a request and closes is not the client's problem."""

    async def script(wire):
        with contextlib.suppress(EOFError):
            await wire.message()
            await wire.send(OK)
            await wire.message()
        wire.reset()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    for _ in range(20):
        assert (await client.ask(GET)).status == 200
    lines = await proxy.log_lines(20)
    assert {line["tries"] for line in lines} == {1, 2}


async def test_a_get_on_a_new_connection_is_not_tried_again(gateway, origin, raw):
    """An origin that takes a request on a fresh connection and closes may have acted on it: that is a 502."""
    upstream = await origin(closes)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 502
    assert len(upstream.wires) == 1


async def test_a_put_is_tried_again_with_its_body(gateway, origin, raw):
    """A small body that was sent over a stale connection is sent once more in full."""

    async def script(wire):
        with contextlib.suppress(EOFError):
            upstream.requests.append(await wire.message())
            await wire.send(OK)
            await wire.message()
        wire.reset()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    put = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    for _ in range(6):
        assert (await client.ask(put)).status == 200
    assert {request.body for request in upstream.requests} == {b"abcdef"}


# --- answers that belong to nobody -------------------------------------------------------------------------------


async def test_bytes_behind_an_answer_never_reach_the_next_client(gateway, origin, raw):
    """What an origin sends beyond an answer is thrown away with its connection."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    async def script(wire):
        await wire.message()
        await wire.send(OK + evil)
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    for number in range(1, 6):
        client = await raw(proxy.port)
        assert (await client.ask(GET)).body == b"ok"
        assert b"evil" not in client.received
        assert len(upstream.wires) == number


async def test_bytes_on_an_idle_connection_never_reach_the_next_client(gateway, origin, raw):
    """An answer that nobody asked for closes the pooled connection on which it comes."""
    sent = asyncio.Event()

    async def script(wire):
        await wire.message()
        await wire.send(OK)
        await asyncio.sleep(0.02)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await wire.rest()
        sent.set()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    assert (await client.ask(GET)).body == b"ok"
    await asyncio.wait_for(sent.wait(), 5)
    assert (await client.ask(GET)).body == b"ok"
    assert len(upstream.wires) == 2


async def test_a_chunk_that_is_longer_than_it_says_ends_the_answer(gateway, origin, raw):
    """A malformed chunk of the origin's aborts the client's connection: the answer never looks whole."""
    upstream = await origin(
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n")
    )
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(GET)
    assert not (await client.rest()).endswith(b"0\r\n\r\n")
    (line,) = await proxy.log_lines()
    assert (line["error"], line["aborted"]) == ("bad_response", True)
