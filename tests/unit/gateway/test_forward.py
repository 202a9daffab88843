"""Sending to an upstream: what is tried again, what is not, and what the client hears of each failure."""

from __future__ import annotations

import pytest
from conversation import GET, HANGS, OK, UP, error, service

from proxyd.errors import GatewayError, Kind

UNREACHABLE = b"An invalid response was received from the upstream server"
IDLE = "<Pool 10.0.0.1:80 open=1 idle=1>"
GONE = "<Pool 10.0.0.1:80 open=0 idle=0>"

# --- the failure matrix --------------------------------------------------------------------------------------

# What comes of a fault: the status, or "cut" where the answer had begun; how many tries it took; how many idle
# connections the pool has afterwards. The service allows two retries. A reused connection has carried one
# exchange before; with it, faults of connecting come behind a reset, and only where that is tried again.
#
# Read it so: where nothing was sent, anything is tried again. Where a connection was new, silence behind a
# request may be its doing. Where it was reused, the upstream has most likely closed it meanwhile, and what may
# be done twice is. Once a byte of an answer has come, nothing is.
MATRIX = """
fault                           connection  GET      PUT      POST     PATCH

refused                         new         502/3/0  502/3/0  502/3/0  502/3/0
refused once                    new         200/2/1  200/2/1  200/2/1  200/2/1
connect timeout                 new         504/3/0  504/3/0  504/3/0  504/3/0
connect failed                  new         502/3/0  502/3/0  502/3/0  502/3/0
TLS failure                     new         502/3/0  502/3/0  502/3/0  502/3/0
reset, then refused             reused      502/3/0  502/3/0  502/1/0  502/1/0
reset, then refused once        reused      200/3/1  200/3/1  502/1/0  502/1/0

reset before the answer         new         502/1/0  502/1/0  502/1/0  502/1/0
reset before the answer         reused      200/2/1  200/2/1  502/1/0  502/1/0
closed before the answer        new         502/1/0  502/1/0  502/1/0  502/1/0
closed before the answer        reused      200/2/1  200/2/1  502/1/0  502/1/0
reset within the body sent      new         -        502/1/0  502/1/0  502/1/0
reset within the body sent      reused      -        200/2/1  502/1/0  502/1/0

reset within the head           new         502/1/0  502/1/0  502/1/0  502/1/0
reset within the head           reused      502/1/0  502/1/0  502/1/0  502/1/0
closed within the head          new         502/1/0  502/1/0  502/1/0  502/1/0
closed within the head          reused      502/1/0  502/1/0  502/1/0  502/1/0
bad status line                 new         502/1/0  502/1/0  502/1/0  502/1/0
bad status line                 reused      502/1/0  502/1/0  502/1/0  502/1/0
two lengths                     new         502/1/0  502/1/0  502/1/0  502/1/0
too large a head                new         502/1/0  502/1/0  502/1/0  502/1/0

reset within the answer         new         cut/1/0  cut/1/0  cut/1/0  cut/1/0
reset within the answer         reused      cut/1/0  cut/1/0  cut/1/0  cut/1/0
closed within the answer        new         cut/1/0  cut/1/0  cut/1/0  cut/1/0
closed within the answer        reused      cut/1/0  cut/1/0  cut/1/0  cut/1/0
malformed chunk                 new         cut/1/0  cut/1/0  cut/1/0  cut/1/0

read timeout before the answer  new         504/1/0  504/1/0  504/1/0  504/1/0
read timeout before the answer  reused      504/1/0  504/1/0  504/1/0  504/1/0
read timeout within the head    new         504/1/0  504/1/0  504/1/0  504/1/0
read timeout within the answer  new         cut/1/0  cut/1/0  cut/1/0  cut/1/0
read timeout within the answer  reused      cut/1/0  cut/1/0  cut/1/0  cut/1/0

closed while idle               reused      200/1/1  200/1/1  200/1/1  200/1/1
reset while idle                reused      200/1/1  200/1/1  200/1/1  200/1/1
unasked bytes while idle        reused      200/1/1  200/1/1  200/1/1  200/1/1
end waiting in the kernel       reused      200/2/1  200/2/1  200/1/1  200/1/1
bytes behind the answer         new         200/1/0  200/1/0  200/1/0  200/1/0
bytes behind the answer         reused      200/1/0  200/1/0  200/1/0  200/1/0
"""
METHODS = ("GET", "PUT", "POST", "PATCH")
RETRIES = 2

DIALS = {
    "refused": [Kind.CONNECT_REFUSED] * 3,
    "refused once": [Kind.CONNECT_REFUSED],
    "connect timeout": [Kind.CONNECT_TIMEOUT] * 3,
    "connect failed": [Kind.CONNECT_FAILED] * 3,
    "TLS failure": [Kind.TLS_FAILED] * 3,
    "reset, then refused": [Kind.CONNECT_REFUSED] * 2,
    "reset, then refused once": [Kind.CONNECT_REFUSED],
}
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"


