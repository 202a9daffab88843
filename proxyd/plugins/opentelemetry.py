"""opentelemetry: traces to a collector, by OTLP over HTTP."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from proxyd.bases import tracing
from proxyd.http1.headers import is_field_value
from proxyd.model.grammar import HeaderName

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.telemetry.otlp import OtlpSender
    from proxyd.telemetry.spans import Span, Trace

DEFAULT_RATE = 0.01  # Kong's tracing_sampling_rate


def check_value(text: str) -> str:
    """Accept what can stand in a header; the text may be a secret and is not shown."""
    if not text.isascii() or not is_field_value(text.encode()):
        raise ValueError("holds characters that cannot stand in a header")
    return text


HeaderValue = Annotated[str, AfterValidator(check_value)]


class Config(tracing.Config):
    """Settings of opentelemetry (Kong's ``kong/plugins/opentelemetry/schema.lua``)."""

    traces_endpoint: tracing.Endpoint = Field(repr=False)
    """URL of the collector, path included: usually one that ends in /v1/traces. Its older name is endpoint."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, repr=False)
    """Headers sent to the collector, such as those that it knows its senders by."""
    resource_attributes: dict[str, str] = Field(default_factory=dict)
    """What is told of the gateway, beside service.name (kong), service.version and service.instance.id."""
    sampling_rate: float | None = Field(None, ge=0, le=1)
    """Share of traces that are recorded, 0.01 if not given."""
    sampling_strategy: Literal["parent_drop_probability_fallback", "parent_probability_fallback"] = (
        "parent_drop_probability_fallback"
    )
    """Whether a client's yes is believed (the latter), or held to sampling_rate if given; its no always is believed."""
    batch_span_count: int | None = Field(None, ge=1)
    """The older name of queue.max_batch_size."""
    batch_flush_delay: int | None = Field(None, ge=0)
    """The older name of queue.max_coalescing_delay."""

    @model_validator(mode="before")
    @classmethod
    def _older(cls, data: Any) -> Any:
        if not installed():
            raise ValueError(
                "opentelemetry needs packages that are not installed", "pip install 'proxyd[otel]'"
            )
        if isinstance(data, dict) and data.get("logs_endpoint") is not None:
            raise ValueError(
                "logs are not exported by OTLP", "http-log and file-log have a record per request"
            )
        if not isinstance(data, dict):
            return data
        data = {name: value for name, value in data.items() if name != "logs_endpoint"}
        endpoint = data.pop("endpoint", None)
        if endpoint is not None and data.get("traces_endpoint") is None:
            data["traces_endpoint"] = endpoint
        return data


def installed() -> bool:
    """Whether the extra ``otel`` is."""
    with contextlib.suppress(ModuleNotFoundError):
        return all(
            find_spec(f"opentelemetry.{name}") is not None
            for name in ("sdk.trace", "exporter.otlp.proto.common")
        )
    return False


class OpenTelemetry(tracing.Tracing[Config]):
    """Records a trace of the request and of the upstream's part in it, and hands the upstream its place below.

    Two spans for each sampled request: ``kong``, and ``kong.balancer`` if an upstream was asked.
    """

    name = "opentelemetry"
    priority = 14
    default_format = "w3c"

    def prepare(self) -> None:
        """Take over what Kong would decide from its own settings."""
        config = self.config
        self.rate = DEFAULT_RATE if config.sampling_rate is None else config.sampling_rate
        self.follows = (
            config.sampling_rate is None or config.sampling_strategy == "parent_probability_fallback"
        )
        super().prepare()
        from proxyd.telemetry import otlp  # noqa: PLC0415  # an extra, and long to import

        self._otlp = otlp

    def sender(self) -> OtlpSender:
        """Return what encodes spans, and posts them."""
        config = self.config
        headers = {**config.headers, "Content-Type": "application/x-protobuf"}
        return self._otlp.OtlpSender(self.post(config.traces_endpoint, headers), config.resource_attributes)

    def queue(self) -> tracing.Queue:
        """Return the queue's settings, with the older names' where the newer ones are not given."""
        config = self.config
        older = {"max_batch_size": config.batch_span_count, "max_coalescing_delay": config.batch_flush_delay}
        given = config.queue.model_fields_set
        return config.queue.model_copy(
            update={name: value for name, value in older.items() if value is not None and name not in given}
        )

    def spans(self, exchange: Exchange, trace: Trace, wall: float) -> list[Span]:
        """Return the spans of an exchange that is over."""
        return self._otlp.spans_of(exchange, trace, wall, self.kit.redactor)
