"""redirect: an answer that sends clients elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Config(plugin.Config):
    """Settings of redirect (Kong's ``kong/plugins/redirect/schema.lua``)."""

    status_code: Literal[300, 301, 302, 303, 304, 305, 306, 307, 308] = 301
    """Status of the answer."""
    location: str = Field(pattern=r"^[!-~]+$")
    """URL that clients are sent to."""
    keep_incoming_path: bool = False
    """Whether the request's path and query take the place of the URL's."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            parts = urlsplit(self.location)
        except ValueError as error:
            raise ValueError(f"location is not a URL: {error}") from None
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError("location is not an http or https URL")
        return self


class Redirect(plugin.Plugin[Config]):
    """Sends every client to another URL."""

    name = "redirect"
    priority = 779
    answers = (("status_code", "always"),)

    def prepare(self) -> None:
        """Keep scheme and host apart from the path."""
        parts = urlsplit(self.config.location)
        self._base = f"{parts.scheme}://{parts.netloc}"

    def access(self, exchange: Exchange) -> Reply:
        """Answer."""
        location = self.config.location
        if self.config.keep_incoming_path:
            request = exchange.request
            location = f"{self._base}{request.path}{request.query}"
        headers = Headers.of(
            [(b"Location", location.encode()), (b"Content-Type", b"text/plain; charset=utf-8")]
        )
        return Reply(self.config.status_code, body=b"redirecting", headers=headers)
