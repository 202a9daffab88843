"""Connections to an upstream, lent and taken back: which are kept, for how long, and which never."""

from __future__ import annotations

import pytest
from conversation import GET, OK, UP, service

from proxyd.upstream.connection import idle_time
from proxyd.upstream.pool import PoolLimits

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


def pool(open_, idle):
    return f"<Pool 10.0.0.1:80 open={open_} idle={idle}>"


def exchange(talk, client, number=0, answer=OK, passed=OK):
    """Make the steps of a plain exchange over a connection."""
    return (
        client.sends(GET),
        talk.upstream[number].receives(UP),
        talk.upstream[number].sends(answer),
        client.receives(passed),
    )


async def test_the_connection_used_last_is_used_next(talk):
    """Last in, first out: the busy few stay warm, the rest run out."""
    first = await talk.start()
    second = talk.client()
    await talk(
        first.sends(GET),
        talk.upstream[0].receives(UP),
        second.sends(GET),
        talk.upstream[1].receives(UP),
        talk.pooled(pool(2, 0)),
        talk.upstream[1].sends(OK),
        second.receives(OK),
        talk.pooled(pool(2, 1)),
        talk.upstream[0].sends(OK),
        first.receives(OK),
        talk.pooled(pool(2, 2)),
        *exchange(talk, second, 0),
        *exchange(talk, first, 0),
        talk.pooled(pool(2, 2)),
    )


async def test_so_many_idle_connections_are_kept(talk):
    """upstream_keepalive_pool_size: one more is closed."""
    first = await talk.start(pool=PoolLimits(size=1))
    second = talk.client()
    await talk(
        first.sends(GET),
        talk.upstream[0].receives(UP),
        second.sends(GET),
        talk.upstream[1].receives(UP),
        talk.upstream[0].sends(OK),
        first.receives(OK),
        talk.upstream[1].sends(OK),
        second.receives(OK),
        talk.upstream[1].is_closed(),
        talk.pooled(pool(1, 1)),
    )


async def test_no_idle_connections_may_be_kept(talk):
    """upstream_keepalive_pool_size 0: each request has a connection of its own."""
    client = await talk.start(pool=PoolLimits(size=0))
    await talk(
        *exchange(talk, client, 0),
        talk.upstream[0].is_closed(),
        *exchange(talk, client, 1),
        talk.upstream[1].is_closed(),
        talk.pooled(pool(0, 0)),
    )


async def test_a_connection_carries_so_many_requests(talk):
    """upstream_keepalive_max_requests."""
    client = await talk.start(pool=PoolLimits(max_requests=2))
    await talk(
        *exchange(talk, client, 0),
        talk.upstream[0].says("<UpstreamConnection idle requests=1>"),
        *exchange(talk, client, 0),
        talk.upstream[0].is_closed(),
        talk.upstream[0].says("<UpstreamConnection closed requests=2>"),
        *exchange(talk, client, 1),
        talk.pooled(pool(1, 1)),
    )


# --- how long ------------------------------------------------------------------------------------------------


async def test_an_idle_connection_is_closed_in_its_time(talk):
    """upstream_keepalive_idle_timeout, counted from the last answer."""
    client = await talk.start(pool=PoolLimits(idle_timeout=10.0))
    await talk(
        *exchange(talk, client),
        talk.passes(9.0),
        *exchange(talk, client),
        talk.passes(9.9),
        talk.upstream.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_closed(),
        talk.pooled(pool(0, 0)),
    )


async def test_no_time_is_for_ever(talk):
    """upstream_keepalive_idle_timeout 0."""
    client = await talk.start(pool=PoolLimits(idle_timeout=0.0), keepalive_timeout=1e6)
    await talk(*exchange(talk, client), talk.passes(3600.0), *exchange(talk, client), talk.pooled(pool(1, 1)))


KEEP = OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=5\r\n\r\n")


async def test_the_upstream_says_how_long(talk):
    """Keep-Alive: timeout, as Node sends it: closed a second before the upstream would."""
    client = await talk.start(pool=PoolLimits(idle_timeout=60.0))
    await talk(
        *exchange(talk, client, answer=KEEP),
        talk.passes(3.9),
        talk.upstream.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_closed(),
        talk.pooled(pool(0, 0)),
    )


async def test_what_the_upstream_said_is_remembered(talk):
    """An upstream that says it once per connection means it for all answers on it."""
    client = await talk.start()
    await talk(
        *exchange(talk, client, answer=KEEP),
        *exchange(talk, client),
        talk.passes(4.1),
        talk.upstream.is_closed(),
    )


@pytest.mark.parametrize(
    ("announced", "limit", "seconds"),
    [(5, 60.0, 4.0), (75, 60.0, 60.0), (5, 0.0, 4.0), (1, 60.0, 0.5), (0, 60.0, 0.5), (120, 0.0, 119.0)],
)
def test_how_long_an_idle_connection_is_kept(announced, limit, seconds):
    """A second less than the upstream says, never longer than the setting, and never not at all."""
    assert idle_time(announced, limit) == seconds


