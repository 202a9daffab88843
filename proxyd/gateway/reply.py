"""The gateway's own answers, in the shape that the client accepts.

Kong renders an error as JSON, HTML, XML or plain text by ``Accept`` (``kong/tools/http.lua``), with the
request id in each; JSON is the answer to ``*/*`` and to no Accept at all.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import orjson

from proxyd.exchange import Reply
from proxyd.http1.encoder import REASONS
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.errors import GatewayError
    from proxyd.exchange import Exchange

MAX_ACCEPT = 1024  # bytes of an Accept value that are looked at

# status -> message of Kong's error_handlers.lua, for answers that carry no message of their own.
MESSAGES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    411: "Length required",
    412: "Precondition failed",
    413: "Payload too large",
    414: "URI too long",
    417: "Expectation failed",
    426: "Please use HTTPS protocol",
    431: "Request header or cookie too large",
    494: "Request header or cookie too large",
    500: "An unexpected error occurred",
    502: "An invalid response was received from the upstream server",
    503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out",
}

_TYPES = {
    "json": b"application/json; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "xml": b"application/xml; charset=utf-8",
    "plain": b"text/plain; charset=utf-8",
}
_MEDIA = {
    b"application/json": "json",
    b"text/html": "html",
    b"application/xml": "xml",
    b"text/plain": "plain",
    b"*/*": "json",
    b"application/*": "json",
    b"text/*": "html",
}


def negotiate(accept: bytes | None) -> str:
    """Choose json, html, xml or plain by an Accept value (RFC 9110 section 12.5.1).

    It is json where nothing is asked for, or nothing that there is.
    """
    if not accept:
        return "json"
    best, best_quality = "json", 0.0
    for item in accept[:MAX_ACCEPT].lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        shape = _MEDIA.get(media)
        quality = _quality(parameters)
        if shape is not None and quality > best_quality:
            best, best_quality = shape, quality
    return best


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def render(reply: Reply, exchange: Exchange, default_type: str) -> tuple[Headers, bytes]:
    """Return the headers and body of a reply, Content-Type among them and Content-Length not.

    Faults follow Kong's ``error_handlers.lua``: without Accept, the request's Content-Type decides, and then
    ``default_type``.
    """
    headers = reply.headers.copy() if reply.headers is not None else Headers()
    if reply.body is not None:
        return headers, reply.body
    message = reply.message or MESSAGES.get(reply.status) or REASONS.get(reply.status, b"").decode()
    asked = exchange.request.headers
    accept = asked.get(b"accept")
    if reply.fault and not accept:
        accept = asked.get(b"content-type") or default_type.encode()
    shape = negotiate(accept)
    headers.set(b"Content-Type", _TYPES[shape])
    return headers, _body(shape, message, exchange.request_id)


def _body(shape: str, message: str, request_id: str) -> bytes:
    if shape == "json":
        text = orjson.dumps(message).decode()
        return f'{{\n  "message":{text},\n  "request_id":"{request_id}"\n}}'.encode()
    if shape == "plain":
        return f"{message}\nrequest_id: {request_id}\n".encode()
    safe = html.escape(message)
    if shape == "xml":
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<error>\n  <message>{safe}</message>\n  <requestid>{request_id}</requestid>\n</error>\n"
        ).encode()
    return (
        f'<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>{safe}</title>\n  </head>\n'
        f"  <body>\n    <h1>{safe}</h1>\n    <p>Request id: {request_id}</p>\n  </body>\n</html>\n"
    ).encode()


# cause kinds whose 503 has a message of its own in Kong
_BALANCER_MESSAGES = {
    "no_target": "failure to get a peer from the ring-balancer",
    "name_resolution": "name resolution failed",
}


def failure(error: GatewayError) -> Reply:
    """Return the answer to a request that could not be carried."""
    headers = None
    if error.retry_after:
        headers = Headers.of([(b"Retry-After", b"%d" % error.retry_after)])
    return Reply(error.status, message_for(error), headers=headers, fault=True)


def message_for(error: GatewayError) -> str:
    """Return what the client is told of a failed forward; the cause stays in the log."""
    return _BALANCER_MESSAGES.get(error.kind.value) or MESSAGES[error.status]
