"""What holds of every conversation, whatever either side says or does, and whenever."""

from __future__ import annotations

import asyncio

from conversation import GET, HANGS, OK, Talk, service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyd.errors import GatewayError, Kind

POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

ASKS = [
    GET,
    GET * 3,
    GET[:20],
    GET[20:],
    b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n",
    POST + b"Content-Length: 4\r\n\r\n",
    POST + b"Content-Length: 4\r\n\r\nbody",
    POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    POST + b"Content-Length: 900\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n",
    b"4\r\nbody\r\n",
    b"0\r\n\r\n",
    b"body",
    GET[:-2] + UPGRADE + KEY,
    b"x" * 70_000,
    b"\r\n",
    b"\0",
]
ANSWERS = [
    OK,
    OK * 2,
    OK[:10],
    OK[10:],
    OK[:-1],
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"4\r\nbody\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"rubbish\r\n",
]
FAILURES = [GatewayError(kind) for kind in (Kind.CONNECT_REFUSED, Kind.TLS_FAILED, Kind.CONNECT_TIMEOUT)]
ROUNDS = 80  # of waiting: a script has at most 25 times 3 requests, each with a timeout
BEHAVIOUR = ["closes", "resets", "slows", "chokes", "reads"]

actions = st.one_of(
    st.tuples(st.just("client"), st.sampled_from(ASKS)),
    st.tuples(st.just("upstream"), st.sampled_from(ANSWERS)),
    st.tuples(st.just("upstream"), st.just(OK)),
    st.tuples(st.just("client"), st.sampled_from(BEHAVIOUR)),
    st.tuples(st.just("upstream"), st.sampled_from(BEHAVIOUR)),
    st.tuples(st.just("dial"), st.sampled_from([*FAILURES, HANGS])),
    st.tuples(st.just("time"), st.sampled_from([0.1, 6.0, 11.0, 61.0])),
    st.tuples(st.just("connect"), st.none()),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, max_size=25), st.booleans())
def test_nothing_is_lost_in_any_conversation(script, settled):
    """Each request is recorded exactly once, nothing crashes, and nobody's connection is left behind."""
    asyncio.run(converse(script, settled=settled))


async def converse(script, *, settled):
    talk = Talk()
    begun = 0
    try:
        await talk.start(
            service(retries=2, read_timeout=10_000, write_timeout=10_000),
            client_max_body_size=500,
            client_header_timeout=10.0,
            client_body_timeout=10.0,
            send_timeout=10.0,
            keepalive_timeout=10.0,
        )
        for who, what in script:
            act(talk, who, what)
            if settled:
                await talk.settle()
        await talk.settle()
        # Time ends what nobody ends, tunnels included.
        for end in [*talk.clients, *talk.dialled]:
            end.transport.choking = False
        for _ in range(ROUNDS):
            talk.loop.advance(130.0)
            await talk.settle()
            begun = sum(end.protocol.requests for end in talk.clients)
            if len(talk.log.exchanges) == begun - len(talk.tasks._running):
                break
        assert talk.crashes == []
        assert len(talk.log.exchanges) == begun - len(talk.tasks._running)
        for exchange in talk.log.exchanges:
            assert exchange.ended
            assert exchange.status
    finally:
        await talk.stop()
    assert talk.crashes == []
    assert len(talk.log.exchanges) == begun
    assert len({id(one) for one in talk.log.exchanges}) == begun


def act(talk, who, what):
    if who == "time":
        talk.loop.advance(what)
    elif who == "dial":
        talk.dials.append(what)
    elif who == "connect":
        talk.client()
    else:
        ends = talk.clients if who == "client" else talk.dialled
        if not ends:
            return
        end = ends[-1]
        if isinstance(what, bytes):
            end.transport.incoming(end.protocol.data_received, what)
        elif not end.transport.lost and (what == "reads") == end.transport.blocked:
            getattr(end, what)().run()
