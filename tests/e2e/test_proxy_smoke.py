"""The shortest way through: one request, one answer, one line."""

from __future__ import annotations


async def test_a_request_reaches_the_origin_and_its_answer_the_client(gateway, origin, raw):
    """A GET goes to the origin, and what the origin says comes back."""
    upstream = await origin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-From: origin\r\n\r\nhello")
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    answer = await client.ask(b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n")
    assert (answer.status, answer.body, answer["x-from"]) == (200, b"hello", "origin")
    assert (await upstream.request()).start == "GET /a?b=c HTTP/1.1"
    (line,) = await proxy.log_lines()
    assert (line["status"], line["path"], line["query"]) == (200, "/a", "b=c")
