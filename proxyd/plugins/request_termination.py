"""request-termination: an answer in the upstream's place."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qsl

import orjson
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers, is_field_value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from proxyd.exchange import BodySource, Exchange

MAX_ECHO: Final = 1 << 20  # bytes of the largest body that is told

_DEFAULTS = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


class Config(plugin.Config):
    """Settings of request-termination (Kong's ``kong/plugins/request-termination/schema.lua``)."""

    status_code: int = Field(503, ge=200, le=599)
    """Status of the answer; 1xx, which Kong takes, would leave the client waiting for one."""
    message: str | None = Field(None, min_length=1)
    """Text of the answer's JSON message; not together with body or content_type."""
    content_type: str | None = Field(None, min_length=1)
    """Content-Type of the body."""
    body: str | None = None
    """Raw body."""
    echo: bool = False
    """Whether the answer tells what was asked, body and all, and what it matched; for debugging."""
    trigger: str | None = Field(None, min_length=1)
    """Header or query argument without which requests pass."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.message is not None and (self.body is not None or self.content_type is not None):
            raise ValueError("message cannot be used with content_type or body")
        if self.content_type is not None and self.body is None:
            raise ValueError("content_type requires a body")
        if self.content_type is not None and not is_field_value(self.content_type.encode()):
            raise ValueError("content_type is not the value of a header field")
        if self.echo and (self.body is not None or self.content_type is not None):
            raise ValueError("echo cannot be used with content_type or body")
        return self


class RequestTermination(plugin.Plugin[Config]):
    """Answers every request, or those that carry the trigger."""

    name = "request-termination"
    priority = 2
    answers = (
        ("status_code", "always, or with the trigger"),
        (413, "echo, and the body is larger than 1 MiB"),
    )

    def prepare(self) -> None:
        """Write the answer."""
        config = self.config
        self._trigger = config.trigger
        self._message = config.message or _DEFAULTS.get(config.status_code)
        if config.body is not None:
            self._body = config.body.encode()
        else:
            self._body = orjson.dumps({"message": self._message}) if self._message else b""
        content_type = config.content_type or "application/json; charset=utf-8"
        typed = self._body or config.body is not None or config.echo
        self._headers = Headers.of([(b"Content-Type", content_type.encode())] if typed else [])

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply] | None:
        """Answer, unless the trigger is missing; an echo waits for the body."""
        if self._trigger is not None and not self._triggered(exchange, self._trigger):
            return None
        if not self.config.echo:
            return Reply(self.config.status_code, body=self._body, headers=self._headers)
        if exchange.buffered is None and exchange.body is not None and exchange.request.framing:
            return self._echo_with_body(exchange, exchange.body)
        return self._echo(exchange)

    def _triggered(self, exchange: Exchange, trigger: str) -> bool:
        if trigger.lower().encode() in exchange.headers:
            return True
        return any(
            name == trigger for name, _ in parse_qsl(exchange.request.query[1:], keep_blank_values=True)
        )

    # --- the echo --------------------------------------------------------------------------------------------

    async def _echo_with_body(self, exchange: Exchange, body: BodySource) -> Reply:
        await body.read(MAX_ECHO)
        return self._echo(exchange)

    def _echo(self, exchange: Exchange) -> Reply:
        request = exchange.request
        host, _, port = request.host.rpartition(":")
        if not port.isdecimal():
            host, port = request.host, str(exchange.client.port)
        told = {
            "scheme": exchange.scheme,
            "host": host,
            "port": int(port),
            "method": request.method,
            "path": request.path,
            "query": _grouped(parse_qsl(request.query[1:], keep_blank_values=True)),
            "headers": _grouped(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
            ),
            "uri_captures": {str(name): text for name, text in (exchange.captures or {}).items()},
            "body": _read(exchange),
            "raw_body": (exchange.buffered or b"").decode("utf-8", "replace"),
        }
        body = {
            "message": self._message,
            "request": told,
            "matched_route": exchange.route and exchange.route.model_dump(mode="json"),
            "matched_service": exchange.service and exchange.service.model_dump(mode="json"),
        }
        return Reply(self.config.status_code, body=orjson.dumps(body), headers=self._headers)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Return values by name, as a list where there are several of one."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def _read(exchange: Exchange) -> Any:
    """Return what a form or a JSON body says, None for others."""
    body = exchange.buffered or b""
    media = (exchange.headers.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    if media == b"application/x-www-form-urlencoded":
        return _grouped(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if media == b"application/json":
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(body)
    return None
