"""One finished exchange as the record of Kong's log plugins. Made off the request path, from what the exchange holds.

The shape is that of ``kong/pdk/log.lua``; ``docs/logging.md`` describes each field and says where it differs. No
credential is in it: see ``Redactor.header`` and ``Redactor.query``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import orjson

from proxyd.telemetry.operated import told
from proxyd.telemetry.redact import REDACTED
from proxyd.telemetry.timing import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.model.entities import Consumer, Route, Service
    from proxyd.telemetry.lua_fields import LuaField
    from proxyd.telemetry.redact import Redactor

WORKSPACE = "0dc6f45b-8f8d-40d2-a504-473544ee190b"  # the id of Kong's only one without a database
KEPT = 4096  # entities whose JSON is remembered, and lines of headers
LONGEST = 256  # bytes of a line that is

_URLS = frozenset({"referer", "location", "content-location"})  # headers that hold a URL


class Recorder:
    """Makes records; ``fields`` are those that a plugin's custom_fields_by_lua adds or takes out."""

    def __init__(self, redactor: Redactor, fields: tuple[LuaField, ...] = ()) -> None:
        self._redactor = redactor
        self._fields = fields
        self._entities: dict[int, tuple[Any, Any]] = {}
        self._told: dict[bytes, tuple[str, Any]] = {}
        self._known = redactor.headers

    def __repr__(self) -> str:
        return f"<Recorder fields={len(self._fields)}>"

    def line(self, exchange: Exchange, wall: float) -> bytes:
        """Return the record as JSON, without a line feed; ``wall`` as ``access_line`` has it."""
        record = self.record(exchange, wall)
        try:
            return orjson.dumps(record)
        except orjson.JSONEncodeError:  # a lone surrogate somewhere: no UTF-8 stands for it
            return orjson.dumps(_clean(record))

    def record(self, exchange: Exchange, wall: float) -> dict[str, Any]:
        """Return the record; entities in it may be JSON already."""
        record = self._record(exchange, wall)
        for field in self._fields:
            field.put(record, exchange, self._redactor)
        return record

    def _record(self, exchange: Exchange, wall: float) -> dict[str, Any]:
        redactor = self._redactor
        route, service, consumer = exchange.route, exchange.service, exchange.consumer
        response = exchange.response
        record = {
            "request": self._request(exchange),
            "upstream_uri": _redacted(exchange.upstream_path, redactor),
            "upstream_status": "" if response is None else str(response.status),
            "response": {
                "status": exchange.status,
                "headers": self._headers(exchange.answer_headers),
                "size": exchange.head_sent + exchange.bytes_sent,
            },
            "latencies": latencies(exchange),
            "tries": _tries(exchange),
            "client_ip": exchange.client_ip,
            "started_at": int((exchange.started + wall) * 1000),
            "source": "kong" if response is None or exchange.own_headers is not None else "upstream",
            "workspace": WORKSPACE,
            "workspace_name": "default",
        }
        if route is not None:
            record["route"] = self._entity(route, _route)
        if service is not None:
            record["service"] = self._entity(service, _service)
        if consumer is not None:
            record["consumer"] = self._entity(consumer, _consumer)
        if (credential := exchange.credential) is not None:
            record["authenticated_entity"] = {
                "id": credential.id,
                "consumer_id": getattr(credential, "consumer", None),
            }
        if exchange.traceparent:
            record["trace_id"] = {"w3c": exchange.traceparent[3:35]}
        if exchange.correlation_id:
            record["correlation_id"] = _text(exchange.correlation_id)
        if exchange.graphql is not None:
            record["graphql"] = told(exchange.graphql)
        return record

    def _request(self, exchange: Exchange) -> dict[str, Any]:
        request = exchange.request
        client = exchange.client
        uri = request.target if request.target[:1] == "/" else request.path + request.query
        uri = _redacted(uri, self._redactor)
        headers = self._headers(request.headers)
        if request.host:
            headers["host"] = request.host
        host = request.host
        if ":" in host and host[-1:].isdigit():
            host = host.rpartition(":")[0]
        made = {
            "id": exchange.request_id,
            "uri": uri,
            "url": f"{exchange.scheme}://{host}:{client.port}{uri}",
            "querystring": _arguments(request.query[1:], self._redactor) if request.query else {},
            "method": request.method,
            "headers": headers,
            "size": exchange.head_received + exchange.bytes_received,
        }
        if client.tls_version:
            made["tls"] = {"version": client.tls_version}
        return made

    def _headers(self, headers: Headers | None) -> dict[str, Any]:
        """Return fields by name; what one line says is remembered, as most come with every request."""
        if headers is None:
            return {}
        redactor, told = self._redactor, self._told
        if redactor.headers is not self._known:  # it has learned names
            self._known = redactor.headers
            told.clear()
        found: dict[str, Any] = {}
        for key, line in headers.lines.items():
            kept = told.get(line)
            if kept is None:
                name, secret = redactor.header(key)
                kept = name, REDACTED if secret else _value(name, line, redactor)
                if not secret and len(line) <= LONGEST:
                    if len(told) >= KEPT:
                        told.clear()
                    told[line] = kept
            found[kept[0]] = kept[1]
        return found

    def _entity(self, entity: Any, dump: Callable[[Any, Redactor], dict[str, Any]]) -> Any:
        """Return an entity's fields, as JSON that is made once, or as a mapping of their own for custom fields."""
        if self._fields:
            return dump(entity, self._redactor)
        kept = self._entities.get(id(entity))
        if kept is None:
            if len(self._entities) >= KEPT:
                self._entities.clear()
            # The entity is kept too, so that its identity stays its own.
            kept = (entity, orjson.Fragment(orjson.dumps(dump(entity, self._redactor))))
            self._entities[id(entity)] = kept
        return kept[1]


