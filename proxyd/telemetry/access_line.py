"""One finished exchange as one JSON line. Made off the request path, from what the exchange holds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.telemetry.operated import told
from proxyd.telemetry.timing import NO_UPSTREAM, connect_seconds, split

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.telemetry.redact import Redactor


def access_line(exchange: Exchange, wall: float, redactor: Redactor) -> bytes:
    """Return the line, with its line feed.

    ``wall`` is what to add to a monotonic time to have seconds since the epoch. Every field is in every line,
    null where there is nothing to say; ``docs/monitoring.md`` describes them. No header is logged but
    User-Agent and Referer.
    """
    fields = _fields(exchange, wall, redactor)
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate somewhere: no UTF-8 stands for it
        clean = {name: _clean(value) for name, value in fields.items()}
        return orjson.dumps(clean, option=orjson.OPT_APPEND_NEWLINE)


def _fields(exchange: Exchange, wall: float, redactor: Redactor) -> dict[str, Any]:
    request = exchange.request
    route, service = exchange.route, exchange.service
    error = exchange.error
    response = exchange.response
    _, upstream, own = split(exchange)
    referer = _header(exchange, b"referer")
    return {
        "time": timestamp(exchange.started + wall),
        "request_id": exchange.request_id,
        "trace_id": exchange.traceparent[3:35] or None,
        "client_ip": exchange.client_ip,
        "scheme": exchange.scheme,
        "tls_version": exchange.client.tls_version or None,
        "method": request.method,
        "host": exchange.request.host,
        "path": request.path,
        "query": redactor.query(request.query[1:]) if request.query else None,
        "protocol": f"HTTP/1.{request.minor}",
        "status": exchange.status,
        "bytes_received": exchange.bytes_received,
        "bytes_sent": exchange.bytes_sent,
        "route": route and (route.name or route.id),
        "service": service and (service.name or service.id),
        "consumer": exchange.consumer and exchange.consumer.label,
        "upstream": exchange.peer or None,
        "upstream_status": response and response.status,
        "tries": exchange.tries,
        "total_ms": milliseconds(exchange.ended - exchange.started),
        "gateway_ms": milliseconds(own),
        "upstream_ms": None if upstream == NO_UPSTREAM else milliseconds(upstream),
        "connect_ms": milliseconds(connect_seconds(exchange))
        if exchange.dialled and exchange.connected
        else None,
        "user_agent": _header(exchange, b"user-agent"),
        "referer": referer and redactor.url(referer),
        "upgraded": exchange.upgraded,
        "aborted": exchange.aborted,
        "error": error and error.kind.value,
        "error_source": error and error.source.value,
        "error_cause": (error.cause if error else exchange.refusal) or None,
        "graphql": exchange.graphql and told(exchange.graphql),
    }


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch in RFC 3339's form, UTC, in milliseconds."""
    whole = int(seconds * 1000)
    return f"{_second(whole // 1000)}.{whole % 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds, to the microsecond."""
    return int(seconds * 1_000_000 + 0.5) / 1000


def _header(exchange: Exchange, name: bytes) -> str | None:
    value = exchange.request.headers.get(name)
    # Bytes that are not UTF-8 are shown as \xNN, so that they can still be told apart.
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _clean(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
