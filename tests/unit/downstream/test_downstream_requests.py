"""A client's connection: one request after the other, each answered in its turn."""

from __future__ import annotations

import pytest
from conversation import GET, NO_ROUTE, OK, UP, Step, error, service

NOWHERE = b"GET /x HTTP/1.1\r\nHost: nowhere\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BAD = error(400, b"Bad Request", b"Bad request", b"Connection: close")
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
IDLE = "<Downstream idle requests={}>"


def get(path):
    return b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % path


def up(path):
    return b"GET /%b HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n" % path


def only(host="h"):
    """Make a configuration whose one route is of one host."""
    return service(routes=[{"name": "r", "hosts": [host]}])


async def test_a_request_and_its_answer(talk):
    """The way of a plain request, and the connection afterwards."""
    client = await talk.start()
    await talk(
        client.says("<Downstream idle requests=0>"),
        client.sends(GET),
        client.says("<Downstream answering requests=1>"),
        talk.upstream.receives(UP),
        talk.upstream.says("<UpstreamConnection waiting requests=1>"),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says(IDLE.format(1)),
        talk.upstream.says("<UpstreamConnection idle requests=1>"),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
        talk.logged("GET / 200"),
    )


async def test_connections_are_kept_on_both_sides(talk):
    """A second request goes over the same two connections."""
    client = await talk.start()
    for number in range(1, 4):
        await talk(
            client.sends(GET),
            talk.upstream.receives(UP),
            talk.upstream.sends(OK),
            client.receives(OK),
            client.says(IDLE.format(number)),
            talk.upstream.says(f"<UpstreamConnection idle requests={number}>"),
        )
    assert len(talk.dialled) == 1


async def test_a_request_may_come_byte_by_byte(talk):
    """How the network cuts a conversation changes nothing in it."""
    client = await talk.start()
    await talk(
        client.sends(*[GET[at : at + 1] for at in range(len(GET))]),
        talk.upstream.receives(UP),
        talk.upstream.sends(*[OK[at : at + 1] for at in range(len(OK))]),
        client.receives(OK),
        client.says(IDLE.format(1)),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
    )


# --- pipelining ----------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(talk):
    """RFC 9112 section 9.3.2: each goes up when the one before has been answered."""
    client = await talk.start()
    await talk(
        client.sends(get(b"a") + get(b"b") + get(b"c")[:-10]),
        talk.upstream.receives(up(b"a")),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(up(b"b")),
        client.sends(get(b"c")[-10:]),
        talk.upstream.hears_nothing(),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(up(b"c")),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says(IDLE.format(3)),
        talk.logged("GET /a 200", "GET /b 200", "GET /c 200"),
    )
    assert len(talk.dialled) == 1


async def test_a_request_behind_a_body_is_the_next(talk):
    """The end of a body, with a length or in chunks, is the beginning of the next request."""
    client = await talk.start()
    sized = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    await talk(
        client.sends(sized + chunked + GET),
        talk.upstream.receives(b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: 2\r\n\r\nhi"),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(
            b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.logged("POST / 200", "POST / 200", "GET / 200"),
    )


async def test_ten_thousand_pipelined_requests_do_not_recurse(talk):
    """Requests in one buffer that the gateway answers itself are worked off one after the other."""
    client = await talk.start(only(), keepalive_requests=20_000)
    client.transport.incoming(client.protocol.data_received, NOWHERE * 10_000)
    ((_, answers),) = client.events
    client.events.clear()
    assert answers.count(b"HTTP/1.1 404 Not Found\r\n") == 10_000
    await talk(client.says(IDLE.format(10_000)), talk.logged(*["GET /x 404"] * 10_000))


async def test_thousands_of_pipelined_requests_go_up_one_by_one(talk):
    """Requests in one buffer that go to an upstream are worked off as their answers come."""
    client = await talk.start(keepalive_requests=20_000)
    client.transport.incoming(client.protocol.data_received, GET * 3_000)
    await talk.settle()
    (upstream,) = talk.dialled
    for _ in range(3_000):
        assert [event[0] for event in upstream.events] == ["receives"]
        upstream.events.clear()
        upstream.protocol.data_received(OK)
    await talk(
        client.receives(OK * 3_000), client.says(IDLE.format(3_000)), talk.logged(*["GET / 200"] * 3_000)
    )


async def test_what_a_client_sends_ahead_is_limited(talk):
    """Beyond 64 KiB of requests to come, reading stops until those before are answered."""
    client = await talk.start()
    large = b"GET / HTTP/1.1\r\nHost: h\r\nA: %b\r\n\r\n" % (b"x" * 20_000)
    large_up = large.replace(b"Host: h", b"Host: 10.0.0.1")
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        client.sends(large * 3),
        client.is_read(),
        client.sends(large),
        client.is_held(),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(large_up),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.is_read(),
        talk.upstream.receives(large_up),
    )


