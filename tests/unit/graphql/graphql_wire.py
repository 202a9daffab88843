"""What both ends of the WebSockets of GraphQL send, for conversations: masks and nonces are zeros there."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import pytest
from conversation import Step, service

from proxyd.graphql.subscriptions.handshake import accept

NONCE = base64.b64encode(bytes(16))
PROOF = accept(NONCE)
TRANSPORT, LEGACY = b"graphql-transport-ws", b"graphql-ws"
BOTH = b"graphql-transport-ws, graphql-ws"


def frame(payload=b"", opcode=1, *, masked=False, fin=True):
    """Make a frame, masked with zeros."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    mask = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask | size])
    elif size < 1 << 16:
        head += bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def said(message, *, masked=False):
    """Make a message's frame; one that is given as an object is written as libraries do."""
    if not isinstance(message, bytes):
        message = json.dumps(message, separators=(",", ":")).encode()
    return frame(message, masked=masked)


def up(message):
    """Make the frame of a client: the user's towards the gateway, or the gateway's towards the backend."""
    return said(message, masked=True)


def closing(code, reason="", *, masked=False):
    """Make a close frame."""
    return frame(code.to_bytes(2, "big") + reason.encode(), 8, masked=masked)


def handshake(protocols=TRANSPORT, *lines):
    """Make a client's handshake."""
    more = b"".join(b"%b\r\n" % line for line in lines)
    offer = b"Sec-WebSocket-Protocol: %b\r\n" % protocols if protocols else b""
    return (
        b"GET /graphql HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n%b%b\r\n" % (NONCE, offer, more)
    )


def asked(protocols=BOTH, *lines):
    """Make the gateway's handshake, as the backend gets it."""
    more = b"".join(b"%b\r\n" % line for line in lines)
    return (
        b"GET /graphql HTTP/1.1\r\nHost: 10.0.0.1\r\n%bSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
        b"Sec-WebSocket-Protocol: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        % (more, NONCE, protocols)
    )


def agreed(protocol=TRANSPORT, *lines):
    """Make the answer to a handshake: the backend's to the gateway, and the gateway's to its client."""
    more = b"".join(b"%b\r\n" % line for line in lines)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n" % (PROOF, protocol, more)
    )


def graphql(more=(), **subscriptions):
    """Make a configuration whose one route has the plugin."""
    return service(plugins=[{"name": "graphql", "config": {"subscriptions": subscriptions}}, *more])


INIT = {"type": "connection_init"}
ACK = {"type": "connection_ack"}
TICKS = "subscription { ticks }"


def subscribe(identity, query=TICKS, word="subscribe"):
    """Make a client's operation, or the backend's with another id."""
    return {"id": identity, "type": word, "payload": {"query": query}}


def opened(talk, client, protocol=TRANSPORT, backend=TRANSPORT, init=INIT, sent=INIT, ack=ACK):
    """Return the steps until operations are taken."""
    first = [TRANSPORT, LEGACY] if protocol == TRANSPORT else [LEGACY, TRANSPORT]
    alive = [said({"type": "ka"})] if protocol == LEGACY else []
    return [
        client.sends(handshake(protocol)),
        client.receives(agreed(protocol)),
        client.sends(up(init)),
        talk.upstream.receives(asked(b", ".join(first))),
        talk.upstream.sends(agreed(backend)),
        talk.upstream.receives(up(sent)),
        talk.upstream.sends(said(ack)),
        client.receives(said(ack), *alive),
    ]


@pytest.fixture(autouse=True)
def zeros(monkeypatch):
    """Have the gateway's masks and nonces be zeros."""
    for module in ("frames", "handshake"):
        monkeypatch.setattr(f"proxyd.graphql.subscriptions.{module}.os", SimpleNamespace(urandom=bytes))


def at(talk, what):
    """Make a step that does something to the gateway."""
    return Step("something happens", what)
