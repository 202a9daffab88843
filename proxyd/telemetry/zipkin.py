"""Spans to a Zipkin collector: its version 2 JSON, posted from the shipper's thread.

Names and tags are those of Kong's zipkin plugin (``kong/plugins/zipkin/handler.lua``).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.model.grammar import split_port
from proxyd.telemetry.spans import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.telemetry.post import Post
    from proxyd.telemetry.spans import Span

PEER = "peer"  # the attributes of this name and the next are no tags, but who is at the span's other end
PEER_NAME = "peer.service"


def encode(batch: Sequence[Span], local_name: str) -> bytes:
    """Return a batch as JSON (https://zipkin.io/zipkin-api/)."""
    return orjson.dumps([_document(span, local_name) for span in batch])


def _document(span: Span, local_name: str) -> dict[str, Any]:
    tags = {name: str(value) for name, value in span.attributes.items()}
    peer, peer_name = tags.pop(PEER, ""), tags.pop(PEER_NAME, "")
    if span.error:
        tags["error"] = span.error
    document: dict[str, Any] = {
        "traceId": f"{span.trace.trace_id:016x}" if span.trace.short else f"{span.trace.trace_id:032x}",
        "id": f"{span.span_id:016x}",
        "kind": span.kind,
        "name": span.name,
        "timestamp": span.start // 1000,
        "duration": max((span.end - span.start) // 1000, 1),  # 0 would be none
        "localEndpoint": {"serviceName": local_name},
        "tags": tags,
        "annotations": [{"timestamp": event.time // 1000, "value": event.name} for event in span.events],
    }
    if span.parent_id:
        document["parentId"] = f"{span.parent_id:016x}"
    if remote := _endpoint(peer, peer_name):
        document["remoteEndpoint"] = remote
    return document


def _endpoint(peer: str, name: str) -> dict[str, str | int]:
    endpoint: dict[str, str | int] = {"serviceName": name} if name else {}
    if peer:
        try:
            host, port = split_port(peer)
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:  # a name, or a Unix socket
            return endpoint
        endpoint[f"ipv{address.version}"] = str(address)
        if port:
            endpoint["port"] = port
    return endpoint


def tags_of(text: str) -> dict[str, str]:
    """Read the tags of a request's header: ``name=value`` between semicolons; what has another form is left out."""
    pairs = (part.partition("=") for part in text[:MAX_TEXT].split(";"))
    return {
        name.strip(): value.strip()
        for name, equals, value in pairs
        if equals and name.strip() and value.strip()
    }


class ZipkinSender:
    """Hands batches to a collector; ``local_name`` is what the gateway is called there."""

    def __init__(self, post: Post, local_name: str) -> None:
        self._post = post
        self._local_name = local_name

    def send(self, batch: Sequence[Span]) -> None:
        """Deliver a batch; raises DeliveryError."""
        self._post(encode(batch, self._local_name))
