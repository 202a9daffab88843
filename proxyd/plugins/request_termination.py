"""request-termination: an answer in the upstream's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

import orjson
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers, is_field_value

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

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
    """Whether the answer tells what was asked, for debugging."""
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
    answers = (("status_code", "always, or with the trigger"),)

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

    def access(self, exchange: Exchange) -> Reply | None:
        """Answer, unless the trigger is missing."""
        if self._trigger is not None and not self._triggered(exchange, self._trigger):
            return None
        body = self._echoed(exchange) if self.config.echo else self._body
        return Reply(self.config.status_code, body=body, headers=self._headers)

    def _triggered(self, exchange: Exchange, trigger: str) -> bool:
        if trigger.lower().encode() in exchange.headers:
            return True
        return any(
            name == trigger for name, _ in parse_qsl(exchange.request.query[1:], keep_blank_values=True)
        )

    def _echoed(self, exchange: Exchange) -> bytes:
        request = exchange.request
        matched: dict[str, Any] = {
            "service": exchange.service and {"id": exchange.service.id, "name": exchange.service.name},
            "route": exchange.route and {"id": exchange.route.id, "name": exchange.route.name},
            "uri_captures": exchange.captures
            and {str(name): text for name, text in exchange.captures.items()},
        }
        return orjson.dumps(
            {
                "message": self._message,
                "trigger": self.config.trigger,
                "request": {
                    "scheme": exchange.scheme,
                    "host": request.host,
                    "method": request.method,
                    "path": request.path,
                    "query": request.query[1:],
                    "headers": {
                        name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
                    },
                },
                "matched_route": matched,
            }
        )
