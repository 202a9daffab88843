"""One finished exchange as one JSON line. Made off the request path, from what the exchange holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from proxyd.telemetry.operated import TEXT, told
from proxyd.telemetry.timing import NO_UPSTREAM, connect_seconds, split

if TYPE_CHECKING:
    from proxyd.exchange import Exchange, Operated
    from proxyd.model.entities import Consumer, Route, Service
    from proxyd.telemetry.redact import Redactor

_NUMBERS: Final = tuple([str(number) for number in range(1000)])  # up to any status
_SHARES: Final = tuple([repr(number / 1000)[1:] for number in range(1000)])  # .0, .001 and so on
_MILLISECONDS: Final = tuple([f".{number:03d}Z" for number in range(1000)])
# Microseconds that make milliseconds of 15 digits at most, as many as a float tells apart.
_EXACT: Final = 10**15
_REMEMBERED: Final = 1024  # texts that recur
_LONGEST: Final = 256  # characters of one, a host's at most

_WRITTEN: Final[dict[str, str]] = {}


def access_line(exchange: Exchange, wall: float, redactor: Redactor) -> bytes:
    """Return the line, with its line feed.

    ``wall`` is what to add to a monotonic time to have seconds since the epoch. Every field is in every line,
    null where there is nothing to say; ``docs/monitoring.md`` describes them. No header is logged but
    User-Agent and Referer.
    """
    request = exchange.request
    response = exchange.response
    _, upstream, own = split(exchange)
    connected = exchange.dialled and exchange.connected
    referer = _header(exchange, b"referer")
    # One text, since a dictionary of these takes as long to make and to write as all that is in it.
    return (
        f'{{"time":"{timestamp(exchange.started + wall)}"'
        f',"request_id":{_text(exchange.request_id)}'
        f',"trace_id":{_text(exchange.traceparent[3:35] or None)}'
        f',"client_ip":{_word(exchange.client_ip)}'
        f',"scheme":{_word(exchange.scheme)}'
        f',"tls_version":{_word(exchange.client.tls_version or None)}'
        f',"method":{_word(request.method)}'
        f',"host":{_word(request.host)}'
        f',"path":{_text(request.path)}'
        f',"query":{_text(redactor.query(request.query[1:])) if request.query else "null"}'
        f',"protocol":"HTTP/1.{_number(request.minor)}"'
        f',"status":{_number(exchange.status)}'
        f',"bytes_received":{_number(exchange.bytes_received)}'
        f',"bytes_sent":{_number(exchange.bytes_sent)}'
        f',"route":{_name(exchange.route)}'
        f',"service":{_name(exchange.service)}'
        f',"consumer":{_label(exchange.consumer)}'
        f',"upstream":{_word(exchange.peer or None)}'
        f',"upstream_status":{"null" if response is None else _number(response.status)}'
        f',"tries":{_number(exchange.tries)}'
        f',"total_ms":{_milliseconds(exchange.ended - exchange.started)}'
        f',"gateway_ms":{_milliseconds(own)}'
        f',"upstream_ms":{"null" if upstream == NO_UPSTREAM else _milliseconds(upstream)}'
        f',"connect_ms":{_milliseconds(connect_seconds(exchange)) if connected else "null"}'
        f',"user_agent":{_text(_header(exchange, b"user-agent"))}'
        f',"referer":{_text(redactor.url(referer) if referer else referer)}'
        f',"upgraded":{"true" if exchange.upgraded else "false"}'
        f',"aborted":{"true" if exchange.aborted else "false"}'
        f'{_failure(exchange)},"graphql":{_operated(exchange.graphql)}}}\n'
    ).encode()


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch in RFC 3339's form, UTC, in milliseconds."""
    whole = int(seconds * 1000)
    return _second(whole // 1000) + _MILLISECONDS[whole % 1000]


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds, to the microsecond."""
    return int(seconds * 1_000_000 + 0.5) / 1000


def _milliseconds(seconds: float) -> str:
    """Write these."""
    count = int(seconds * 1_000_000 + 0.5)
    if not 0 <= count < _EXACT:
        return orjson.dumps(count / 1000).decode()
    whole = count // 1000
    return _number(whole) + _SHARES[count - whole * 1000]


def _number(number: int) -> str:
    return _NUMBERS[number] if 0 <= number < 1000 else str(number)  # noqa: PLR2004  # as many as there are


def _header(exchange: Exchange, name: bytes) -> str | None:
    value = exchange.request.headers.get(name)
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:  # shown as \xNN, so that they can still be told apart
        return value.decode("utf-8", "backslashreplace")


# --- texts ---------------------------------------------------------------------------------------------------


def _text(text: str | None) -> str:
    """Write a text as JSON has it."""
    if text is None:
        return "null"
    try:
        return orjson.dumps(text).decode()
    except orjson.JSONEncodeError:  # a lone surrogate somewhere: no UTF-8 stands for it
        return orjson.dumps(text.encode("utf-8", "backslashreplace").decode()).decode()


def _word(text: str | None) -> str:
    """Write a text that is likely to come again."""
    if text is None:
        return "null"
    written = _WRITTEN.get(text)
    if written is None:
        written = _text(text)
        if len(text) <= _LONGEST:
            if len(_WRITTEN) >= _REMEMBERED:
                _WRITTEN.clear()
            _WRITTEN[text] = written
    return written


def _name(entity: Route | Service | None) -> str:
    return "null" if entity is None else _word(entity.name or entity.id)


def _label(consumer: Consumer | None) -> str:
    return "null" if consumer is None else _word(consumer.username or consumer.label)


def _failure(exchange: Exchange) -> str:
    error = exchange.error
    if error is None:
        return f',"error":null,"error_source":null,"error_cause":{_text(exchange.refusal or None)}'
    kind, source = _text(error.kind.value), _text(error.source.value)
    return f',"error":{kind},"error_source":{source},"error_cause":{_text(error.cause or None)}'


def _operated(graphql: Operated | None) -> str:
    if graphql is None:
        return "null"
    if not (graphql.codes or graphql.cost) and len(graphql.name) <= TEXT:
        known = "true" if graphql.known else "false"
        count = _number(graphql.count)
        depth = _number(graphql.depth) if graphql.depth else "null"
        named = _operation(graphql.name, graphql.type, graphql.digest)
        return f'{named},"cost":null,"depth":{depth},"operations":{count},"known":{known},"errors":[]}}'
    fields = told(graphql)
    try:
        return orjson.dumps(fields).decode()
    except orjson.JSONEncodeError:  # the same
        return json.dumps(fields, separators=(",", ":"))


@lru_cache(maxsize=256)  # of which there are few; a name is short here
def _operation(name: str, kind: str, digest: str) -> str:
    """Write the beginning of what ``told`` says, which is the same for each request of an operation."""
    return f'{{"operation":{_text(name or None)},"type":{_text(kind or None)},"hash":{_text(digest or None)}'