def idle_faults(talk):
    """Give what happens while a reused connection lies idle."""
    upstream = talk.upstream
    return {
        "closed while idle": [upstream.closes()],
        "reset while idle": [upstream.resets()],
        "unasked bytes while idle": [upstream.sends(OK), upstream.is_closed()],
        "end waiting in the kernel": [talk.passes(1.0), upstream.wakes()],
    }


def faults(talk):
    """Give what happens to the connection that carries the request."""
    upstream = talk.upstream
    return {
        "reset, then refused": [upstream.resets()],
        "reset, then refused once": [upstream.resets()],
        "reset before the answer": [upstream.resets()],
        "closed before the answer": [upstream.closes()],
        "reset within the body sent": [upstream.resets()],
        "reset within the head": [upstream.sends(BEGUN[:20]), upstream.resets()],
        "closed within the head": [upstream.sends(BEGUN[:20]), upstream.closes()],
        "bad status line": [upstream.sends(b"HTTP/1.1 2000 OK\r\n\r\n"), upstream.is_aborted()],
        "two lengths": [
            upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            upstream.is_aborted(),
        ],
        "too large a head": [upstream.sends(BEGUN[:-5] + b"A: " + b"x" * 33_000), upstream.is_aborted()],
        "reset within the answer": [upstream.sends(BEGUN), upstream.resets()],
        "closed within the answer": [upstream.sends(BEGUN), upstream.closes()],
        "malformed chunk": [
            upstream.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"x\r\n"),
            upstream.is_aborted(),
        ],
        "read timeout before the answer": [talk.passes(10.2), upstream.is_aborted()],
        "read timeout within the head": [
            upstream.sends(BEGUN[:20]),
            talk.passes(10.2),
            upstream.is_aborted(),
        ],
        "read timeout within the answer": [upstream.sends(BEGUN), talk.passes(10.2), upstream.is_aborted()],
        "bytes behind the answer": [upstream.sends(OK + b"HTTP/1.1 200 OK\r\n"), upstream.is_closed()],
        # The stale connection is left, for GET and PUT after a try.
        "end waiting in the kernel": [],
    }


def cells():
    """Take the table apart."""
    for line in filter(None, MATRIX.splitlines()[2:]):
        fault, connection, *outcomes = line[:32], *line[32:].split()
        for method, outcome in zip(METHODS, outcomes, strict=True):
            if outcome != "-":
                yield pytest.param(
                    fault.strip(), connection, method, outcome, id=f"{fault.strip()}, {connection}, {method}"
                )


def request(method):
    head = f"{method} / HTTP/1.1\r\nHost: h\r\n"
    return (head + ("\r\n" if method == "GET" else "Content-Length: 8\r\n\r\n")).encode()


@pytest.mark.parametrize(("fault", "connection", "method", "outcome"), list(cells()))
async def test_the_failure_matrix(talk, fault, connection, method, outcome):
    """Each fault, on new and reused connections, for each kind of method, is answered, tried again and recorded so."""
    client = await talk.start(service(retries=RETRIES, read_timeout=10_000))
    if connection == "reused":
        await talk(
            client.sends(GET), talk.upstream.receives(UP), talk.upstream.sends(OK), client.receives(OK), talk.logged("GET / 200"),
        )  # fmt: skip
    talk.dials = [GatewayError(kind) for kind in DIALS.get(fault, ())]
    await talk(*idle_faults(talk).get(fault, ()))
    body = b"" if method == "GET" else b"12345678"
    sent = body[:4] if "body sent" in fault else body
    client.transport.incoming(client.protocol.data_received, request(method) + sent)
    await talk.settle()
    if fault in faults(talk):
        talk.dialled[0].events.clear()
    client_events, client.events = client.events, []
    # Some cut the client, some answer it: what it hears is looked at below.
    for step in faults(talk).get(fault, ()):
        seen = step.run()
        await talk.settle()
        assert not seen, seen
    if fault == "end waiting in the kernel" and len(talk.dialled) == 1:
        await step_all(talk, talk.upstream.closes())
    client.transport.incoming(client.protocol.data_received, body[len(sent) :])
    await talk.settle()
    # A last try is answered.
    for end in talk.dialled:
        if repr(end.protocol).startswith("<UpstreamConnection waiting"):
            (_, again), *_ = end.events
            assert again.endswith(body)
            await step_all(talk, end.sends(OK))
    assert told(talk, [*client_events, *client.events]) == outcome
    (pool,) = talk.pools
    assert repr(pool) in {IDLE, GONE}


