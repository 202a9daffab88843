"""Each hostile request of the corpus through a running gateway: refused, or one request that nobody reads otherwise.

What the origin received is taken apart by h11, which knows nothing of our parser. Behind each case comes a plain
request on the same connection, and one on another, so that neither side is left out of step.
"""

from __future__ import annotations

import contextlib

import pytest
from e2e_gateway import config_for
from e2e_recorder import Recorder
from hostile_corpus import REQUESTS

MARKER = b"GET /marker HTTP/1.1\r\nHost: m\r\n\r\n"
HOP = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
}
OURS = {("connection", b"TE"), ("te", b"trailers"), ("connection", b"Upgrade"), ("upgrade", b"websocket")}


def config(port):
    """One route to the origin, one that keeps Host, one that answers without reading, one that asks for a key."""
    closed = {"name": "request-termination", "config": {"status_code": 403}}
    document = config_for(
        port, consumers=[{"username": "friend", "keyauth_credentials": [{"key": "opensesame"}]}]
    )
    document["services"][0]["routes"] = [
        {"name": "main", "paths": ["/"], "strip_path": False},
        {"name": "host", "paths": ["/host"], "strip_path": False, "preserve_host": True},
        {"name": "closed", "paths": ["/closed"], "strip_path": False, "plugins": [closed]},
        {"name": "keyed", "paths": ["/keyed"], "strip_path": False, "plugins": [{"name": "key-auth"}]},
    ]
    return document


@pytest.fixture
async def stage(gateway, origin, raw):
    """Give a gateway before a recording origin, and what opens connections to it."""
    recorder = Recorder()
    upstream = await origin(recorder)
    proxy = await gateway(config(upstream.port), proxy_access_log="off")
    return recorder, lambda: raw(proxy.port)


async def final(client, start):
    """Read one answer, and over what came before it."""
    while (answer := await client.head()).status < 200:
        pass
    return answer if start.startswith("HEAD ") else await client.body(answer)


def check(wanted, received):
    """Compare what was received with what was meant, and see that nothing in it can be read in two ways."""
    assert received.start == wanted.start
    assert received.body == wanted.body
    assert received.trailers == [(name.lower(), value) for name, value in wanted.trailers]
    names = [name for name, _ in received.headers]
    assert names.count("host") == 1
    chunked = received.all("transfer-encoding")
    assert len(received.all("content-length")) + len(chunked) <= 1
    assert chunked in ([], [b"chunked"])
    assert [
        pair for pair in received.headers if pair[0] in HOP - {"transfer-encoding"} and pair not in OURS
    ] == []
    for name, value in wanted.has:
        assert (name, received.all(name)) == (name, [value])
    for name in wanted.counts:
        assert (name, len(received.all(name))) == (name, 1)
    for name in wanted.lacks:
        assert (name, received.all(name)) == (name, [])


async def converse(case, client, recorder, pieces):
    """Send a case and the marker behind it, and hold every answer against the verdict."""
    before = len(recorder.whole)
    wanted = iter(case.sent)
    with contextlib.suppress(ConnectionError):  # refused before all of it is out
        if case.steps[0][0] == "nothing":
            await client.send(*pieces)
            client.half_close()
        else:
            await client.send(*pieces[:-1], pieces[-1] + MARKER)
    expected = []
    for word, status, closed in case.steps:
        if word == "nothing":
            assert await client.rest() == b""
            break
        if word == "forwarded":
            expected.append(next(wanted))
        answer = await final(client, expected[-1].start if word == "forwarded" else "")
        assert answer.status == (status or 200)
        assert answer.all("x-seen") == ([expected[-1].start] if word == "forwarded" else [])
        assert ("close" in answer.all("connection")) == closed
        if closed:
            assert await client.rest() == b""
    else:
        if not closed:
            answer = await client.message()
            assert answer.all("x-seen") == ["GET /marker"]
            client.half_close()
            assert await client.rest() == b""
    seen = recorder.whole[before:]
    if not closed and word != "nothing":
        assert seen.pop().start == "GET /marker"
    assert [request.start for request in seen] == [one.start for one in expected]
    for one, request in zip(expected, seen, strict=True):
        check(one, request)


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
async def test_a_hostile_request_is_refused_or_plain(stage, case):
    """It gets its verdict whole and cut small, and the requests behind it are themselves."""
    recorder, connect = stage
    for pieces in [[case.data], case.pieces][: 1 if case.options.get("split") == "no" else 2]:
        await converse(case, await connect(), recorder, pieces)
        other = await connect()
        answer = await other.ask(b"GET /after HTTP/1.1\r\nHost: y\r\n\r\n")
        assert answer.all("x-seen") == ["GET /after"]
    assert recorder.errors == []
    assert [request.start for request in recorder.requests if "smuggled" in request.start] == []
