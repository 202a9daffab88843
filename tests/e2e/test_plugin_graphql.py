"""graphql through a running gateway: what passes arrives as it was sent, and what does not reaches no backend."""

from __future__ import annotations

import json

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

ASK = (
    b"POST /graphql HTTP/1.1\r\nHost: api.example.com\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
)
MEGABYTE = 1_000_000


def post(**members):
    """Return a request that asks for these."""
    body = json.dumps(members).encode()
    return ASK % (len(body), body)


@pytest.fixture
async def through(gateway, origin, raw):
    """Give a client of a gateway with the plugin, and the origin behind it."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, plugins=[{"name": "graphql"}]))
    return await raw(proxy.port), upstream, proxy


async def test_an_operation_arrives_as_it_was_sent(through):
    """With the head that came, in its spelling."""
    client, upstream, _ = through
    request = post(query="query A($b: Int) { a(b: $b) }", variables={"b": 1}, operationName="A")
    assert [(await client.ask(request)).status for _ in range(2)] == [200, 200]
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[2:]
    assert len(upstream.requests) == 2
    for seen in upstream.requests:
        assert seen.body == body
        for line in lines:
            name, _, value = line.decode().partition(": ")
            assert (name, value) in seen.fields


async def test_what_is_refused_reaches_no_backend(through):
    """Each is told what was wrong, and the connection goes on."""
    client, upstream, proxy = through
    deep = "{ a" * 40 + "}" * 40
    chain = "{ ...F0 } " + "".join(f"fragment F{i} on T {{ ...F{i + 1} }} " for i in range(300))
    doubling = "{ ...F0 } " + "".join(f"fragment F{i} on T {{ ...F{i + 1} ...F{i + 1} }} " for i in range(40))
    asked = [
        ({"query": deep}, "depth"),
        ({"query": "{ " + "a " * 3000 + "}"}, "tokens"),
        ({"query": "{ a(b: " + "[" * 500 + "]" * 500 + ") }"}, "nesting"),
        ({"query": chain + "fragment F300 on T { a }"}, "tokens"),
        ({"query": doubling + "fragment F40 on T { a }"}, "root_fields"),
        ({"query": "{ " + " ".join(f"a{i}: a" for i in range(50)) + "}"}, "root_fields"),
        ({"query": "{ a " + "@b" * 60 + "}"}, "directives"),
        ({"query": "{ a(b: " + json.dumps("x" * 100_000) + ") }"}, "document_size"),
        ({"query": "{ a }", "variables": {"b": "x" * 200_000}}, "variables_size"),
    ]
    for members, limit in asked:
        answer = await client.ask(post(**members))
        (error,) = json.loads(answer.body)["errors"]
        assert (answer.status, error["extensions"]["limit"]) == (200, limit)
    nested = b'{"query": "{ a }", "variables": ' + b'{"b":' * 200 + b"1" + b"}" * 201
    answer = await client.ask(ASK % (len(nested), nested))
    assert json.loads(answer.body)["errors"][0]["extensions"]["limit"] == "variables_nesting"
    assert upstream.requests == []
    lines = await proxy.log_lines(len(asked) + 1)
    assert {line["status"] for line in lines} == {200}


async def test_ten_megabytes_are_refused_by_their_head(through, raw):
    """None of them is read, and who does not say how much it is gets as far as the limit."""
    _, upstream, proxy = through
    client = await raw(proxy.port)
    told = await client.ask(ASK % (10 * MEGABYTE, b'{"query": "{ a'))
    assert told.status == 413
    client = await raw(proxy.port)
    head = (ASK % (0, b"")).replace(b"content-length: 0", b"transfer-encoding: chunked")
    piece = b"%x\r\n%b\r\n" % (MEGABYTE, b"x" * MEGABYTE)
    told = await client.ask(head + piece * 2)
    assert told.status == 413
    assert json.loads(told.body)["errors"][0]["extensions"]["limit"] == "body_size"
    assert upstream.requests == []


async def test_methods_and_media_types(through):
    """Are those of GraphQL over HTTP, on the wire too."""
    client, _, _ = through
    mutation = await client.ask(b"GET /graphql?query=mutation%7Ba%7D HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (mutation.status, mutation["allow"]) == (405, "POST")
    response = (
        b"GET /graphql?query=%7B HTTP/1.1\r\nHost: h\r\nAccept: application/graphql-response+json\r\n\r\n"
    )
    refused = await client.ask(response)
    assert (refused.status, refused["content-type"]) == (
        400,
        "application/graphql-response+json; charset=utf-8",
    )
    assert (await client.ask(b"GET /graphql?query=%7Ba%7D HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