async def step_all(talk, *steps):
    for step in steps:
        step.run()
        await talk.settle()


def told(talk, events):
    """Return what came of it, in the table's form, and hold that the log and the client tell the same."""
    (record,) = talk.log.exchanges
    answered = b"".join(data for what, data in events if what == "receives")
    status = answered[9:12].decode()
    assert record.status == int(status)
    assert record.aborted == (("is_aborted", b"") in events)
    assert (record.error is None) == (status == "200" and not record.aborted)
    idle = repr(talk.pools[0])[-2]
    return f"{'cut' if record.aborted else status}/{record.tries}/{idle}"


# --- what is tried again -------------------------------------------------------------------------------------


def two_targets(**more):
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "host": "u", "routes": [{"name": "r", "paths": ["/"]}], **more}],
        "upstreams": [
            {"name": "u", "targets": [{"target": "10.0.0.1:80"}, {"target": "10.0.0.2:80"}]},
        ],
    }


async def test_another_target_is_tried(talk):
    """A target that refuses is left out as long as there are others."""
    client = await talk.start(two_targets(retries=3))
    for _ in range(10):
        talk.addresses.clear()
        talk.dials = [GatewayError(Kind.CONNECT_REFUSED)] * 4
        await talk(client.sends(GET), client.receives(error(502, b"Bad Gateway", UNREACHABLE)))
        assert len(talk.addresses) == 4
        assert set(talk.addresses[:2]) == {"10.0.0.1", "10.0.0.2"}


async def test_no_target_is_no_retry(talk):
    """Where nobody may be asked, nobody is."""
    config = two_targets()
    config["upstreams"][0]["targets"] = []
    client = await talk.start(config)
    await talk(
        client.sends(GET),
        client.receives(
            error(503, b"Service Unavailable", b"failure to get a peer from the ring-balancer"),
        ),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 503 no_target"),
    )


async def test_whatever_connecting_raises_the_client_has_an_answer(talk):
    """An error that nobody has foreseen is the gateway's own: 500, no further try, and nothing is left behind."""
    talk.dials = [ValueError("a name that no handshake takes")]
    client = await talk.start(service())
    await talk(
        client.sends(GET),
        client.receives(error(500, b"Internal Server Error", b"An unexpected error occurred")),
        talk.logged("GET / 500 internal"),
    )
    assert len(talk.addresses) == 1


async def test_no_retries(talk):
    """Retries 0: one try, however safe another would be."""
    talk.dials = [GatewayError(Kind.CONNECT_REFUSED)]
    client = await talk.start(service(retries=0))
    await talk(
        client.sends(GET),
        client.receives(error(502, b"Bad Gateway", UNREACHABLE)),
        talk.logged("GET / 502 connect_refused"),
    )


async def test_a_small_body_is_sent_again(talk):
    """PUT over a connection that went stale: what was sent is sent once more, and the rest behind it."""
    client = await talk.start()
    put = b"PUT / HTTP/1.1\r\nHost: %b\r\nContent-Length: 6\r\n\r\n"
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(put % b"h" + b"ab"),
        talk.upstream.receives(put % b"10.0.0.1" + b"ab"),
        client.sends(b"cd"),
        talk.upstream.receives(b"cd"),
        talk.upstream.resets(),
        talk.upstream[1].receives(put % b"10.0.0.1" + b"abcd"),
        client.sends(b"ef"),
        talk.upstream[1].receives(b"ef"),
        talk.upstream[1].sends(OK),
        client.receives(OK),
        talk.pooled(IDLE),
        talk.logged("GET / 200", "PUT / 200 tries=2"),
    )


async def test_a_large_body_is_not_sent_again(talk):
    """Beyond 16 KiB nothing is kept: 502, for what was sent is gone."""
    client = await talk.start()
    put = b"PUT / HTTP/1.1\r\nHost: %b\r\nContent-Length: 40000\r\n\r\n"
    piece = b"x" * 20_000
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(put % b"h" + piece),
        talk.upstream.receives(put % b"10.0.0.1" + piece),
        talk.upstream.resets(),
        client.receives(error(502, b"Bad Gateway", UNREACHABLE, b"Connection: close")),
        client.is_ended(),
        talk.logged("GET / 200", "PUT / 502 reset"),
        client.closes(),
    )


async def test_a_body_is_held_back_while_the_next_try_is_dialled(talk):
    """What a client sends meanwhile is neither lost nor piled up."""
    client = await talk.start()
    put = b"PUT / HTTP/1.1\r\nHost: %b\r\nContent-Length: 6\r\n\r\n"
    await talk(client.sends(GET), talk.upstream.receives(UP), talk.upstream.sends(OK), client.receives(OK))
    talk.dials = [HANGS]
    await talk(
        client.sends(put % b"h" + b"ab"),
        talk.upstream.receives(put % b"10.0.0.1" + b"ab"),
        talk.upstream.resets(),
        client.is_held(),
    )


