"""Requests that are answered at the door, in their odder forms."""

from __future__ import annotations


async def test_there_is_no_redirect_to_nowhere(talk):
    """HTTP/1.0 need not name a host; without one there is no place to send the client to, and it is told so."""
    client = await talk.start(
        {
            "_format_version": "3.0",
            "routes": [
                {"name": "r", "paths": ["/"], "protocols": ["https"], "https_redirect_status_code": 301}
            ],
        }
    )
    client.transport.incoming(client.protocol.data_received, b"GET / HTTP/1.0\r\n\r\n")
    await talk.settle()
    answer = client.events.pop(0)[1]
    client.events.clear()
    assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"Location:" not in answer
