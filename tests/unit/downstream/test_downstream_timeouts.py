"""What a client has time for, and what comes of it when it takes longer."""

from __future__ import annotations

from conversation import GET, OK, UP, error

TIMES = {
    "client_header_timeout": 10.0,
    "client_body_timeout": 20.0,
    "send_timeout": 30.0,
    "keepalive_timeout": 40.0,
    "lingering_timeout": 5.0,
}
LATE = error(408, b"Request Timeout", b"Request timeout", b"Connection: close")
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n"
POST_UP = b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 6\r\n\r\n"
MARGIN = 0.2  # seconds: more than a deadline may be noticed late


async def test_a_client_that_never_sends_a_byte_is_hung_up_on(talk):
    """client_header_timeout: no answer, for nothing was asked, and no line in the log."""
    client = await talk.start(**TIMES)
    await talk(
        talk.passes(9.9), client.hears_nothing(), talk.passes(MARGIN), client.is_closed(), talk.logged()
    )


async def test_a_first_head_has_its_time_from_the_connection_on(talk):
    """client_header_timeout: bytes that dribble in do not prolong it."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET[:4]),
        talk.passes(5.0),
        client.sends(GET[4:8]),
        talk.passes(4.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.receives(LATE),
        client.is_ended(),
        talk.logged("- - 408 head not complete in time"),
        talk.passes(4.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_closed(),
    )


async def test_a_later_head_has_its_time_from_its_first_byte_on(talk):
    """client_header_timeout: and it takes the place of keepalive_timeout, even if that were longer."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.passes(35.0),
        client.sends(GET[:4]),
        talk.passes(6.0),
        client.sends(GET[4:8]),
        talk.passes(3.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.receives(LATE),
        client.is_ended(),
        client.closes(),
    )


async def test_an_idle_connection_is_closed(talk):
    """keepalive_timeout: counted from the end of the answer."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.passes(15.0),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.passes(39.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_closed(),
        talk.logged("GET / 200"),
    )


async def test_a_slow_upstream_is_not_the_clients_fault(talk):
    """None of the client's times runs while its answer is waited for."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.passes(59.0),
        client.hears_nothing(),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_a_body_that_stops_is_given_up(talk):
    """client_body_timeout: between two pieces; the upstream's connection is cut and not pooled."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(POST),
        talk.upstream.receives(POST_UP),
        talk.passes(19.0),
        client.sends(b"abc"),
        talk.upstream.receives(b"abc"),
        talk.passes(19.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        talk.upstream.is_aborted(),
        client.receives(LATE),
        client.is_ended(),
        talk.pooled("<Pool 10.0.0.1:80 open=0 idle=0>"),
        talk.logged("POST / 408 body not complete in time"),
        client.closes(),
    )


async def test_a_body_that_is_held_back_has_no_time(talk):
    """client_body_timeout: a client that may not send is not slow; the upstream is."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(POST),
        talk.upstream.receives(POST_UP),
        talk.upstream.slows(),
        client.is_held(),
        talk.passes(25.0),
        client.hears_nothing(),
        talk.upstream.reads(),
        client.is_read(),
        talk.passes(19.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        talk.upstream.is_aborted(),
        client.receives(LATE),
        client.is_ended(),
        client.closes(),
    )


async def test_a_client_that_takes_nothing_is_cut(talk):
    """send_timeout: the answer is cut with it, and the upstream let go."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK[:-1]),
        client.receives(OK[:-1]),
        client.slows(),
        talk.passes(29.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_aborted(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 200 aborted"),
    )


async def test_a_client_that_takes_something_in_time_goes_on(talk):
    """send_timeout: every time that it takes something, it begins anew."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK[:-1]),
        client.receives(OK[:-1]),
        client.slows(),
        talk.passes(25.0),
        client.reads(),
        client.slows(),
        talk.passes(25.0),
        client.reads(),
        talk.upstream.sends(OK[-1:]),
        client.receives(OK[-1:]),
        talk.logged("GET / 200"),
    )


async def test_a_closed_connection_is_cut_when_its_last_bytes_are_not_taken(talk):
    """send_timeout: a connection does not stay for ever because nobody reads."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        talk.upstream.receives(UP),
        client.chokes(),
        talk.upstream.sends(OK),
        client.receives(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
        client.is_closed(),
        talk.passes(29.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_aborted(),
    )


async def test_answers_that_are_not_taken_leave_no_connection_behind(talk):
    """send_timeout: also where the exchange itself is long over."""
    client = await talk.start(**TIMES)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        client.chokes(),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 200"),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
        talk.passes(29.9),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_aborted(),
    )


async def test_lingering_has_its_time(talk):
    """lingering_timeout: a refused client that does not hang up is hung up on."""
    client = await talk.start(**TIMES, client_max_body_size=5)
    await talk(
        client.sends(POST),
        client.receives(error(413, b"Content Too Large", b"Payload too large", b"Connection: close")),
        client.is_ended(),
        talk.passes(4.9),
        client.sends(b"abc"),
        client.hears_nothing(),
        talk.passes(MARGIN),
        client.is_closed(),
    )
