"""Who gets in, through a running gateway: plugins together, alternatives, and what the backend is told."""

from __future__ import annotations

import base64

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd.identity import IDENTITY_HEADERS

CONSUMERS = [
    {"username": "ann", "keyauth_credentials": [{"key": "k-ann"}], "acls": [{"group": "staff"}]},
    {"username": "bob", "basicauth_credentials": [{"username": "bob", "password": "pw"}]},
    {"username": "nobody", "acls": [{"group": "public"}]},
]
KEY, WRONG_KEY = b"apikey: k-ann\r\n", b"apikey: k-eve\r\n"
PASSWORD = b"Authorization: Basic " + base64.b64encode(b"bob:pw") + b"\r\n"
WRONG_PASSWORD = b"Authorization: Basic " + base64.b64encode(b"bob:no") + b"\r\n"


@pytest.fixture
async def asking(gateway, origin, raw):
    """Give what starts a gateway with plugins: it returns what asks, and the backend."""

    async def start(plugins, **top):
        upstream = await origin(OK)
        proxy = await gateway(config_for(upstream.port, plugins=plugins, consumers=CONSUMERS, **top))
        client = await raw(proxy.port)

        async def ask(lines=b"", method=b"GET", body=b""):
            return await client.ask(b"%b / HTTP/1.1\r\nHost: x\r\n%b\r\n%b" % (method, lines, body))

        return ask, upstream

    return start


def both(**config):
    return [{"name": name, "config": config} for name in ("key-auth", "basic-auth")]


async def test_without_anonymous_both_are_needed(asking):
    """AND: the last one says who it is."""
    ask, upstream = await asking(both())
    for lines in (b"", KEY, PASSWORD, KEY + WRONG_PASSWORD, WRONG_KEY + PASSWORD):
        assert (await ask(lines)).status == 401
    assert upstream.requests == []
    assert (await ask(KEY + PASSWORD)).status == 200
    (request,) = upstream.requests
    assert (request["x-consumer-username"], request["x-credential-identifier"]) == ("bob", "bob")
    assert "x-anonymous-consumer" not in request


@pytest.mark.parametrize(
    ("lines", "who", "anonymous"),
    [
        (KEY, "ann", False),
        (PASSWORD, "bob", False),
        (KEY + WRONG_PASSWORD, "ann", False),
        (WRONG_KEY + PASSWORD, "bob", False),
        (KEY + PASSWORD, "ann", False),
        (WRONG_KEY + WRONG_PASSWORD, "nobody", True),
        (b"", "nobody", True),
        (b"X-Consumer-Username: ann\r\nX-Anonymous-Consumer: false\r\n", "nobody", True),
    ],
)
async def test_with_anonymous_either_is_enough(asking, lines, who, anonymous):
    """OR: the first one that lets it in says who it is, and the backend sees who is nobody."""
    ask, upstream = await asking(both(anonymous="nobody"))
    assert (await ask(lines)).status == 200
    (request,) = upstream.requests
    assert request["x-consumer-username"] == who
    assert ("x-anonymous-consumer" in request) == anonymous
    assert ("x-credential-identifier" in request) != anonymous


async def test_either_is_enough_but_one_is_needed(asking):
    """Kong's way to say so: the anonymous consumer has a plugin that ends its requests."""
    refusal = {"name": "request-termination", "consumer": "nobody", "config": {"status_code": 401}}
    ask, upstream = await asking([*both(anonymous="nobody"), refusal])
    statuses = [(await ask(lines)).status for lines in (KEY, PASSWORD, b"", WRONG_KEY)]
    assert statuses == [200, 200, 401, 401]
    assert len(upstream.requests) == 2


async def test_nobody_gets_in_as_an_anonymous_consumer_that_there_is_not(asking):
    """It is an error of the configuration; who can prove itself is let in all the same."""
    ask, upstream = await asking([{"name": "key-auth", "config": {"anonymous": "gone"}}])
    refused = await ask()
    assert refused.status == 500
    assert b"anonymous consumer gone is configured but doesn't exist" in refused.body
    assert upstream.requests == []
    assert (await ask(KEY)).status == 200


@pytest.mark.parametrize(("group", "statuses"), [("public", [200, 403]), ("staff", [403, 200])])
async def test_groups_of_who_is_nobody(asking, group, statuses):
    """The anonymous consumer is asked for its groups as any other is."""
    key = {"name": "key-auth", "config": {"anonymous": "nobody"}}
    ask, upstream = await asking([key, {"name": "acl", "config": {"allow": [group]}}])
    assert [(await ask(lines)).status for lines in (b"", KEY)] == statuses
    assert [request["x-consumer-groups"] for request in upstream.requests] == [group]


