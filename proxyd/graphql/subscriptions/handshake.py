"""The handshakes of both WebSockets: the client's, and the gateway's own with the backend (RFC 6455 section 4)."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

from proxyd.graphql.subscriptions.protocols import LEGACY, TRANSPORT
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange
    from proxyd.graphql.subscriptions.protocols import Protocol
    from proxyd.http1.message import ResponseHead

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# Of the request that brought the client here: what is not the backend's handshake's.
_LEFT_OUT = (
    b"accept",
    b"accept-encoding",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"last-event-id",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
)


def offered(headers: Headers) -> Protocol | None:
    """Return the subprotocol to speak with a client, the newer one where it speaks both; None where it offers neither."""
    names = headers.tokens(b"sec-websocket-protocol")
    return next((one for one in (TRANSPORT, LEGACY) if one.token in names), None)


def accept(nonce: bytes) -> bytes:
    """Return what proves that a handshake was understood."""
    return base64.b64encode(hashlib.sha1(nonce + _GUID, usedforsecurity=False).digest())


def agreement(headers: Headers, protocol: Protocol) -> Headers:
    """Return the fields of the answer to a client's handshake."""
    nonce = headers.get(b"sec-websocket-key") or b""
    fields = [(b"Sec-WebSocket-Accept", accept(nonce)), (b"Sec-WebSocket-Protocol", protocol.token)]
    return Headers.of(fields)


def ask(exchange: Exchange, protocols: Iterable[Protocol]) -> tuple[RequestHead, bytes]:
    """Return a handshake with the backend on behalf of a client, and what its answer has to prove.

    It carries what the client's own request does: identity, credentials, cookies, origin.
    """
    request = exchange.request
    headers = request.headers.copy()
    for name in _LEFT_OUT:
        headers.remove(name)
    nonce = base64.b64encode(os.urandom(16))
    headers.set(b"Sec-WebSocket-Version", b"13")
    headers.set(b"Sec-WebSocket-Key", nonce)
    headers.set(b"Sec-WebSocket-Protocol", b", ".join([one.token for one in protocols]))
    query = request.query if request.upgrade else ""  # of any other request, it holds the operation
    head = RequestHead(
        "GET",
        request.path + query,
        request.path,
        query,
        1,
        request.host,
        headers,
        0,
        keep_alive=True,
    )
    head.upgrade = "websocket"
    return head, accept(nonce)


def agreed(head: ResponseHead, proof: bytes, protocols: Iterable[Protocol]) -> Protocol | None:
    """Return the subprotocol that the backend has agreed to; None where its answer is not one to our handshake."""
    headers = head.headers
    if headers.get(b"sec-websocket-accept") != proof or b"sec-websocket-extensions" in headers:
        return None
    chosen = headers.get(b"sec-websocket-protocol")
    return next((one for one in protocols if one.token == chosen), None)