# --- which never ---------------------------------------------------------------------------------------------

# what the upstream says -> what the client gets of it
NOT_KEPT = [
    ("it closes", OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), OK),
    ("HTTP/1.0", OK.replace(b"1.1", b"1.0"), OK),
    ("a byte behind the answer", OK + b"\0", OK),
    ("a second answer behind it", OK + OK, OK),
    (
        "a byte behind the chunks",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a body behind 204", b"HTTP/1.1 204 No Content\r\n\r\nbody", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("a body behind 304", b"HTTP/1.1 304 Not Modified\r\n\r\nbody", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
]


@pytest.mark.parametrize(
    ("answer", "passed"), [row[1:] for row in NOT_KEPT], ids=[row[0] for row in NOT_KEPT]
)
@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
async def test_a_connection_that_is_not_clean_is_not_kept(talk, answer, passed, pieces):
    """RFC 9112 section 9.3: what an upstream sends beyond an answer's end never reaches the next request."""
    client = await talk.start()
    sent = [answer] if pieces == "whole" else [answer[at : at + 1] for at in range(len(answer))]
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(*sent),
        client.receives(passed),
        talk.upstream.is_closed(),
        talk.pooled(pool(0, 0)),
        *exchange(talk, client, 1),
        talk.logged(f"GET / {answer[9:12].decode()}", "GET / 200"),
    )


async def test_a_body_behind_an_answer_to_head_is_not_the_next_answer(talk):
    """RFC 9110 section 9.3.2: HEAD has none, and an upstream that sends one is not asked again on it."""
    client = await talk.start()
    await talk(
        client.sends(GET.replace(b"GET", b"HEAD")),
        talk.upstream.receives(UP.replace(b"GET", b"HEAD")),
        talk.upstream.sends(OK),
        client.receives(OK[:-2]),
        talk.upstream.is_closed(),
        talk.pooled(pool(0, 0)),
    )


@pytest.mark.parametrize("data", [b"x", OK, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
async def test_bytes_on_an_idle_connection_close_it(talk, data):
    """Nobody asked: an answer to nothing must not meet the next request."""
    client = await talk.start()
    await talk(
        *exchange(talk, client),
        talk.upstream.sends(data),
        talk.upstream.is_closed(),
        talk.pooled(pool(0, 0)),
        *exchange(talk, client, 1),
    )


@pytest.mark.parametrize("ending", ["closes", "resets"])
async def test_an_idle_connection_that_ends_is_forgotten(talk, ending):
    """It is not lent again, not even in the same turn of the loop."""
    client = await talk.start()
    await talk(*exchange(talk, client))
    end = talk.dialled[0]
    getattr(end, ending)().run()
    client.transport.incoming(client.protocol.data_received, GET)
    await talk(talk.upstream[1].receives(UP), talk.upstream[1].sends(OK), client.receives(OK))
    await talk(talk.pooled(pool(1, 1)), talk.logged("GET / 200", "GET / 200"))


async def test_an_unrepeatable_request_looks_before_it_leaps(talk):
    """POST is not sent where an end of stream waits in the kernel; GET may be, for it can be sent again."""
    client = await talk.start()
    await talk(
        *exchange(talk, client),
        talk.passes(1.0),
        talk.upstream.wakes(),
        client.sends(POST),
        talk.upstream.is_closed(),
        talk.upstream[1].receives(POST.replace(b"Host: h", b"Host: 10.0.0.1")),
        talk.upstream[1].sends(OK),
        client.receives(OK),
        talk.passes(1.0),
        talk.upstream[1].wakes(),
        *exchange(talk, client, 1),
    )


async def test_a_closed_pool_keeps_nothing(talk):
    """When a target goes, idle connections go with it, and lent ones when they come back."""
    first = await talk.start()
    second = talk.client()
    await talk(
        first.sends(GET),
        talk.upstream[0].receives(UP),
        second.sends(GET),
        talk.upstream[1].receives(UP),
        talk.upstream[1].sends(OK),
        second.receives(OK),
    )
    talk.pools[0].close()
    await talk(
        talk.upstream[1].is_closed(),
        talk.pooled(pool(1, 0)),
        talk.upstream[0].sends(OK),
        first.receives(OK),
        talk.upstream[0].is_closed(),
        talk.pooled(pool(0, 0)),
    )


async def test_a_connection_shows_its_state(talk):
    """Waiting, answering, idle, closed."""
    client = await talk.start(service(read_timeout=10_000))
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.says("<UpstreamConnection waiting requests=1>"),
        talk.upstream.sends(OK[:-1]),
        client.receives(OK[:-1]),
        talk.upstream.says("<UpstreamConnection answering requests=1>"),
        talk.upstream.sends(OK[-1:]),
        client.receives(OK[-1:]),
        talk.upstream.says("<UpstreamConnection idle requests=1>"),
        talk.upstream.closes(),
        talk.upstream.says("<UpstreamConnection closed requests=1>"),
    )