def latencies(exchange: Exchange) -> dict[str, int]:
    """Return Kong's four latencies in milliseconds; ``proxy`` is -1 where no upstream has answered."""
    whole, _, own = split(exchange)
    started = exchange.response_started
    asked = exchange.dialled or exchange.sent
    ended = started if exchange.upgraded else exchange.response_ended or exchange.ended
    return {
        "kong": int(own * 1000 + 0.5),
        "proxy": int((started - asked) * 1000 + 0.5) if started and asked else -1,
        "request": int(whole * 1000 + 0.5),
        "receive": int((ended - started) * 1000 + 0.5) if started else 0,
    }


def _tries(exchange: Exchange) -> list[dict[str, Any]]:
    """Return what is known of each try: where it went, and for one that failed, as which status."""
    failed = exchange.failed_tries
    if failed is None:
        return [_place(exchange.address)] if exchange.tries else []
    tries = [{**_place(address), "state": "failed", "code": status} for address, status in failed]
    if exchange.tries > len(tries):
        tries.append(_place(exchange.address))
    return tries


@lru_cache(maxsize=KEPT)
def _place(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return {"ip": address, "port": None}
    return {"ip": host.strip("[]"), "port": int(port)}


# --- headers and arguments -----------------------------------------------------------------------------------


def _value(name: str, line: bytes, redactor: Redactor) -> Any:
    """Return what a field's lines say: a text, or a list of several."""
    if line.find(b"\n") < len(line) - 1:
        return [_text(one.partition(b":")[2].strip()) for one in line.split(b"\n")[:-1]]
    value = _text(line[line.index(b":") + 1 :].strip())
    return redactor.url(value) if name in _URLS else value


def _text(value: bytes) -> str:
    # Bytes that are not UTF-8 are shown as \xNN, so that they can still be told apart.
    return value.decode("utf-8", "backslashreplace")


def _redacted(uri: str, redactor: Redactor) -> str:
    if "?" not in uri:
        return uri
    path, _, query = uri.partition("?")
    return f"{path}?{redactor.query(query)}"


def _arguments(query: str, redactor: Redactor) -> dict[str, Any]:
    """Return the arguments as Kong's PDK has them: true where there is no ``=``, a list where a name is repeated."""
    found: dict[str, Any] = {}
    escaped = "%" in query or "+" in query
    for argument in query.split("&"):
        if not argument:
            continue
        name, mark, text = argument.partition("=")
        value: Any = text if mark else True
        if text and redactor.is_secret(name):
            value = REDACTED
        elif escaped and mark:
            value = unquote_plus(text)
        if escaped:
            name = unquote_plus(name)
        if name not in found:
            found[name] = value
        elif isinstance(before := found[name], list):
            before.append(value)
        else:
            found[name] = [before, value]
    return found


# --- entities ------------------------------------------------------------------------------------------------


def _route(route: Route, redactor: Redactor) -> dict[str, Any]:
    fields = _dump(route)
    fields["service"] = route.service and {"id": route.service}
    if route.headers:
        fields["headers"] = {
            name: [REDACTED] if redactor.header(name.lower().encode())[1] else list(values)
            for name, values in route.headers.items()
        }
    return fields


def _service(service: Service, _redactor: Redactor) -> dict[str, Any]:
    fields = _dump(service)
    fields["client_certificate"] = service.client_certificate and {"id": service.client_certificate}
    return fields


def _consumer(consumer: Consumer, _redactor: Redactor) -> dict[str, Any]:
    return _dump(consumer)


def _dump(entity: Route | Service | Consumer) -> dict[str, Any]:
    fields = entity.model_dump(mode="json")
    fields["tags"] = fields["tags"] or None
    return fields


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_clean(name): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list) else value
