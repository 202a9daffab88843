"""http-log: each request's record to a collector over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator
from yarl import URL

from proxyd.bases import logger
from proxyd.bases.logger import QueueLogger
from proxyd.http1.headers import is_field_value
from proxyd.model.grammar import HeaderName  # noqa: TC001  # pydantic reads it
from proxyd.telemetry.http_sender import HttpSender, HttpTarget

if TYPE_CHECKING:
    from collections.abc import Hashable

    from proxyd.telemetry.queue import Limits

OWN = frozenset({"host", "content-length", "content-type"})  # headers that other settings say, or nobody


class Config(logger.QueueConfig, logger.Config):
    """Settings of http-log (Kong's ``kong/plugins/http-log/schema.lua``)."""

    http_endpoint: str = Field(repr=False)
    """Address of the collector; a user and a password in it are sent as Authorization, and shown nowhere."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    """Method of the request."""
    content_type: Literal["application/json", "application/json; charset=utf-8"] = "application/json"
    """Content-Type of the request."""
    timeout: float = Field(10_000, gt=0)
    """Milliseconds for one delivery."""
    keepalive: float = Field(60_000, gt=0)
    """Milliseconds that an idle connection is kept."""
    headers: dict[HeaderName, str | tuple[str, ...]] | None = Field(None, repr=False)
    """Further headers; neither Host nor Content-Length nor Content-Type."""

    @field_validator("http_endpoint")
    @classmethod
    def _check_endpoint(cls, text: str) -> str:
        try:
            url = URL(text)
            fine = url.scheme in {"http", "https"} and bool(url.host)
        except ValueError:
            fine = False
        if not fine:
            raise ValueError("must be a URL that begins with http:// or https:// and has a host")
        return text

    @field_validator("headers")
    @classmethod
    def _check_headers(
        cls, headers: dict[str, str | tuple[str, ...]] | None
    ) -> dict[str, str | tuple[str, ...]] | None:
        for name, value in (headers or {}).items():
            if name.lower() in OWN:
                raise ValueError(f"cannot contain {name}")
            values = (value,) if isinstance(value, str) else value
            if not all(is_field_value(one.encode()) for one in values):
                raise ValueError(f"the value of {name} cannot stand in a header")
        return headers

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        named = {name.lower() for name in self.headers or ()}
        if "authorization" in named and URL(self.http_endpoint).user is not None:
            raise ValueError("an Authorization header and a user in http_endpoint exclude one another")
        return self


class HttpLog(QueueLogger[Config]):
    """Sends the record of each request to a collector: one as an object, batches of several as arrays."""

    name = "http-log"
    priority = 12

    def limits(self) -> Limits:
        """Return what the queue is held to."""
        return self.config.limits()

    def output_key(self) -> Hashable:
        """Share the queue with instances that differ in custom fields alone."""
        return self.name, self.limits(), self._target()

    def _target(self) -> HttpTarget:
        config = self.config
        pairs = (config.headers or {}).items()
        return HttpTarget(
            url=config.http_endpoint,
            method=config.method,
            content_type=config.content_type,
            headers=tuple(
                (name, one)
                for name, value in pairs
                for one in ((value,) if isinstance(value, str) else value)
            ),
            timeout=config.timeout / 1000,
            keepalive=config.keepalive / 1000,
            array=self.limits().max_batch_size > 1,
        )

    def sender(self) -> tuple[str, HttpSender]:
        """Return the collector's name and what sends there."""
        target = self._target()
        return target.destination, HttpSender(target, self.kit.outputs.tls)
