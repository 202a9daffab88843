"""Requests' bodies: limited, asked for, waited with; and clients that stop halfway or go away."""

from __future__ import annotations

import pytest
from conversation import GET, HANGS, OK, UP, error, service

CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_UP = b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
TOO_LARGE = error(413, b"Content Too Large", b"Payload too large", b"Connection: close")
BAD = error(400, b"Bad Request", b"Bad request", b"Connection: close")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_TEAPOT = {"name": "request-termination", "config": {"status_code": 418, "body": ""}}
TEAPOT = (
    b"HTTP/1.1 418 I'm a Teapot\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 0\r\n"
)


def sized(length, *lines):
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"POST / HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n" % (fields, length)


def sized_up(length):
    return b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: %d\r\n\r\n" % length


# --- how large a body may be ---------------------------------------------------------------------------------


async def test_a_length_beyond_the_limit_is_refused_unread(talk):
    """client_max_body_size: 413 on seeing the head, and nobody upstream hears of it."""
    client = await talk.start(client_max_body_size=10)
    await talk(
        client.sends(sized(11)),
        client.receives(TOO_LARGE),
        client.is_ended(),
        talk.logged("POST / 413 Content-Length over client_max_body_size"),
        client.closes(),
    )
    assert talk.dialled == []


async def test_a_length_at_the_limit_is_taken(talk):
    """client_max_body_size: so many bytes, and not one fewer."""
    client = await talk.start(client_max_body_size=10)
    await talk(
        client.sends(sized(10) + b"0123456789"),
        talk.upstream.receives(sized_up(10) + b"0123456789"),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_chunks_beyond_the_limit_are_refused_when_they_get_there(talk):
    """client_max_body_size: a body of unknown length is cut off, and the upstream with it."""
    client = await talk.start(client_max_body_size=10)
    await talk(
        client.sends(CHUNKED + b"5\r\n01234\r\n"),
        talk.upstream.receives(CHUNKED_UP + b"5\r\n01234\r\n"),
        client.sends(b"5\r\n56789\r\n"),
        talk.upstream.receives(b"5\r\n56789\r\n"),
        client.sends(b"1\r\nx\r\n"),
        talk.upstream.is_aborted(),
        client.receives(TOO_LARGE),
        client.is_ended(),
        talk.pooled("<Pool 10.0.0.1:80 open=0 idle=0>"),
        talk.logged("POST / 413 body over client_max_body_size"),
        client.closes(),
    )


async def test_no_limit(talk):
    """client_max_body_size 0 is none."""
    client = await talk.start(client_max_body_size=0)
    await talk(
        client.sends(sized(3_000_000)),
        talk.upstream.receives(sized_up(3_000_000)),
        client.sends(b"x" * 3_000_000),
        talk.upstream.receives(b"x" * 3_000_000),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_a_malformed_chunk_ends_the_request(talk):
    """400 to the client, and a cut connection upstream: the beginning of a body is no body."""
    client = await talk.start()
    await talk(
        client.sends(CHUNKED + b"5\r\n01234\r\n"),
        talk.upstream.receives(CHUNKED_UP + b"5\r\n01234\r\n"),
        client.sends(b"x\r\n"),
        talk.upstream.is_aborted(),
        client.receives(BAD),
        client.is_ended(),
        talk.logged("POST / 400 malformed chunk size"),
        client.closes(),
    )


async def test_a_malformed_chunk_behind_the_answers_beginning_cuts_both(talk):
    """No status can be sent any more: the answer is cut, and says so by not ending."""
    client = await talk.start()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
    await talk(
        client.sends(CHUNKED),
        talk.upstream.receives(CHUNKED_UP),
        talk.upstream.sends(head),
        client.receives(head),
        client.sends(b"x\r\n"),
        talk.upstream.is_aborted(),
        client.is_aborted(),
        talk.logged("POST / 200 malformed chunk size aborted"),
    )


# --- 100-continue: RFC 9110 section 10.1.1 -------------------------------------------------------------------


async def test_a_body_is_asked_for_once_an_upstream_is_at_hand(talk):
    """The gateway says 100 itself; the upstream is not asked, and its own 100 goes no further."""
    client = await talk.start()
    await talk(
        client.sends(sized(2, b"Expect: 100-continue")),
        talk.upstream.receives(sized_up(2)),
        client.receives(CONTINUE),
        talk.upstream.sends(CONTINUE),
        client.hears_nothing(),
        client.sends(b"hi"),
        talk.upstream.receives(b"hi"),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says("<Downstream idle requests=1>"),
    )


async def test_a_body_that_comes_unasked_is_not_asked_for(talk):
    """A client that did not wait needs no 100."""
    client = await talk.start()
    await talk(
        client.sends(sized(2, b"Expect: 100-continue") + b"h"),
        talk.upstream.receives(sized_up(2) + b"h"),
        client.sends(b"i"),
        talk.upstream.receives(b"i"),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_a_body_that_is_not_wanted_is_not_asked_for(talk):
    """A final answer without a 100 before it: the client keeps its body, and the connection ends."""
    client = await talk.start(service(plugins=[NO_TEAPOT]))
    await talk(
        client.sends(sized(2, b"Expect: 100-continue")),
        client.receives(TEAPOT + b"Connection: close\r\n\r\n"),
        client.is_ended(),
        client.closes(),
    )


async def test_a_body_that_is_too_large_is_not_asked_for(talk):
    """The limit is looked at first."""
    client = await talk.start(client_max_body_size=10)
    await talk(
        client.sends(sized(11, b"Expect: 100-continue")),
        client.receives(TOO_LARGE),
        client.is_ended(),
        client.closes(),
    )


async def test_an_unknown_expectation_is_refused(talk):
    """RFC 9110 section 15.5.18."""
    client = await talk.start()
    await talk(
        client.sends(sized(2, b"Expect: miracles")),
        client.receives(error(417, b"Expectation Failed", b"Expectation failed", b"Connection: close")),
        client.is_ended(),
        client.closes(),
    )


# --- bodies that nobody reads --------------------------------------------------------------------------------


async def test_a_body_that_has_come_is_read_over(talk):
    """The gateway's own answer, and then the next request behind the body."""
    client = await talk.start(service(plugins=[NO_TEAPOT]))
    await talk(
        client.sends(sized(2) + b"hi" + GET),
        client.receives((TEAPOT + b"\r\n") * 2),
        client.says("<Downstream idle requests=2>"),
    )


async def test_a_body_that_is_still_to_come_ends_the_connection(talk):
    """What a client would send for nothing is not waited for."""
    client = await talk.start(service(plugins=[NO_TEAPOT]))
    await talk(
        client.sends(sized(20) + b"hi"),
        client.receives(TEAPOT + b"Connection: close\r\n\r\n"),
        client.is_ended(),
        client.sends(b"x" * 18 + GET),
        client.hears_nothing(),
        client.closes(),
    )


async def test_a_body_waits_while_the_upstream_is_dialled(talk):
    """What comes meanwhile is kept, up to 64 KiB, and beyond that in the client's kernel."""
    talk.dials = [HANGS]
    client = await talk.start()
    await talk(
        client.sends(sized(200_000)),
        client.sends(b"x" * 65_536),
        client.is_read(),
        client.sends(b"x"),
        client.is_held(),
        client.closes(),
        client.is_held(),
    )


# --- clients that go away ------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", ["closes", "resets"])
async def test_a_client_that_goes_away_before_the_answer(talk, leaving):
    """Logged as 499; the upstream's connection is cut and not pooled."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        getattr(client, leaving)(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 499 aborted"),
        talk.pooled("<Pool 10.0.0.1:80 open=0 idle=0>"),
    )


@pytest.mark.parametrize("leaving", ["closes", "resets"])
async def test_a_client_that_goes_away_within_the_answer(talk, leaving):
    """Logged with the status that it was sent, and as cut."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK[:-1]),
        client.receives(OK[:-1]),
        getattr(client, leaving)(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 200 aborted"),
        talk.pooled("<Pool 10.0.0.1:80 open=0 idle=0>"),
    )


@pytest.mark.parametrize("leaving", ["closes", "resets"])
async def test_a_client_that_goes_away_within_its_body(talk, leaving):
    """An upload that stops is no upload: the upstream is cut, so that it does not take it for one."""
    client = await talk.start()
    await talk(
        client.sends(CHUNKED + b"1\r\na\r\n"),
        talk.upstream.receives(CHUNKED_UP + b"1\r\na\r\n"),
        getattr(client, leaving)(),
        talk.upstream.is_aborted(),
    )
    (line,) = talk.log.lines
    assert line.startswith("POST / 499")


async def test_a_client_that_goes_away_while_the_upstream_is_dialled(talk):
    """The dialling is given up."""
    talk.dials = [HANGS]
    client = await talk.start()
    await talk(
        client.sends(GET),
        client.closes(),
        talk.logged("GET / 499 aborted"),
    )
    assert (talk.dialled, repr(talk.tasks)) == ([], "<Tasks running=0>")


async def test_a_client_that_goes_away_idle_is_no_event(talk):
    """The usual end of a connection leaves nothing in the log."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.closes(),
        talk.logged("GET / 200"),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
    )
    assert len(talk.connections) == 0


async def test_a_client_that_goes_away_within_a_head_asked_nothing(talk):
    """Half a head is no request."""
    client = await talk.start()
    await talk(client.sends(GET[:9]), client.closes(), talk.logged())


async def test_a_client_may_close_its_half_behind_its_last_request(talk):
    """RFC 9112 section 9.6: who has said that nothing follows still waits for the answer."""
    client = await talk.start()
    await talk(
        client.sends(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"),
        talk.upstream.receives(UP),
        client.closes(),
        client.hears_nothing(),
        talk.upstream.sends(OK),
        client.receives(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
        client.is_closed(),
        talk.logged("GET / 200"),
    )


async def test_a_tls_client_cannot_close_its_half(talk):
    """TLS as asyncio has it knows no half-close: whoever closes has gone away."""
    await talk.start()
    client = talk.client(ssl_object=FakeTls())
    await talk(
        client.sends(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"),
        talk.upstream.receives(UP),
        client.closes(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 499 aborted"),
    )


class FakeTls:
    requested_server_name = "h"

    def version(self):
        return "TLSv1.3"
