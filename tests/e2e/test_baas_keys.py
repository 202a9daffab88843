"""A backend-as-a-service stack behind a running gateway: opaque keys go in, signed tokens come out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from e2e_wire import OK

FILE = Path(__file__).parents[1] / "data/kong/baas-keys-2.1.yml"
KEYS = {
    "BAAS_PUBLIC_KEY": "sb_publishable_1",
    "BAAS_SECRET_KEY": "sb_secret_1",
    "BAAS_ANON_KEY": "legacy.anon.key",
    "BAAS_SERVICE_KEY": "legacy.service.key",
    "BAAS_ANON_TOKEN": "signed.anon.token",
    "BAAS_SERVICE_TOKEN": "signed.service.token",
}


@pytest.fixture
async def stack(gateway, origin, raw):
    """A client of the gateway, and the one backend that stands for all services."""
    upstream = await origin(OK)
    text = re.sub(r'\$\{\{ env \\?"(\w+)\\?" \}\}', lambda match: KEYS[match[1]], FILE.read_text())
    text = re.sub(r"http://(?:rest|realtime|storage|studio):\d+", upstream.url, text)
    proxy = await gateway(text)
    return await raw(proxy.port), upstream


@pytest.mark.parametrize("path", [b"/rest/v1/users?select=id", b"/graphql/v1", b"/storage/v1/object"])
@pytest.mark.parametrize(
    ("fields", "authorization"),
    [
        (b"apikey: sb_publishable_1\r\n", "Bearer signed.anon.token"),
        (b"apikey: sb_secret_1\r\n", "Bearer signed.service.token"),
        (b"apikey: sb_secret_1\r\nAuthorization: Bearer sb_secret_1\r\n", "Bearer signed.service.token"),
        (b"apikey: sb_publishable_1\r\nauthorization: Bearer a.users.token\r\n", "Bearer a.users.token"),
        (b"apikey: legacy.anon.key\r\n", "legacy.anon.key"),
    ],
)
async def test_a_key_becomes_a_token(stack, path, fields, authorization):
    """A user's own token stays, a legacy key is passed on; once each, whether the header was there or not."""
    client, upstream = stack
    answer = await client.ask(b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, fields))
    assert answer.status == 200
    request = await upstream.request()
    assert request.all("authorization") == [authorization]
    assert request.all("content-profile") == (["graphql_public"] if b"graphql" in path else [])


async def test_a_key_in_the_query_becomes_one_too(stack):
    """In the header that sockets look at, and in the query itself; the other arguments stay."""
    client, upstream = stack
    await client.ask(
        b"GET /realtime/v1/websocket?apikey=sb_publishable_1&vsn=1.0.0 HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    request = await upstream.request()
    assert request.start == "GET /socket/websocket?apikey=signed.anon.token&vsn=1.0.0 HTTP/1.1"
    assert request["x-api-key"] == "signed.anon.token"


async def test_what_is_neither_key_nor_token_is_not_sent(stack):
    """A request that is signed in its query has no Authorization, and gets none, not an empty one either."""
    client, upstream = stack
    await client.ask(b"GET /storage/v1/s3/a?X-Amz-Signature=x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "authorization" not in await upstream.request()


@pytest.mark.parametrize(("path", "status"), [(b"/rest/v1/users", 401), (b"/mcp", 403)])
async def test_without_a_key_nothing_is_reached(stack, path, status):
    """Nor what is closed."""
    client, upstream = stack
    answer = await client.ask(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    assert (answer.status, upstream.requests) == (status, [])
