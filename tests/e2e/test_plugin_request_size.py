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
