"""An exchange on its way: both bodies, framed anew; whoever is slow pauses the other; and tunnels."""

from __future__ import annotations

import pytest
from conversation import GET, OK, UP, error, service

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
IDLE = "<Pool 10.0.0.1:80 open=1 idle=1>"
GONE = "<Pool 10.0.0.1:80 open=0 idle=0>"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
POST_UP = b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\n"


def request(method, version=b"1.1"):
    return b"%b / HTTP/%b\r\nHost: h\r\n\r\n" % (method, version)


# --- answers, framed for the client --------------------------------------------------------------------------

FRAMED = [
    # what the upstream says, to method and version -> what the client gets, and whether the upstream is kept
    ("a length", b"GET", b"1.1", HEAD + LENGTH % 2 + b"hi", HEAD + LENGTH % 2 + b"hi", IDLE),
    ("nothing", b"GET", b"1.1", HEAD + LENGTH % 0, HEAD + LENGTH % 0, IDLE),
    (
        "chunks",
        b"GET",
        b"1.1",
        HEAD + CHUNKED + b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        HEAD + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
        IDLE,
    ),
    (
        "trailers",
        b"GET",
        b"1.1",
        HEAD + CHUNKED + b"2\r\nhi\r\n0\r\nX: 1\r\nHost: x\r\n\r\n",
        HEAD + CHUNKED + b"2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
        IDLE,
    ),
    (
        "chunks to HTTP/1.0",
        b"GET",
        b"1.0",
        HEAD + CHUNKED + b"2\r\nhi\r\n0\r\nX: 1\r\n\r\n",
        HEAD + CLOSE + b"hi",
        IDLE,
    ),
    ("a length to HEAD", b"HEAD", b"1.1", HEAD + LENGTH % 2, HEAD + LENGTH % 2, IDLE),
    ("chunked to HEAD", b"HEAD", b"1.1", HEAD + CHUNKED, HEAD + b"\r\n", IDLE),
    ("204", b"GET", b"1.1", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", IDLE),
    (
        "204 with a length (RFC 9110 8.6)",
        b"GET",
        b"1.1",
        b"HTTP/1.1 204 No Content\r\n" + LENGTH % 0,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        IDLE,
    ),
    (
        "304 with a length",
        b"GET",
        b"1.1",
        b"HTTP/1.1 304 Not Modified\r\n" + LENGTH % 9,
        b"HTTP/1.1 304 Not Modified\r\n" + LENGTH % 9,
        IDLE,
    ),
    (
        "a phrase of its own",
        b"GET",
        b"1.1",
        b"HTTP/1.1 200 Fine\r\n" + LENGTH % 0,
        b"HTTP/1.1 200 Fine\r\n" + LENGTH % 0,
        IDLE,
    ),
    (
        "HTTP/1.0 that persists",
        b"GET",
        b"1.1",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH % 2 + b"hi",
        HEAD + LENGTH % 2 + b"hi",
        IDLE,
    ),
]


@pytest.mark.parametrize(
    ("method", "version", "said", "sent", "pool"), [row[1:] for row in FRAMED], ids=[row[0] for row in FRAMED]
)
async def test_an_answer_is_framed_for_its_client(talk, method, version, said, sent, pool):
    """RFC 9112 section 6: the framing is that of each hop, and the payload is the same."""
    client = await talk.start()
    await talk(
        client.sends(request(method, version)),
        talk.upstream.receives(UP.replace(b"GET", method)),
        talk.upstream.sends(said),
        client.receives(sent),
        *([] if version == b"1.1" else [client.is_closed()]),
        talk.pooled(pool),
    )


async def test_an_answer_that_ends_with_its_connection_is_chunked(talk):
    """RFC 9112 section 6.3, rule 8: the client's connection outlives it."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HEAD + b"\r\n", b"h"),
        client.receives(HEAD + CHUNKED + b"1\r\nh\r\n"),
        talk.upstream.sends(b"i"),
        client.receives(b"1\r\ni\r\n"),
        talk.upstream.closes(),
        client.receives(b"0\r\n\r\n"),
        client.says("<Downstream idle requests=1>"),
        talk.pooled(GONE),
        talk.logged("GET / 200"),
    )


async def test_an_answer_that_ends_with_a_reset_is_not_whole(talk):
    """The same answer, cut: the client must not take it for complete."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HEAD + b"\r\nhi"),
        client.receives(HEAD + CHUNKED + b"2\r\nhi\r\n"),
        talk.upstream.resets(),
        client.is_aborted(),
        talk.logged("GET / 200 bad_response aborted"),
    )