@pytest.mark.parametrize("body", [b"", b"Content-Length: 2\r\n"], ids=["no body", "a body that has come"])
async def test_a_client_that_goes_away_during_a_retry_is_noticed(talk, body):
    """A client whose request is complete is read while the next try is dialled, so that its end is seen."""
    client = await talk.start()
    put = b"PUT / HTTP/1.1\r\nHost: %b\r\n" + body + b"\r\n" + (b"hi" if body else b"")
    await talk(client.sends(GET), talk.upstream.receives(UP), talk.upstream.sends(OK), client.receives(OK))
    talk.dials = [HANGS]
    await talk(
        client.sends(put % b"h"),
        talk.upstream.receives(put % b"10.0.0.1"),
        talk.upstream.resets(),
        client.is_read(),
        client.closes(),
        talk.logged("GET / 200", "PUT / 499 tries=2 aborted"),
    )
    assert repr(talk.tasks) == "<Tasks running=0>"


async def test_an_interim_answer_is_no_answer(talk):
    """A reused connection that ends behind a 1xx is tried again like any other that went stale."""
    client = await talk.start()
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(hints),
        client.receives(hints),
        talk.upstream.closes(),
        talk.upstream[1].receives(UP),
        talk.upstream[1].sends(OK),
        client.receives(OK),
        talk.logged("GET / 200", "GET / 200 tries=2"),
    )


# --- times ---------------------------------------------------------------------------------------------------


async def test_the_answer_is_waited_for_from_the_end_of_the_request(talk):
    """read_timeout does not run while the client still sends its body."""
    client = await talk.start(service(read_timeout=10_000))
    post = b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: 2\r\n\r\n"
    await talk(
        client.sends(post % b"h"),
        talk.upstream.receives(post % b"10.0.0.1"),
        talk.passes(30.0),
        client.sends(b"h"),
        talk.upstream.receives(b"h"),
        talk.passes(30.0),
        client.sends(b"i"),
        talk.upstream.receives(b"i"),
        talk.passes(9.9),
        talk.upstream.hears_nothing(),
        talk.passes(0.2),
        talk.upstream.is_aborted(),
        client.receives(error(504, b"Gateway Timeout", b"The upstream server is timing out")),
        client.says("<Downstream idle requests=1>"),
    )


async def test_every_byte_of_an_answer_begins_its_time_anew(talk):
    """read_timeout is between two reads, not for the whole answer."""
    client = await talk.start(service(read_timeout=10_000))
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.passes(9.0),
        talk.upstream.sends(OK[:10]),
        talk.passes(9.0),
        talk.upstream.sends(OK[10:-1]),
        client.receives(OK[:-1]),
        talk.passes(9.0),
        talk.upstream.sends(OK[-1:]),
        client.receives(OK[-1:]),
        talk.logged("GET / 200"),
    )


async def test_a_retry_has_times_of_its_own(talk):
    """read_timeout counts from the last try's request."""
    client = await talk.start(service(read_timeout=10_000))
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.passes(9.0),
        talk.upstream.resets(),
        talk.upstream[1].receives(UP),
        talk.passes(9.0),
        talk.upstream[1].sends(OK),
        client.receives(OK),
    )


# --- the head that goes up -----------------------------------------------------------------------------------


async def test_host_is_the_upstreams_or_the_clients(talk):
    """preserve_host; the path as the service and strip_path make it."""
    config = service()
    config["services"][0] |= {
        "url": "http://10.0.0.1/base",
        "routes": [
            {"name": "kept", "paths": ["/kept"], "preserve_host": True, "strip_path": False},
            {"name": "stripped", "paths": ["/stripped"]},
        ],
    }
    client = await talk.start(config)
    await talk(
        client.sends(b"GET /kept/a?b HTTP/1.1\r\nHost: H.example:81\r\n\r\n"),
        talk.upstream.receives(b"GET /base/kept/a?b HTTP/1.1\r\nHost: h.example:81\r\n\r\n"),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.sends(b"GET /stripped/a?b HTTP/1.1\r\nHost: h\r\n\r\n"),
        talk.upstream.receives(b"GET /base/a?b HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


async def test_a_client_that_takes_trailers_says_so_to_the_upstream(talk):
    """RFC 9110 section 6.5.1: TE is of each hop, and the gateway takes trailers for those that do."""
    client = await talk.start()
    await talk(
        client.sends(GET[:-2] + b"Connection: TE\r\nTE: trailers, gzip\r\n\r\n"),
        talk.upstream.receives(UP[:-2] + b"Connection: TE\r\nTE: trailers\r\n\r\n"),
    )
