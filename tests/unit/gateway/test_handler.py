"""From a head to its answer: what is answered before anything is forwarded."""

from __future__ import annotations

import pytest
from conversation import GET, NO_ROUTE, OK, UP, plain, service

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def told(status, reason, message, *lines):
    """Make an answer in JSON."""
    body = b'{\n  "message":"%b",\n  "request_id":"<id>"\n}' % message
    fields = b"".join(
        line + b"\r\n"
        for line in (*lines, b"Content-Type: application/json; charset=utf-8", b"Content-Length: %d" % (len(body) + 28))
    )  # fmt: skip
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, fields, body)


def routed(**more):
    return service(routes=[{"name": "r", "paths": ["/"], **more}])


async def test_no_route_matches(talk):
    """404, as Kong says it, and the connection is kept."""
    client = await talk.start(routed(hosts=["other"]))
    await talk(
        client.sends(GET),
        client.receives(NO_ROUTE),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 404"),
    )


async def test_an_answer_to_head_has_no_body(talk):
    """RFC 9110 section 9.3.2: but the length that it would have."""
    client = await talk.start(routed(hosts=["other"]))
    await talk(
        client.sends(GET.replace(b"GET", b"HEAD")),
        client.receives(NO_ROUTE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"),
        talk.logged("HEAD / 404"),
    )


async def test_a_route_without_a_service(talk):
    """503, unless a plugin answers."""
    config = {"_format_version": "3.0", "routes": [{"name": "r", "paths": ["/"]}]}
    client = await talk.start(config)
    await talk(
        client.sends(GET),
        client.receives(told(503, b"Service Unavailable", b"no Service found with those values")),
    )


# --- https only ----------------------------------------------------------------------------------------------


async def test_plain_requests_are_told_to_use_tls(talk):
    """426 with what to upgrade to (RFC 9110 section 15.5.22)."""
    client = await talk.start(routed(protocols=["https"]))
    await talk(
        client.sends(GET),
        client.receives(
            told(
                426,
                b"Upgrade Required",
                b"Please use HTTPS protocol",
                b"Connection: Upgrade",
                b"Upgrade: TLS/1.2, HTTP/1.1",
            )
        ),
    )


@pytest.mark.parametrize(
    ("host", "place"),
    [(b"h", b"h"), (b"h:8000", b"h"), (b"[::1]", b"[::1]"), (b"[::1]:8000", b"[::1]")],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_plain_requests_are_sent_to_tls(talk, status, host, place):
    """https_redirect_status_code: the same place, without the port of the plain one."""
    client = await talk.start(routed(protocols=["https"], https_redirect_status_code=status))
    client.transport.incoming(
        client.protocol.data_received, b"GET /a?b=c HTTP/1.1\r\nHost: %b\r\n\r\n" % host
    )
    ((_, answer),) = client.events
    client.events.clear()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nLocation: https://%b/a?b=c\r\n" % place in answer


# --- WebSocket handshakes: RFC 6455 section 4.2.1 ------------------------------------------------------------


def handshake(method=b"GET", version=b"13", key=KEY):
    lines = b"Sec-WebSocket-Version: %b\r\nSec-WebSocket-Key: %b\r\n" % (version, key)
    return b"%b / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n" % (
        method,
        lines,
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (handshake(b"PUT"), b"400 Bad Request"),
        (handshake(version=b"8"), b"426 Upgrade Required"),
        (handshake(version=b""), b"426 Upgrade Required"),
        (handshake(key=b""), b"400 Bad Request"),
        (handshake(key=b"c2hvcnQ="), b"400 Bad Request"),
        (handshake(key=b"!" + KEY[1:]), b"400 Bad Request"),
    ],
)
async def test_a_bad_handshake_is_refused(talk, sent, status):
    """Before anybody upstream hears of it."""
    client = await talk.start()
    client.transport.incoming(client.protocol.data_received, sent)
    ((_, answer),) = client.events
    client.events.clear()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert (b"\r\nSec-WebSocket-Version: 13\r\n" in answer) == status.startswith(b"426")
    assert talk.dialled == []


async def test_an_unknown_upgrade_is_ignored(talk):
    """RFC 9110 section 7.8: the request goes on as if it had not asked."""
    client = await talk.start()
    await talk(
        client.sends(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
    )


# --- ids and traces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "trusted", "kept"),
    [
        (b"abc-123_X", True, True),
        (b"abc-123_X", False, False),
        (b"with space", True, False),
        (b"a" * 128, True, True),
        (b"a" * 129, True, False),
        (b"\xe9", True, False),
        (b"", True, False),
    ],
)
async def test_a_request_id_is_kept_from_trusted_proxies(talk, given, trusted, kept):
    """X-Kong-Request-Id: from the others, and where it is odd, there is a new one."""
    client = await talk.start(
        headers="X-Kong-Request-Id",
        headers_upstream="X-Kong-Request-Id",
        trusted_ips="192.0.2.1" if trusted else "",
    )
    client.transport.incoming(
        client.protocol.data_received, GET[:-2] + b"X-Kong-Request-Id: %b\r\n\r\n" % given
    )
    await talk.settle()
    await talk_of(talk, client)
    (exchange,) = talk.log.exchanges
    assert (exchange.request_id == given.decode("latin-1")) is kept
    assert exchange.request_id
    sent = talk.dialled[0].events[0][1]
    assert sent.lower().count(b"x-kong-request-id:") == 1
    assert b"\r\nX-Kong-Request-Id: %b\r\n" % exchange.request_id.encode() in sent
    assert b"\r\nX-Kong-Request-Id: %b\r\n" % exchange.request_id.encode() in client.events[0][1]


async def talk_of(talk, client):
    """Have the upstream answer."""
    end = talk.dialled[0]
    end.transport.incoming(end.protocol.data_received, OK)
    await talk.settle()
    assert plain(client.events[0][1]).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("trace", "passed"),
    [
        (b"traceparent: " + TRACE + b"\r\ntracestate: a=b\r\n", b"traceparent: " + TRACE + b"\r\ntracestate: a=b\r\n"),
        (b"traceparent: rubbish\r\ntracestate: a=b\r\n", b""),
    ],
)  # fmt: skip
async def test_a_trace_is_passed_on_as_it_came_or_not_at_all(talk, trace, passed):
    """W3C Trace Context section 4.3: a malformed one takes its state with it."""
    client = await talk.start()
    await talk(
        client.sends(GET[:-2] + trace + b"\r\n"),
        talk.upstream.receives(UP[:-2] + passed + b"\r\n"),
    )


async def test_a_reload_does_not_touch_what_is_under_way(talk):
    """An exchange keeps the generation that it began with; the next one has the new."""
    client = await talk.start()
    handler, old = talk.handler, talk.handler.snapshot
    empty = type(old.router)([])
    await talk(client.sends(GET), talk.upstream.receives(UP))
    handler.snapshot = type(old)(2, "", empty, (), (), old.balancers)
    assert repr(handler) == "<Handler <Snapshot 2 routes=0 plugins=0>>"
    await talk(talk.upstream.sends(OK), client.receives(OK), client.sends(GET), client.receives(NO_ROUTE))