async def test_a_head_without_its_body_is_sent_on(talk):
    """The first bytes are not waited with: a stream of events begins with its head."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HEAD + CHUNKED),
        client.receives(HEAD + CHUNKED),
        talk.upstream.sends(b"6\r\ndata: \r\n"),
        client.receives(b"6\r\ndata: \r\n"),
    )


async def test_what_describes_this_hop_stays_here(talk):
    """RFC 9110 section 7.6.1: both ways, what Connection names included."""
    client = await talk.start()
    await talk(
        client.sends(
            GET[:-2] + b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nX: 2\r\n\r\n"
        ),
        talk.upstream.receives(UP[:-2] + b"X: 2\r\n\r\n"),
        talk.upstream.sends(
            HEAD + b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: max=5\r\nY: 3\r\n" + LENGTH % 0
        ),
        client.receives(HEAD + b"Y: 3\r\n" + LENGTH % 0),
    )


# --- 1xx: RFC 9110 section 15.2 ------------------------------------------------------------------------------

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


async def test_interim_answers_are_passed_on(talk):
    """103 and its like reach the client ahead of the answer; 100 was the gateway's to send."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HINTS),
        client.receives(HINTS),
        talk.upstream.sends(b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + OK),
        client.receives(HINTS, OK),
        talk.pooled(IDLE),
        talk.logged("GET / 200"),
    )


async def test_interim_answers_are_nothing_for_http_1_0(talk):
    """RFC 9110 section 15.2: HTTP/1.0 knows no 1xx."""
    client = await talk.start()
    await talk(
        client.sends(request(b"GET", b"1.0")),
        talk.upstream.receives(UP),
        talk.upstream.sends(HINTS + OK),
        client.receives(OK.replace(b"\r\n\r\n", b"\r\n" + CLOSE)),
        client.is_closed(),
    )


async def test_a_flood_of_interim_answers_is_not_passed_on(talk):
    """64 of them may come before the answer; who sends more has none."""
    client = await talk.start()
    processing = b"HTTP/1.1 102 Processing\r\n\r\n"
    await talk(
        client.sends(GET, GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(processing * 64 + OK),
        client.receives(processing * 64 + OK),
        talk.upstream.receives(UP),
        talk.upstream.sends(processing * 5_000 + OK),
        talk.upstream.is_aborted(),
        client.receives(
            processing * 64,
            error(502, b"Bad Gateway", b"An invalid response was received from the upstream server"),
        ),
    )


# --- bodies going up -----------------------------------------------------------------------------------------


async def test_a_body_goes_up_as_it_comes(talk):
    """Nothing is waited for, and nothing is put together that came apart."""
    client = await talk.start()
    await talk(
        client.sends(POST + LENGTH % 4),
        talk.upstream.receives(POST_UP + LENGTH % 4),
        client.sends(b"ab"),
        talk.upstream.receives(b"ab"),
        client.sends(b"cd"),
        talk.upstream.receives(b"cd"),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.pooled(IDLE),
    )


async def test_chunks_and_trailers_go_up_framed_anew(talk):
    """RFC 9112 section 7.1: without extensions, and without the trailers that must not be."""
    client = await talk.start()
    await talk(
        client.sends(POST + CHUNKED + b"2;x=y\r\nab\r\n"),
        talk.upstream.receives(POST_UP + CHUNKED + b"2\r\nab\r\n"),
        client.sends(b"1\r\nc\r\n1\r\nd\r\n0\r\nX: 1\r\nContent-Length: 9\r\n\r\n"),
        talk.upstream.receives(b"2\r\ncd\r\n0\r\nX: 1\r\n\r\n"),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.pooled(IDLE),
    )


async def test_an_early_answer_ends_the_upload(talk):
    """The answer is complete before the request is: neither connection can be used again."""
    client = await talk.start()
    answer = b"HTTP/1.1 403 Forbidden\r\n" + LENGTH % 2 + b"no"
    await talk(
        client.sends(POST + LENGTH % 400),
        talk.upstream.receives(POST_UP + LENGTH % 400),
        client.sends(b"a" * 100),
        talk.upstream.receives(b"a" * 100),
        talk.upstream.sends(answer),
        client.receives(answer),
        client.is_ended(),
        talk.upstream.is_closed(),
        client.says("<Downstream lingering requests=1>"),
        client.sends(b"a" * 300 + GET),
        client.hears_nothing(),
        talk.pooled(GONE),
        talk.logged("POST / 403"),
        client.closes(),
    )


async def test_an_upstream_that_answers_early_and_takes_no_more_is_cut(talk):
    """write_timeout: what it was sent in vain does not keep the connection for ever."""
    client = await talk.start(service(write_timeout=10_000))
    await talk(
        client.sends(POST + LENGTH % 400),
        talk.upstream.receives(POST_UP + LENGTH % 400),
        talk.upstream.chokes(),
        client.sends(b"a" * 100),
        talk.upstream.receives(b"a" * 100),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.is_ended(),
        talk.upstream.is_closed(),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=0>"),
        talk.passes(10.2),
        talk.upstream.is_aborted(),
        talk.pooled(GONE),
        client.is_closed(),
    )


async def test_an_answer_may_begin_before_the_request_has_ended(talk):
    """Both directions go on, and both connections are kept if both messages end."""
    client = await talk.start()
    await talk(
        client.sends(POST + CHUNKED + b"1\r\na\r\n"),
        talk.upstream.receives(POST_UP + CHUNKED + b"1\r\na\r\n"),
        talk.upstream.sends(HEAD + CHUNKED + b"1\r\nA\r\n"),
        client.receives(HEAD + CHUNKED + b"1\r\nA\r\n"),
        client.sends(b"1\r\nb\r\n"),
        talk.upstream.receives(b"1\r\nb\r\n"),
        talk.upstream.sends(b"1\r\nB\r\n"),
        client.receives(b"1\r\nB\r\n"),
        client.sends(b"0\r\n\r\n"),
        talk.upstream.receives(b"0\r\n\r\n"),
        talk.upstream.sends(b"0\r\n\r\n"),
        client.receives(b"0\r\n\r\n"),
        client.says("<Downstream idle requests=1>"),
        talk.pooled(IDLE),
    )


# --- backpressure, in four directions ------------------------------------------------------------------------


async def test_a_slow_client_holds_the_answer(talk):
    """The upstream is not read while the client does not take what came before."""
    client = await talk.start()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HEAD + LENGTH % 6 + b"ab"),
        client.receives(HEAD + LENGTH % 6 + b"ab"),
        client.slows(),
        talk.upstream.is_held(),
        talk.upstream.sends(b"cd", b"ef"),
        client.hears_nothing(),
        client.reads(),
        client.receives(b"cdef"),
        talk.upstream.is_read(),
        talk.pooled(IDLE),
    )


