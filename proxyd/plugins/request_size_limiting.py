"""request-size-limiting: bodies no larger than this, whether they say their size or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from proxyd import plugin
from proxyd.exchange import Reply

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

_UNITS = {"megabytes": 1024 * 1024, "kilobytes": 1024, "bytes": 1}
_TOO_LARGE = "Request size limit exceeded"


class Config(plugin.Config):
    """Settings of request-size-limiting (Kong's ``kong/plugins/request-size-limiting/schema.lua``)."""

    allowed_payload_size: int = Field(128, ge=0)
    """Size of the largest body."""
    size_unit: Literal["megabytes", "kilobytes", "bytes"] = "megabytes"
    """Unit of that size, in steps of 1024."""
    require_content_length: bool = False
    """Whether a body must say its size beforehand, or come in chunks."""


class RequestSizeLimiting(plugin.Plugin[Config]):
    """Refuses a body that says it is too large at once, and any other where it becomes so.

    The setting client_max_body_size holds too: the smaller of the two counts.
    """

    name = "request-size-limiting"
    priority = 951
    answers = (
        (411, "require_content_length, and the body does not say its size"),
        (413, "the body is too large"),
        (417, "the same, of a client that asked with Expect: 100-continue"),
    )

    def prepare(self) -> None:
        """Count the limit in bytes."""
        self._limit = self.config.allowed_payload_size * _UNITS[self.config.size_unit]

    def access(self, exchange: Exchange) -> Reply | None:
        """Look at Content-Length and at what has been read, and have the rest watched on its way."""
        request = exchange.request
        if exchange.bytes_received > self._limit:  # an earlier plugin has read it
            return Reply(413, _TOO_LARGE)
        if request.framing > self._limit:
            return Reply(417 if request.expect_continue else 413, _TOO_LARGE)
        if request.framing < 0:  # chunked
            exchange.body_limit = self._limit
        elif self.config.require_content_length and b"content-length" not in request.headers:
            return Reply(411, "A valid Content-Length header is required")
        return None
