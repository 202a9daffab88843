"""Tokens through a running gateway: under a consumer's key, and under keys that an issuer publishes."""

from __future__ import annotations

import asyncio
import time

import pytest
from e2e_gateway import config_for
from e2e_wire import OK
from jwks_case import Endpoint, document
from token_case import SECRET, private, token

ISSUER = "https://id.example.com"


@pytest.fixture
async def endpoint():
    """Publish the key ``k1``."""
    one = await Endpoint(document(1)).start()
    yield one
    await one.stop()


def theirs(number=1, **claims):
    claims = {"iss": ISSUER, "sub": "u1", "exp": int(time.time()) + 60, **claims}
    return token(claims, private("RS256", number), "RS256", {"alg": "RS256", "kid": f"k{number}"})


def configuration(port, uri=None, *more, **config):
    issuers = [{"issuer": ISSUER, "jwks_uri": uri, "jwks_timeout": 5}] if uri else []
    jwt = {"name": "jwt", "config": {"issuers": issuers, **config}}
    consumers = [{"username": "ann", "jwt_secrets": [{"key": "ann", "secret": SECRET}]}]
    return config_for(port, plugins=[jwt, *more], consumers=consumers)


async def ask(client, text=None):
    line = b"Authorization: Bearer %b\r\n" % text.encode() if text else b""
    return await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n%b\r\n" % line)


async def test_a_token_under_a_consumers_key(gateway, origin, raw):
    """Kong's answers, JSON whatever is asked for; the backend is told who it is, and no token is in the log."""
    upstream = await origin(OK)
    proxy = await gateway(configuration(upstream.port, claims_to_verify=["exp"]))
    client = await raw(proxy.port)
    good = token({"iss": "ann", "exp": int(time.time()) + 60})
    none, expired, right = [await ask(client, text) for text in (None, token({"iss": "ann", "exp": 1}), good)]
    assert (none.status, none.body, none["www-authenticate"]) == (
        401,
        b'{"message":"Unauthorized"}',
        "Bearer",
    )
    assert none["content-type"] == "application/json; charset=utf-8"
    assert (expired.status, expired.body) == (401, b'{"exp":"token expired"}')
    assert expired["www-authenticate"] == 'Bearer error="invalid_token"'
    assert right.status == 200
    (request,) = upstream.requests
    assert (request["x-consumer-username"], request["x-credential-identifier"]) == ("ann", "ann")
    assert good.rpartition(".")[2] not in str(await proxy.log_lines(3))


async def test_keys_that_rotate(gateway, origin, raw, endpoint):
    """A token under a new key is let in as soon as its key is published, without a reload."""
    upstream = await origin(OK)
    proxy = await gateway(configuration(upstream.port, endpoint.uri))
    proxy.worker._key_sets._sources[endpoint.uri]._times = type(proxy.worker._key_sets._times)(pause=0.0)
    client = await raw(proxy.port)
    assert (await ask(client, theirs(1))).status == 200
    unknown = await ask(client, theirs(2))
    assert (unknown.status, unknown.body) == (401, b'{"message":"No key found for the token"}')
    endpoint.body = document(2)
    assert (await ask(client, theirs(2))).status == 200
    # The old key is gone, for tokens that have been verified before too.
    assert (await ask(client, theirs(1))).status == 401


async def test_an_endpoint_that_dies(gateway, origin, raw, endpoint):
    """Known keys go on, over reloads too; metrics tell of it."""
    upstream = await origin(OK)
    proxy = await gateway(configuration(upstream.port, endpoint.uri))
    client = await raw(proxy.port)
    assert (await ask(client, theirs())).status == 200
    await endpoint.stop()
    proxy.write(configuration(upstream.port, endpoint.uri, realm="shop"))
    assert await proxy.worker.reload()
    assert (await ask(client, theirs())).status == 200
    (state,) = proxy.worker.key_sets()
    assert (state.keys, state.succeeded) == (1, 1)
    proxy.write(configuration(upstream.port))
    assert await proxy.worker.reload()
    assert proxy.worker.key_sets() == []


async def test_an_endpoint_that_is_slow_to_answer(gateway, origin, raw, endpoint):
    """The first request waits for the keys, and goes on with them; a client that leaves meanwhile is no trouble."""
    endpoint.gate = asyncio.Event()
    upstream = await origin(OK)
    proxy = await gateway(configuration(upstream.port, endpoint.uri))
    client, leaving = await raw(proxy.port), await raw(proxy.port)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % theirs().encode()
    await leaving.send(head)
    asked = asyncio.ensure_future(ask(client, theirs()))
    await endpoint.arrived.wait()
    leaving.close()
    await proxy.log_lines(1)
    endpoint.gate.set()
    assert (await asked).status == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"body": "garbage"}], ids=str)
async def test_an_endpoint_without_keys(gateway, origin, raw, endpoint, fault):
    """Nobody is let in for that, the anonymous consumer not either; consumers' own keys go on."""
    for name, value in fault.items():
        setattr(endpoint, name, value)
    upstream = await origin(OK)
    proxy = await gateway(configuration(upstream.port, endpoint.uri, anonymous="ann"))
    client = await raw(proxy.port)
    assert (await ask(client, theirs())).status == 503
    assert (await ask(client, token({"iss": "ann"}))).status == 200


async def test_a_token_without_a_consumer_meets_other_plugins(gateway, origin, raw, endpoint):
    """Acl knows its roles, and rate-limiting counts its subject and not its address."""
    upstream = await origin(OK)
    proxy = await gateway(
        configuration(
            upstream.port,
            endpoint.uri,
            {"name": "acl", "config": {"allow": ["admin"], "roles_claim": "realm_access.roles"}},
            {"name": "rate-limiting", "config": {"hour": 2, "limit_by": "credential"}},
        )
    )
    client = await raw(proxy.port)
    admin = {"realm_access": {"roles": ["admin"]}}
    assert (await ask(client, theirs())).status == 403
    statuses = [(await ask(client, theirs(jti=str(number), **admin))).status for number in range(3)]
    assert statuses == [200, 200, 429]
    assert (await ask(client, theirs(sub="u2", **admin))).status == 200
    assert upstream.requests[0]["x-credential-identifier"] == "u1"