async def test_a_slow_client_is_no_slow_upstream(talk):
    """The upstream's read timeout does not run while it is not read."""
    client = await talk.start(service(read_timeout=10_000))
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(HEAD + LENGTH % 4 + b"ab"),
        client.receives(HEAD + LENGTH % 4 + b"ab"),
        client.slows(),
        talk.passes(50.0),
        talk.upstream.hears_nothing(),
        client.reads(),
        talk.passes(9.9),
        talk.upstream.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_aborted(),
        client.is_aborted(),
        talk.logged("GET / 200 read_timeout aborted"),
    )


async def test_a_client_that_is_slow_with_the_end_does_not_hold_the_connection(talk):
    """The upstream's connection goes to the next exchange, read as it must be."""
    client = await talk.start()
    other = talk.client()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        client.chokes(),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.is_read(),
        other.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        other.receives(OK),
        client.reads(),
        talk.pooled(IDLE),
    )


async def test_a_slow_upstream_holds_the_body(talk):
    """The client is not read while the upstream does not take what came before."""
    client = await talk.start()
    await talk(
        client.sends(POST + LENGTH % 4),
        talk.upstream.receives(POST_UP + LENGTH % 4),
        talk.upstream.slows(),
        client.is_held(),
        client.sends(b"abcd"),
        talk.upstream.hears_nothing(),
        talk.upstream.reads(),
        talk.upstream.receives(b"abcd"),
        client.is_read(),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_a_slow_upstream_has_its_time(talk):
    """write_timeout: 504, for the client has done its part."""
    client = await talk.start(service(write_timeout=10_000))
    await talk(
        client.sends(POST + LENGTH % 4),
        talk.upstream.receives(POST_UP + LENGTH % 4),
        talk.upstream.slows(),
        talk.passes(9.9),
        client.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_aborted(),
        client.receives(
            error(504, b"Gateway Timeout", b"The upstream server is timing out", b"Connection: close")
        ),
        client.is_ended(),
        talk.logged("POST / 504 write_timeout"),
        client.closes(),
    )


async def test_both_may_be_slow_at_once(talk):
    """One direction that is held does not let the other through."""
    client = await talk.start()
    await talk(
        client.sends(POST + CHUNKED + b"1\r\na\r\n"),
        talk.upstream.receives(POST_UP + CHUNKED + b"1\r\na\r\n"),
        talk.upstream.sends(HEAD + CHUNKED),
        client.receives(HEAD + CHUNKED),
        client.slows(),
        talk.upstream.slows(),
        talk.upstream.is_held(),
        client.is_held(),
        client.reads(),
        talk.upstream.is_read(),
        client.is_held(),
        talk.upstream.reads(),
        client.is_read(),
    )


# --- tunnels -------------------------------------------------------------------------------------------------

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
UPGRADE_UP = (
    b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nA: 1\r\n\r\n"


async def upgraded(talk, **more):
    """Open a tunnel."""
    client = await talk.start(service(**more))
    await talk(
        client.sends(UPGRADE),
        talk.upstream.receives(UPGRADE_UP),
        talk.upstream.sends(SWITCH),
        client.receives(SWITCH),
        client.says("<Downstream tunnel requests=1>"),
        talk.upstream.says("<UpstreamConnection tunnel requests=1>"),
    )
    assert talk.connections.tunnels == 1
    return client


async def test_bytes_go_both_ways_in_a_tunnel(talk):
    """Whatever they are; the upstream ends it, and both are closed."""
    client = await upgraded(talk)
    await talk(
        client.sends(b"\x81\0", b"GET / HTTP/1.1\r\n"),
        talk.upstream.receives(b"\x81\0GET / HTTP/1.1\r\n"),
        talk.upstream.sends(b"HTTP/1.1 200 OK\r\n\r\n"),
        client.receives(b"HTTP/1.1 200 OK\r\n\r\n"),
        talk.upstream.closes(),
        client.is_ended(),
        client.sends(b"more"),
        talk.upstream.receives(b"more"),
        client.closes(),
        talk.upstream.is_closed(),
        talk.pooled(GONE),
        talk.logged("GET / 101"),
    )
    assert talk.connections.tunnels == 0


async def test_a_client_may_end_a_tunnel_first(talk):
    """Its end is passed on, and the upstream may say the last word."""
    client = await upgraded(talk)
    await talk(
        client.closes(),
        talk.upstream.is_ended(),
        talk.upstream.sends(b"bye"),
        client.receives(b"bye"),
        talk.upstream.closes(),
        client.is_ended(),
        client.is_closed(),
        talk.pooled(GONE),
        talk.logged("GET / 101"),
    )


async def test_bytes_behind_the_switch_are_the_tunnels_first(talk):
    """Either side may begin in the same packet."""
    client = await talk.start()
    await talk(
        client.sends(UPGRADE + b"early"),
        talk.upstream.receives(UPGRADE_UP),
        talk.upstream.sends(SWITCH + b"first"),
        talk.upstream.receives(b"early"),
        client.receives(SWITCH, b"first"),
    )


async def test_backpressure_in_a_tunnel(talk):
    """Both ways."""
    client = await upgraded(talk)
    await talk(
        client.slows(),
        talk.upstream.is_held(),
        client.reads(),
        talk.upstream.is_read(),
        talk.upstream.slows(),
        client.is_held(),
        talk.upstream.reads(),
        client.is_read(),
    )


async def test_a_tunnel_in_which_nobody_speaks_is_closed(talk):
    """read_timeout is its idle time, and either side's bytes begin it anew."""
    client = await upgraded(talk, read_timeout=10_000)
    await talk(
        talk.passes(9.0),
        client.sends(b"a"),
        talk.upstream.receives(b"a"),
        talk.passes(9.0),
        talk.upstream.sends(b"b"),
        client.receives(b"b"),
        talk.passes(9.9),
        client.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_closed(),
        client.is_closed(),
        talk.logged("GET / 101"),
    )


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_reset_ends_a_tunnel(talk, who):
    """Whoever it is, the other one hears of it."""
    client = await upgraded(talk)
    if who == "client":
        await talk(client.resets(), talk.upstream.is_aborted(), talk.logged("GET / 101"))
    else:
        await talk(talk.upstream.resets(), client.is_closed(), talk.logged("GET / 101"))
    assert talk.connections.tunnels == 0


async def test_an_upstream_that_does_not_switch_answers(talk):
    """A handshake may be refused; the client's connection goes on with HTTP, the upstream's is not used again."""
    client = await talk.start()
    await talk(
        client.sends(UPGRADE),
        talk.upstream.receives(UPGRADE_UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says("<Downstream idle requests=1>"),
        talk.pooled(GONE),
        talk.upstream.is_closed(),
    )


@pytest.mark.parametrize(
    ("asks", "gets"),
    [(GET, UP), (UPGRADE, UPGRADE_UP)],
    ids=["unasked", "to another protocol"],
)
async def test_a_switch_that_was_not_asked_for_is_a_bad_answer(talk, asks, gets):
    """RFC 9110 section 15.2.2: nothing is tunnelled that the client did not offer."""
    client = await talk.start()
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    await talk(
        client.sends(asks),
        talk.upstream.receives(gets),
        talk.upstream.sends(switch + b"rubbish"),
        talk.upstream.is_aborted(),
        client.receives(
            error(502, b"Bad Gateway", b"An invalid response was received from the upstream server")
        ),
        client.says("<Downstream idle requests=1>"),
        talk.pooled(GONE),
        talk.logged("GET / 502 bad_response"),
    )