@pytest.mark.parametrize(("runs", "status"), [(True, 401), (False, 200)])
async def test_preflights(asking, runs, status):
    """Need a key too unless it is said that they do not; nothing but OPTIONS passes so."""
    ask, upstream = await asking([{"name": "key-auth", "config": {"run_on_preflight": runs}}])
    assert [(await ask(method=method)).status for method in (b"OPTIONS", b"GET")] == [status, 401]
    assert len(upstream.requests) == (status == 200)


# --- rotation


async def test_keys_are_changed_without_a_gap(gateway, origin, raw):
    """The old and the new one both count until the old one is taken out of the file, or has ended."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port))
    client = await raw(proxy.port)

    async def statuses(*keys):
        config = config_for(upstream.port, plugins=[{"name": "key-auth"}])
        config["consumers"] = [{"username": "ann", "keyauth_credentials": list(keys)}]
        proxy.write(config)
        assert await proxy.worker.reload()
        asked = [b"GET / HTTP/1.1\r\nHost: x\r\napikey: %b\r\n\r\n" % key for key in (b"old", b"new")]
        return [(await client.ask(request)).status for request in asked]

    assert await statuses({"key": "old"}) == [200, 401]
    assert await statuses({"key": "old", "expires_at": "2999-12-31"}, {"key": "new"}) == [200, 200]
    assert await statuses({"key": "old", "expires_at": "2020-01-01"}, {"key": "new"}) == [401, 200]
    assert await statuses({"key": "new"}) == [401, 200]


# --- keys in bodies


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_loses_its_key_and_nothing_else(asking, chunked):
    """Whichever way it is framed, and in whichever pieces it comes; its new length is told."""
    body = b'{"n": 12345678901234567890, "apikey": "k-ann", "f": 1.10}'
    config = {"key_in_body": True, "hide_credentials": True}
    ask, upstream = await asking([{"name": "key-auth", "config": config}])
    lines = b"Content-Type: application/json\r\n"
    if chunked:
        pieces = b"".join(b"1\r\n%c\r\n" % one for one in body)
        answer = await ask(lines + b"Transfer-Encoding: chunked\r\n", b"POST", pieces + b"0\r\n\r\n")
    else:
        answer = await ask(lines + b"Content-Length: %d\r\n" % len(body), b"POST", body)
    assert answer.status == 200
    (request,) = upstream.requests
    assert request.body == b'{"n": 12345678901234567890, "f": 1.10}'
    assert request["content-length"] == str(len(request.body))


# --- what a client may not say


async def test_a_claimed_identity_goes_nowhere(asking):
    """On a route without any plugin, in every spelling, in the head and behind a chunked body."""
    ask, upstream = await asking([])
    for name in sorted(IDENTITY_HEADERS):
        for spelt in (name, name.title(), name.replace(b"-", b"_"), name.replace(b"-", b"_", 1)):
            assert (await ask(b"%b: admin\r\n" % spelt)).status == 200
            body = b"1\r\nx\r\n0\r\n%b: admin\r\nX-Mine: 1\r\n\r\n" % spelt
            assert (await ask(b"Transfer-Encoding: chunked\r\n", b"POST", body)).status == 200
    assert len(upstream.requests) == len(IDENTITY_HEADERS) * 8
    assert [line for line in upstream.bytes.split(b"\r\n") if b"admin" in line] == []
    assert upstream.bytes.count(b"X-Mine: 1") == len(IDENTITY_HEADERS) * 4


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.mark.parametrize("plugins", [[], [{"name": "key-auth", "config": {"hide_credentials": True}}]])
async def test_a_handshake_tells_who_it_is_as_any_request_does(gateway, origin, raw, plugins):
    """What the client claims is taken out, and what the gateway knows is told."""

    async def script(wire):
        await wire.head()
        await wire.send(SWITCH)

    upstream = await origin(script)
    proxy = await gateway(config_for(upstream.port, plugins=plugins, consumers=CONSUMERS))
    client = await raw(proxy.port)
    await client.send(
        HANDSHAKE + b"X-Consumer-Username: admin\r\nX_Consumer_Groups: admin\r\n" + KEY + b"\r\n"
    )
    assert (await client.head()).status == 101
    asked = (await upstream.wire()).received
    assert b"admin" not in asked
    assert (b"X-Consumer-Username: ann" in asked, b"k-ann" in asked) == (bool(plugins), not plugins)
    if plugins:
        refused = await raw(proxy.port)
        assert (await refused.ask(HANDSHAKE + WRONG_KEY + b"\r\n")).status == 401
