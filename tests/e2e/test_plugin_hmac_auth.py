"""Signed requests through a running gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate

from e2e_gateway import config_for
from e2e_wire import OK

CONSUMER = {"username": "ann", "hmacauth_credentials": [{"username": "ann", "secret": "for-tests-only"}]}


def request(target, body, signed_body):
    date = formatdate(usegmt=True)
    digest = f"SHA-256={base64.b64encode(hashlib.sha256(signed_body).digest()).decode()}"
    text = f"date: {date}\nPOST {target} HTTP/1.1\nhost: x\ndigest: {digest}"
    signature = base64.b64encode(hmac.new(b"for-tests-only", text.encode(), "sha512").digest()).decode()
    return (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nDate: {date}\r\nDigest: {digest}\r\n"
        f'Authorization: hmac username="ann", algorithm="hmac-sha512", headers="date request-line host digest", '
        f'signature="{signature}"\r\nContent-Length: {len(body)}\r\n\r\n'
    ).encode() + body


async def test_a_signed_request_passes_and_a_changed_one_does_not(gateway, origin, raw):
    """Head and body; the signature is kept from the backend, and the secret is in no log."""
    upstream = await origin(OK)
    settings = {
        "validate_request_body": True,
        "hide_credentials": True,
        "enforce_headers": ["date", "request-line", "digest"],
    }
    config = config_for(
        upstream.port, plugins=[{"name": "hmac-auth", "config": settings}], consumers=[CONSUMER]
    )
    proxy = await gateway(config)
    client = await raw(proxy.port)
    right = await client.ask(request("/a?x=%41", b"hello", b"hello"))
    moved = await client.ask(request("/a?x=%41", b"hello", b"hello").replace(b"/a", b"/b", 1))
    changed = await client.ask(request("/a?x=%41", b"hullo", b"hello"))
    none = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [right.status, moved.status, changed.status, none.status] == [200, 401, 401, 401]
    assert none["www-authenticate"] == "hmac"
    (passed,) = upstream.requests
    assert (passed["x-consumer-username"], "authorization" in passed, passed.body) == ("ann", False, b"hello")
    assert "for-tests-only" not in str(await proxy.log_lines(4))
