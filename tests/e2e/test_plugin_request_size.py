"""request-size-limiting and redirect through a running gateway."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK


async def test_bodies_are_held_to_the_limit(gateway, origin, raw):
    """With a length or in chunks; one that fits passes, and nothing of a declared one reaches the upstream."""
    upstream = await origin(OK)
    plugin = {"name": "request-size-limiting", "config": {"allowed_payload_size": 5, "size_unit": "bytes"}}
    proxy = await gateway(config_for(upstream.port, plugins=[plugin]))
    head = b"POST / HTTP/1.1\r\nHost: x\r\n"
    asked = [
        (b"Content-Length: 5\r\n\r\nhello", 200),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        (b"Content-Length: 6\r\n\r\nhello!", 413),
        (b"Content-Length: 6\r\nExpect: 100-continue\r\n\r\n", 417),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n", 413),
    ]
    for rest, status in asked:
        client = await raw(proxy.port)
        assert (await client.ask(head + rest)).status == status, rest
    assert [request.body for request in upstream.requests[:2]] == [b"hello", b"hello"]


async def test_every_refusal_looks_alike(gateway, origin, raw):
    """In the shape that the client accepts, whether the size was said beforehand, came out on the way, or was read."""
    upstream = await origin(OK)
    limit = {"name": "request-size-limiting", "config": {"allowed_payload_size": 5, "size_unit": "bytes"}}
    key = {"name": "key-auth", "config": {"key_in_body": True}}
    head = b"POST / HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\nContent-Type: application/json\r\n"
    document = b'{"apikey": "k", "more": "and more"}'
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(document), document)
    length = b"Content-Length: %d\r\n\r\n%b" % (len(document), document)
    consumers = [{"username": "c", "keyauth_credentials": [{"key": "k"}]}]
    for plugins, rest in (
        ([limit], length),
        ([limit], chunks),
        ([limit, key], chunks),
        ([limit, key], length),
    ):
        proxy = await gateway(config_for(upstream.port, plugins=plugins, consumers=consumers))
        answer = await (await raw(proxy.port)).ask(head + rest)
        assert (answer.status, answer["content-type"]) == (413, "text/plain; charset=utf-8")
        assert answer.body.startswith(b"Request size limit exceeded\nrequest_id: ")
    assert [request for request in upstream.requests if document in request.body] == []


async def test_a_redirect(gateway, origin, raw):
    """Answered without the upstream."""
    upstream = await origin(OK)
    config = {"location": "https://new.example/", "keep_incoming_path": True}
    proxy = await gateway(config_for(upstream.port, plugins=[{"name": "redirect", "config": config}]))
    answer = await (await raw(proxy.port)).ask(b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer["location"], answer.body) == (
        301,
        "https://new.example/a?b",
        b"redirecting",
    )
    assert upstream.requests == []
