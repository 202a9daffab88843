"""How messages are delimited on either side, and what goes over a connection besides one request and its answer."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


async def through(gateway, origin, raw, answer=None, script=None, **settings):
    upstream = await origin(script or answer)
    proxy = await gateway(upstream.port, **settings)
    return upstream, proxy, await raw(proxy.port)


# --- chunks and trailers -----------------------------------------------------------------------------------------


async def test_a_chunked_request_is_framed_anew(gateway, origin, raw):
    """Chunk extensions and odd chunk sizes stay with the client's connection; the payload goes on, chunked."""
    upstream, _, client = await through(gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await client.ask(CHUNKED_POST + b'\r\n0005;name="v"\r\nhello\r\n1\r\n!\r\n000\r\n\r\n')
    request = await upstream.request()
    assert request.body == b"hello!"
    assert request["transfer-encoding"] == "chunked"
    assert b"name" not in upstream.bytes
    assert b"0005" not in upstream.bytes


async def test_a_chunked_answer_is_framed_anew(gateway, origin, raw):
    """Of an answer's chunks, too, the payload alone is passed on."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00003;x=y\r\nabc\r\n0;last\r\n\r\n"
    _, _, client = await through(gateway, origin, raw, answer)
    reply = await client.ask(GET)
    assert (reply.body, reply["transfer-encoding"]) == (b"abc", "chunked")
    assert b"x=y" not in client.received
    assert b"last" not in client.received


async def test_a_body_with_a_length_keeps_it(gateway, origin, raw):
    """A Content-Length goes through both ways, and no transfer coding comes to it."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    )
    reply = await client.ask(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    request = await upstream.request()
    assert (request["content-length"], request.body) == ("5", b"hello")
    assert (reply["content-length"], reply.body) == ("3", b"abc")
    assert "transfer-encoding" not in request
    assert "transfer-encoding" not in reply


async def test_an_answer_that_ends_with_its_connection_is_chunked_for_the_client(gateway, origin, raw):
    """The client's connection stays open behind an answer of unknown length."""

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nall of it")
        wire.close()

    _, _, client = await through(gateway, origin, raw, script=script)
    for _ in range(2):
        reply = await client.ask(GET)
        assert (reply.start, reply.body) == ("HTTP/1.1 200 OK", b"all of it")
        assert reply["transfer-encoding"] == "chunked"


async def test_trailers_of_a_request_reach_the_origin(gateway, origin, raw):
    """Trailer fields go up behind the last chunk; those that would change the message do not."""
    upstream, _, client = await through(gateway, origin, raw, b"HTTP/1.1 204 No Content\r\n\r\n")
    trailers = b"X-Checksum: 900\r\nContent-Length: 1\r\nHost: evil\r\nAuthorization: no\r\n"
    await client.ask(CHUNKED_POST + b"Trailer: X-Checksum\r\n\r\n2\r\nhi\r\n0\r\n" + trailers + b"\r\n")
    request = await upstream.request()
    assert request.trailers == [("X-Checksum", "900")]
    assert request["trailer"] == "X-Checksum"


async def test_trailers_of_an_answer_reach_the_client(gateway, origin, raw):
    """The client's TE: trailers goes up as the gateway's own, and the answer's trailer section comes down."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
    upstream, _, client = await through(gateway, origin, raw, answer)
    reply = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers, deflate\r\nConnection: TE\r\n\r\n")
    assert (reply.body, reply.trailers) == (b"hi", [("X-Sum", "1")])
    request = await upstream.request()
    assert (request["te"], request["connection"]) == ("trailers", "TE")


# --- informational answers ---------------------------------------------------------------------------------------


async def test_early_hints_are_relayed(gateway, origin, raw):
    """A 103 is with the client before the origin sends its answer."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await wire.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\nX: 1\r\n\r\n"
        )
        await go.wait()
        await wire.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    _, _, client = await through(gateway, origin, raw, script=script)
    await client.send(GET)
    hints = await client.head()
    assert (hints.status, hints["link"], hints.names) == (103, "</a.css>; rel=preload", ["link"])
    go.set()
    assert (await client.head()).status == 102
    answer = await client.message()
    assert (answer.status, answer.body) == (200, b"ok")


async def test_http_1_0_clients_get_no_informational_answer(gateway, origin, raw):
    """A client that cannot know of 103 sees the final answer alone."""
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    _, _, client = await through(gateway, origin, raw, answer)
    await client.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert (await client.message()).status == 200


async def test_expect_100_continue_is_answered_by_the_gateway(gateway, origin, raw):
    """The client is told to go on when an upstream is at hand, and the origin sees no Expect."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    )
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n")
    assert (await client.head()).start == "HTTP/1.1 100 Continue"
    await client.send(b"body")
    assert (await client.message()).status == 201
    request = await upstream.request()
    assert request.body == b"body"
    assert "expect" not in request


async def test_expect_100_continue_of_a_body_that_is_there_is_not_answered(gateway, origin, raw):
    """A client that did not wait gets its final answer alone (RFC 9110 section 10.1.1)."""
    _, _, client = await through(gateway, origin, raw, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
    assert (await client.head()).status == 201


async def test_expect_100_continue_of_a_large_body_is_refused_unread(gateway, origin, raw):
    """A body over the limit is a 413 instead of a 100, and the origin hears nothing."""
    upstream, _, client = await through(gateway, origin, raw, b"", client_max_body_size="1k")
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
    answer = await client.message()
    assert (answer.status, answer["connection"]) == (413, "close")
    assert await client.rest() == b""
    assert upstream.wires == []


async def test_other_expectations_are_refused(gateway, origin, raw):
    """An expectation that nobody knows is a 417."""
    upstream, _, client = await through(gateway, origin, raw, b"")
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: gold\r\n\r\nbody")
    assert (await client.message()).status == 417
    assert upstream.wires == []


async def test_a_100_of_the_origin_is_not_passed_on(gateway, origin, raw):
    """The client that expected nothing sees nothing of the origin's own 100."""
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    _, _, client = await through(gateway, origin, raw, answer)
    assert (await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")).status == 200


# --- answers without a body --------------------------------------------------------------------------------------


async def test_an_answer_to_head_has_no_body_and_keeps_its_length(gateway, origin, raw):
    """Content-Length says what GET would bring, and the next answer begins right behind the head."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    )
    for _ in range(2):
        answer = await client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer["content-length"]) == (200, "12345")
    assert len(upstream.wires) == 1


async def test_an_answer_to_head_without_a_length_has_none(gateway, origin, raw):
    """No framing is made up for a HEAD, and the connection stays usable."""
    answers = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, _, client = await through(gateway, origin, raw, answers)
    for _ in range(2):
        answer = await client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.status == 200
        assert "content-length" not in answer


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_that_never_has_a_body_has_none(gateway, origin, raw, status):
    """204 and 304 end with their head; the length that a 304 tells of stays."""
    length = b"Content-Length: 17\r\n" if status.startswith(b"304") else b""
    _, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 " + status + b'\r\nETag: "a"\r\n' + length + b"\r\n"
    )
    for _ in range(2):
        answer = await client.ask(GET)
        assert (answer.start, answer["etag"]) == ("HTTP/1.1 " + status.decode(), '"a"')
        assert answer.all("content-length") == (["17"] if length else [])
        assert "transfer-encoding" not in answer


async def test_a_204_with_a_length_loses_it(gateway, origin, raw):
    """RFC 9110 section 8.6: a 204 must not have Content-Length."""
    _, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    )
    assert "content-length" not in await client.ask(GET)


# --- HTTP/1.0 ----------------------------------------------------------------------------------------------------


async def test_an_http_1_0_client_is_answered_and_left(gateway, origin, raw):
    """Without keep-alive the connection ends; the origin is spoken to in HTTP/1.1 all the same."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    await client.send(b"GET / HTTP/1.0\r\n\r\n")
    answer = await client.message()
    assert (answer.body, answer["connection"]) == (b"ok", "close")
    assert await client.rest() == b""
    assert (await upstream.request()).start == "GET / HTTP/1.1"


async def test_an_http_1_0_client_may_keep_its_connection(gateway, origin, raw):
    """With keep-alive it is told so, and asks again."""
    _, _, client = await through(gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    for _ in range(2):
        answer = await client.ask(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        assert (answer.body, answer["connection"]) == (b"ok", "keep-alive")


async def test_an_http_1_0_client_gets_a_chunked_answer_until_the_close(gateway, origin, raw):
    """What has no length is sent as it is, ended by the connection, even with keep-alive asked for."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    _, _, client = await through(gateway, origin, raw, answer)
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head = await client.head()
    assert "transfer-encoding" not in head
    assert head["connection"] == "close"
    assert await client.rest() == b"abc"


# --- connections that are kept -----------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(gateway, origin, raw):
    """Ten requests in one segment get ten answers in their order, one after the other, bodies included."""

    async def script(wire):
        with contextlib.suppress(EOFError):
            while True:
                request = await wire.message()
                number = request.start.split("/")[1].split(" ")[0]
                if number in {"0", "4"}:
                    await asyncio.sleep(0.02)  # the ones behind are not to overtake it
                body = number.encode() + request.body
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    _, proxy, client = await through(gateway, origin, raw, script=script)
    burst = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (number, number)
        if number % 2
        else b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number
        for number in range(10)
    )
    await client.send(burst)
    bodies = [(await client.message()).body for _ in range(10)]
    assert bodies == [b"%d%d" % (n, n) if n % 2 else b"%d" % n for n in range(10)]
    assert [line["path"] for line in await proxy.log_lines(10)] == [f"/{number}" for number in range(10)]


async def test_a_request_may_come_byte_by_byte(gateway, origin, raw):
    """However the segments are cut, the origin sees the same request."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    whole = CHUNKED_POST + b"X-Name: value\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n"
    await client.send(*(whole[i : i + 1] for i in range(len(whole))))
    assert (await client.message()).body == b"ok"
    request = await upstream.request()
    assert (request.body, request["x-name"], request.trailers) == (b"hello", "value", [("T", "1")])


async def test_an_answer_may_come_byte_by_byte(gateway, origin, raw):
    """However the origin's segments are cut, the client sees the same answer."""
    whole = b"HTTP/1.1 200 OK\r\nX-Name: value\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n"

    async def script(wire):
        for _ in range(2):
            await wire.message()
            await wire.send(*(whole[i : i + 1] for i in range(len(whole))))

    upstream, _, client = await through(gateway, origin, raw, script=script)
    for _ in range(2):
        answer = await client.ask(GET)
        assert (answer.body, answer["x-name"], answer.trailers) == (b"hello", "value", [("T", "1")])
    assert len(upstream.wires) == 1


async def test_an_empty_line_before_a_request_is_read_over(gateway, origin, raw):
    """RFC 9112 section 2.2: the CRLF that old clients send behind a body does no harm."""
    _, _, client = await through(gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1\r\n"
    assert (await client.ask(post)).status == 200
    assert (await client.ask(GET)).status == 200
    assert (await client.ask(b"\r\n" + GET)).status == 200


async def test_connections_are_kept_on_both_sides(gateway, origin, raw):
    """Many requests over one connection take one connection to the origin."""
    upstream, proxy, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    for _ in range(20):
        answer = await client.ask(GET)
        assert "connection" not in answer
    assert len(upstream.wires) == 1
    assert len(proxy.worker.clients) == 1


async def test_a_client_that_says_close_is_left(gateway, origin, raw):
    """Connection: close is taken at its word, and does not reach the origin."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET)
    assert (await client.message())["connection"] == "close"
    assert await client.rest() == b""
    assert len(upstream.requests) == 1
    assert "connection" not in upstream.requests[0]


async def test_an_origin_that_says_close_is_left_alone(gateway, origin, raw):
    """Its Connection: close is not the client's, and its connection is not used again."""
    upstream, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    )
    for _ in range(3):
        assert "connection" not in await client.ask(GET)
    assert len(upstream.wires) == 3


async def test_keepalive_requests_ends_a_connection(gateway, origin, raw):
    """The last request that a connection may carry is answered with Connection: close."""
    _, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", keepalive_requests=3
    )
    answers = [await client.ask(GET) for _ in range(3)]
    assert [answer.all("connection") for answer in answers] == [[], [], ["close"]]
    assert await client.rest() == b""


async def test_keepalive_timeout_of_zero_ends_every_connection(gateway, origin, raw):
    """With keep-alive off, each answer says close."""
    _, _, client = await through(
        gateway, origin, raw, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", keepalive_timeout=0
    )
    assert (await client.ask(GET))["connection"] == "close"
    assert await client.rest() == b""