async def test_a_client_that_does_not_read_is_not_worked_for(talk):
    """Pipelined requests wait until the client takes the answers that it has asked for."""
    client = await talk.start(only(), keepalive_requests=5000)
    await talk(
        client.slows(),
        client.sends(NOWHERE * 5),
        client.hears_nothing(),
        client.sends(NOWHERE * 2_000),
        client.is_held(),
        client.reads(),
        client.receives(NO_ROUTE * 2_005),
        client.is_read(),
        talk.logged(*["GET /x 404"] * 2_005),
    )


# --- what the client says of its connection ------------------------------------------------------------------


async def test_the_last_request_closes_the_connection(talk):
    """RFC 9112 section 9.6: the answer says so too, and the connection is closed behind it."""
    client = await talk.start()
    await talk(
        client.sends(CLOSING),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
    )


async def test_nothing_behind_the_last_request_is_read(talk):
    """RFC 9112 section 9.6: what follows Connection: close is no request."""
    client = await talk.start()
    await talk(
        client.sends(CLOSING + GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_ended(),
        client.says("<Downstream lingering requests=1>"),
        client.sends(GET),
        client.closes(),
        talk.logged("GET / 200"),
    )


@pytest.mark.parametrize(
    ("asks", "answers", "kept"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"Connection: keep-alive\r\n", True),
    ],
)
async def test_http_1_0_persists_only_if_asked(talk, asks, answers, kept):
    """RFC 9112 section 9.3: and the answer confirms it."""
    client = await talk.start()
    await talk(
        client.sends(asks),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK.replace(b"\r\n\r\n", b"\r\n" + answers + b"\r\n")),
        *([] if kept else [client.is_closed()]),
    )


async def test_a_connection_has_so_many_requests(talk):
    """keepalive_requests: the last answer says that it is."""
    client = await talk.start(keepalive_requests=2)
    await talk(
        client.sends(GET * 2),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
    )


async def test_a_draining_process_closes_behind_each_answer(talk):
    """A process that stops takes no further request, and says so."""
    client = await talk.start()
    talk.connections.draining = True
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
    )


# --- rubbish -------------------------------------------------------------------------------------------------


async def test_rubbish_is_answered_logged_and_hung_up_on(talk):
    """Anything doubtful is a 400 and a closed connection, and one line in the log."""
    client = await talk.start()
    await talk(
        client.sends(b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n" + GET),
        client.receives(BAD),
        client.is_ended(),
        client.says("<Downstream lingering requests=1>"),
        talk.logged("- - 400 repeated host"),
        client.sends(GET),
        client.closes(),
    )
    assert talk.dialled == []


async def test_rubbish_behind_a_request_is_refused_in_its_turn(talk):
    """What stood before it is answered first."""
    client = await talk.start()
    await talk(
        client.sends(GET + b"\0"),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK, BAD),
        client.is_ended(),
        talk.logged("GET / 200", "- - 400 not HTTP"),
        client.closes(),
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/2.0\r\n\r\n", b"HTTP/1.1 505 HTTP Version Not Supported\r\n"),
        (b"GET /" + b"a" * 9000, b"HTTP/1.1 414 "),
        (GET[:-2] + b"A: " + b"a" * 33_000, b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 501 Not Implemented\r\n"),
        (b"\x16\x03\x01\x02\x00", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"GET / HTTP/1.1\nHost: h\n\n", b"HTTP/1.1 400 Bad Request\r\n"),
    ],
)
async def test_each_refusal_has_its_status(talk, sent, status):
    """The status that the codec chooses reaches the client."""
    client = await talk.start()
    client.transport.incoming(client.protocol.data_received, sent)
    assert client.events[0][1].startswith(status)
    assert client.events[1:] == [("is_ended", b"")]
    assert len(talk.log.exchanges) == 1


async def test_lingering_has_its_bytes(talk):
    """A client that goes on sending behind a refusal is read away for 256 KiB and no longer."""
    client = await talk.start()
    await talk(
        client.sends(b"\0"),
        client.receives(BAD),
        client.is_ended(),
        client.sends(b"x" * 255 * 1024),
        client.hears_nothing(),
        client.sends(b"x" * 1024),
        client.is_closed(),
    )


