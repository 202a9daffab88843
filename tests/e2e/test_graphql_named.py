"""Documents by name through a whole gateway, in Apollo's wire format: what the client is told and the backend gets."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest
from e2e_command import Running
from e2e_gateway import config_for
from redis_case import RedisServer

from proxyd.cli import main
from proxyd.graphql.kept import digest_of

TEXT = "query Orders($n: Int) { orders(first: $n) { id } }"
HASH = digest_of(TEXT)
EXTENSIONS = {"persistedQuery": {"version": 1, "sha256Hash": HASH}}
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":{}}'


def graphql(**config):
    return {"plugins": [{"name": "graphql", "config": config}]}


def post(members, *fields):
    """Write a request as Apollo Client's HttpLink does."""
    body = json.dumps(members).encode()
    lines = [
        "POST /graphql HTTP/1.1",
        "Host: x",
        "Accept: application/graphql-response+json,application/json;q=0.9",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(**parameters):
    """Write a request as its persisted query link does with useGETForHashedQueries."""
    query = "&".join(
        f"{name}={quote(value if isinstance(value, str) else json.dumps(value), safe='')}"
        for name, value in parameters.items()
    )
    return f"GET /graphql?{query} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n".encode()


def code(answer):
    return json.loads(answer.body)["errors"][0]["extensions"]["code"]


async def test_apollos_protocol(gateway, origin, raw):
    """Hash alone, then hash and document, then hash alone: POST and GET, on one connection; the backend sees texts."""
    upstream = await origin(ANSWER)
    proxy = await gateway(config_for(upstream.port, **graphql(persisted_queries={})))
    client = await raw(proxy.port)
    variables = {"n": 2}
    alone = {"operationName": "Orders", "variables": variables, "extensions": EXTENSIONS}
    first = await client.ask(post(alone))
    assert (first.status, code(first)) == (200, "PERSISTED_QUERY_NOT_FOUND")
    assert json.loads(first.body)["errors"][0]["message"] == "PersistedQueryNotFound"
    assert "no-cache" in first["cache-control"]
    assert upstream.requests == []
    for members in ({**alone, "query": TEXT}, alone):
        assert (await client.ask(post(members))).body == b'{"data":{}}'
        sent = upstream.requests[-1]
        assert json.loads(sent.body) == {"query": TEXT, "operationName": "Orders", "variables": variables}
        assert sent["content-length"] == str(len(sent.body))
    assert (await client.ask(get(**alone))).body == b'{"data":{}}'
    target = upstream.requests[-1].start.split(" ")[1]
    assert target == f"/graphql?query={quote(TEXT, safe='')}&operationName=Orders&variables=%7B%22n%22%3A2%7D"


async def test_the_public_and_its_developers(gateway, origin, raw, tmp_path):
    """Only listed documents pass, but for consumers of a group, who may send any."""
    upstream = await origin(ANSWER)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({HASH: TEXT}))
    listed = {"manifests": [str(manifest)], "exempt_roles": ["developers"]}
    config = config_for(
        upstream.port,
        plugins=[
            {"name": "key-auth", "config": {"anonymous": "guest"}},
            {"name": "graphql", "config": {"safelist": listed}},
        ],
        consumers=[
            {"username": "guest"},
            {
                "username": "dev",
                "keyauth_credentials": [{"key": "dev-key-of-the-test"}],
                "acls": [{"group": "developers"}],
            },
        ],
    )
    proxy = await gateway(config)
    client = await raw(proxy.port)
    assert (await client.ask(post({"query": TEXT}))).status == 200
    assert (await client.ask(post({"documentId": f"sha256:{HASH}"}))).status == 200
    assert [json.loads(sent.body) for sent in upstream.requests] == [{"query": TEXT}] * 2
    refused = await client.ask(post({"query": "{ me { password } }"}))
    assert (refused.status, code(refused)) == (400, "QUERY_NOT_IN_SAFELIST")
    assert "password" not in refused.body.decode()
    allowed = await client.ask(post({"query": "{ me { password } }"}, "apikey: dev-key-of-the-test"))
    assert allowed.status == 200
    assert json.loads(upstream.requests[-1].body) == {"query": "{ me { password } }"}


async def test_a_wrong_manifest(tmp_path, capfd):
    """The command says where it is wrong, and the gateway is not started with it."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "1"}]}'
    )
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(config_for(1, **graphql(safelist={"manifests": [str(manifest)]}))))
    assert await asyncio.to_thread(main, ["check", "--config", str(file)]) == 1
    assert f"{manifest}: operations[0].body: error: must be a string" in capfd.readouterr().err


@pytest.fixture
async def redis(tmp_path):
    one = await RedisServer.start(tmp_path)
    yield one
    await one.kill()


async def test_two_gateways_with_one_redis(origin, raw, redis, tmp_path):
    """What one process has learnt, the other one knows."""
    upstream = await origin(ANSWER)
    where = {"store": "redis", "redis": {"host": "127.0.0.1", "port": redis.port}}
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(config_for(upstream.port, **graphql(persisted_queries=where))))
    running = []
    try:
        for place in range(2):
            directory = tmp_path / f"process{place}"
            directory.mkdir()
            running.append(await Running.start(file, directory))
        one, other = [await raw(process.port) for process in running]
        assert (await one.ask(post({"query": TEXT, "extensions": EXTENSIONS}))).status == 200
        async with asyncio.timeout(20):
            while (await redis.ask("DBSIZE")) == ":0\r\n":
                pass
        assert (await other.ask(post({"extensions": EXTENSIONS}))).body == b'{"data":{}}'
        assert json.loads(upstream.requests[-1].body) == {"query": TEXT}
    finally:
        for process in running:
            await process.kill()