async def test_an_empty_line_between_requests_is_read_over(talk):
    """RFC 9112 section 2.2: some clients send one behind a body."""
    client = await talk.start()
    await talk(
        client.sends(b"\r\n" + GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(b"\r\n"),
        client.hears_nothing(),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


# --- how many there may be -----------------------------------------------------------------------------------


async def test_a_new_client_takes_the_place_of_an_idle_one(talk):
    """worker_connections: the oldest idle connection makes room."""
    first = await talk.start(only(), worker_connections=2)
    await talk(first.sends(NOWHERE), first.receives(NO_ROUTE))
    talk.client()
    await talk()
    third = talk.client()
    await talk(first.is_closed(), third.says(IDLE.format(0)))
    assert (talk.connections.accepted, talk.connections.refused) == (3, 0)


async def test_a_new_client_is_refused_where_all_are_busy(talk):
    """worker_connections: nobody who is being answered is hung up on."""
    first = await talk.start(worker_connections=1)
    await talk(first.sends(GET), talk.upstream.receives(UP))
    second = talk.client()
    await talk(second.is_aborted(), talk.upstream.sends(OK), first.receives(OK))
    assert (talk.connections.accepted, talk.connections.refused, len(talk.connections)) == (2, 1, 1)


async def test_a_client_that_owes_its_head_makes_room_before_an_idle_one(talk):
    """worker_connections: who has been slow with a head for a second goes first, and the oldest of them."""
    idle = await talk.start(only(), worker_connections=3, client_header_timeout=10.0)
    await talk(idle.sends(NOWHERE), idle.receives(NO_ROUTE))
    slow, slower = talk.client(), talk.client()
    await talk(slow.sends(b"GET / HT"), talk.passes(1.5))
    talk.client()
    await talk(slow.is_closed())
    talk.client()
    await talk(slower.is_closed(), idle.says(IDLE.format(1)))
    talk.client()
    await talk(idle.is_closed())


async def test_a_client_that_has_only_just_come_makes_room_last(talk):
    """worker_connections: where nobody is idle or slow, the oldest of the new ones goes."""
    first = await talk.start(worker_connections=2)
    second = talk.client()
    third = talk.client()
    await talk(first.is_closed(), third.sends(GET), talk.upstream.receives(UP), second.says(IDLE.format(0)))


async def test_an_idle_connection_is_closed_after_its_grace(talk):
    """One that has been answered and one that never asked alike; what is being answered is finished."""
    idle = await talk.start()
    used, busy = talk.client(), talk.client()
    await talk(
        used.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        used.receives(OK),
        busy.sends(GET),
        talk.upstream.receives(UP),
    )
    talk.connections.draining = True
    talk.connections.dismiss(1.0)
    await talk(
        talk.passes(0.9),
        idle.hears_nothing(),
        used.hears_nothing(),
        talk.passes(0.3),
        idle.is_closed(),
        used.is_closed(),
        talk.upstream.sends(OK),
        busy.receives(LAST),
        busy.is_closed(),
    )
    await talk.connections.gone()


async def test_a_request_within_the_grace_is_answered(talk):
    """Its client could not know; the answer tells it, and the connection is closed behind it."""
    client = await talk.start()
    talk.connections.draining = True
    talk.connections.dismiss(1.0)
    await talk(
        talk.passes(0.9),
        client.sends(GET),
        talk.passes(5.0),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
    )


async def test_a_connection_that_was_promised_another_request_has_it(talk):
    """A head that said keep-alive was out before the drain: what follows its body is answered, and is the last."""
    client = await talk.start()
    await talk(
        client.sends(GET), talk.upstream.receives(UP), talk.upstream.sends(OK[:-1]), client.receives(OK[:-1])
    )
    talk.connections.draining = True
    talk.connections.dismiss(1.0)
    await talk(
        talk.upstream.sends(OK[-1:]),
        client.receives(OK[-1:]),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
    )


async def test_without_grace_the_idle_are_closed_at_once(talk):
    """As after a second signal."""
    idle = await talk.start()
    talk.connections.draining = True
    talk.connections.dismiss(0.0)
    await talk(idle.is_closed())


async def test_a_request_that_the_kernel_has_is_waited_for(talk):
    """An idle connection whose time is over is not closed over bytes that the loop has not read yet."""
    client = await talk.start()
    talk.connections.draining = True
    talk.connections.dismiss(1.0)
    await talk(
        client.wakes(),
        talk.passes(1.2),
        client.hears_nothing(),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(LAST),
        client.is_closed(),
    )


async def test_a_drain_ends_streams_of_events(talk):
    """Their clients open them anew, elsewhere; any other answer goes on, and a slow client gets what was sent."""
    streaming = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n%b"
    events, plain = (streaming % (kind, b"5\r\n: hi\n\r\n") for kind in (b"text/event-stream", b"text/plain"))
    client = await talk.start()
    other = talk.client()
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(events),
        client.receives(events),
        other.sends(GET),
        talk.upstream[1].receives(UP),
        talk.upstream[1].sends(plain),
        other.receives(plain),
        Step("the process is about to end", talk.connections.leave),
        client.receives(b"0\r\n\r\n"),
        client.is_closed(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 200"),
        talk.upstream[1].sends(b"0\r\n\r\n"),
        other.receives(b"0\r\n\r\n"),
        Step("again", talk.connections.leave),
    )


async def test_what_is_left_of_a_drain_is_cut(talk):
    """An end has to come, and each exchange is logged nevertheless."""
    client = await talk.start()
    await talk(client.sends(GET), talk.upstream.receives(UP))
    await talk.connections.abort()
    await talk(client.is_aborted(), talk.upstream.is_aborted(), talk.logged("GET / 499 aborted"))
