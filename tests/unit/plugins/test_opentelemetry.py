"""opentelemetry: whose trace a request is part of, what the upstream is told, and which spans are made."""

from __future__ import annotations

import json

import pytest
from conversation import FakeClock
from plugin_case import kit, make
from pydantic import ValidationError
from tracing_case import ANN, SPAN, TRACE, W3C, Collected, end, plain, traced

from proxyd.errors import ConfigError, GatewayError, Kind
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.model.load import load_text
from proxyd.plugins import BY_NAME, opentelemetry
from proxyd.plugins.opentelemetry import OpenTelemetry
from proxyd.telemetry.propagation import read_b3_single, read_jaeger, read_w3c

pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed")

ENDPOINT = "http://collector:4318/v1/traces"
CLOCK = FakeClock()
WALL = CLOCK.time() - CLOCK.now()


@pytest.fixture
def tracer():
    """Give what makes an instance that records everything, into ``instance.kept``."""

    def start(**config):
        instance = make(
            OpenTelemetry, kit(clock=CLOCK), **{"traces_endpoint": ENDPOINT, "sampling_rate": 1, **config}
        )
        instance._shipper = instance.kept = Collected()
        return instance

    return start


def up(made):
    """Return the request's fields as the upstream would get them."""
    lines = made.headers.encode().decode().split("\r\n")[:-1]
    return dict(line.lower().split(": ", 1) for line in lines)


# --- settings ------------------------------------------------------------------------------------------------


def load(**config):
    text = json.dumps({"_format_version": "3.0", "plugins": [{"name": "opentelemetry", "config": config}]})
    loaded = load_text(text, env={}, plugins={name: one.Config for name, one in BY_NAME.items()})
    (found,) = loaded.plugin_configs.values()
    return found


def test_the_older_names_are_understood():
    """endpoint, batch_span_count and batch_flush_delay, with the new names winning."""
    config = load(endpoint=ENDPOINT, batch_span_count=7, batch_flush_delay=2)
    assert config.traces_endpoint == ENDPOINT
    limits = make(OpenTelemetry, kit(), **config.model_dump(exclude_unset=True)).queue().limits()
    assert (limits.max_batch_size, limits.max_coalescing_delay) == (7, 2)
    config = load(
        endpoint="http://old", traces_endpoint=ENDPOINT, batch_span_count=7, queue={"max_batch_size": 9}
    )
    assert config.traces_endpoint == ENDPOINT
    assert make(OpenTelemetry, kit(), **config.model_dump(exclude_unset=True)).queue().max_batch_size == 9


def test_an_export_with_nulls_loads():
    """Kong writes every field; those without a value count as not given."""
    config = load(
        traces_endpoint=ENDPOINT,
        logs_endpoint=None,
        headers=None,
        sampling_rate=None,
        queue=None,
        propagation=None,
    )
    assert config.sampling_rate is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "traces_endpoint"),
        ({"traces_endpoint": "collector:4318"}, "traces_endpoint"),
        ({"traces_endpoint": ENDPOINT, "logs_endpoint": "http://x"}, "logs are not exported"),
        ({"traces_endpoint": ENDPOINT, "sampling_rate": 1.5}, "sampling_rate"),
        ({"traces_endpoint": ENDPOINT, "propagation": {"inject": ["datadog"]}}, "inject"),
        ({"traces_endpoint": ENDPOINT, "header_type": "ot"}, "header_type"),
        ({"traces_endpoint": ENDPOINT, "metrics": {}}, "metrics"),
        ({"traces_endpoint": "http://h:99999/x"}, "not a URL"),
        ({"traces_endpoint": "http:///x"}, "not a URL"),
        ({"traces_endpoint": ENDPOINT, "headers": {"X-Key": "a\r\nb"}}, "headers"),
        ({"traces_endpoint": ENDPOINT, "headers": {"X Key": "a"}}, "headers"),
    ],
)
def test_what_is_not_done_is_refused(config, message):
    """An unknown format, a rate beyond all, logs: each with the reason."""
    with pytest.raises(ConfigError) as caught:
        load(**config)
    assert message in str(caught.value)


def test_without_the_extra_the_file_is_refused(monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(opentelemetry, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'proxyd\[otel\]'"):
        load(traces_endpoint=ENDPOINT)


async def test_the_collectors_key_is_not_shown():
    """Headers may hold secrets, and a URL too: neither is in a repr or in the name for the log."""
    config = load(traces_endpoint="http://me:secret@collector/v1/traces", headers={"api-key": "secret"})
    instance = make(OpenTelemetry, kit(), **config.model_dump(exclude_unset=True))
    await instance.start()
    assert repr(instance._shipper).startswith("<Shipper collector waiting=0")
    await instance.stop()
    assert "secret" not in repr(config)


# --- access --------------------------------------------------------------------------------------------------


def test_a_trace_begins_here(tracer):
    """Without a context there is a new trace; the upstream's parent is the span of its own part."""
    instance, made = tracer(), plain()
    assert instance.access(made) is None
    trace = made.context["opentelemetry"]
    assert trace.parent_id == 0
    assert made.headers.raw is not None  # nothing was split for it
    assert (
        up(made)["traceparent"] == f"00-{trace.trace_id:032x}-{trace.client_id:016x}-01" == made.traceparent
    )


def test_a_trace_goes_on(tracer):
    """The client's span is the parent of the request's, and that of the upstream's part."""
    instance, made = tracer(), traced((b"traceparent", W3C.encode()), (b"tracestate", b"a=1"))
    instance.access(made)
    trace = made.context["opentelemetry"]
    assert (f"{trace.trace_id:032x}", f"{trace.parent_id:016x}") == (TRACE, SPAN)
    context = read_w3c(made.headers)
    assert (context.trace_id, context.span_id, context.sampled) == (int(TRACE, 16), trace.client_id, True)
    assert made.headers.get(b"tracestate") == b"a=1"


@pytest.mark.parametrize(
    ("config", "parent", "recorded"),
    [
        ({"sampling_rate": 1}, "00", False),
        ({"sampling_rate": 0}, "01", False),
        ({"sampling_rate": 0, "sampling_strategy": "parent_probability_fallback"}, "01", True),
        ({"sampling_rate": 1, "sampling_strategy": "parent_probability_fallback"}, "00", False),
        ({"sampling_rate": None}, "01", True),
        ({"sampling_rate": 1}, None, True),
        ({"sampling_rate": 0}, None, False),
    ],
)
def test_who_decides_whether_a_trace_is_recorded(tracer, config, parent, recorded):
    """A client's no always counts, its yes where no rate is set or the strategy says so; the rate decides otherwise."""
    fields = [(b"traceparent", W3C[:-2].encode() + parent.encode())] if parent else []
    instance, made = tracer(**config), traced(*fields)
    instance.access(made)
    assert (made.context["opentelemetry"] is not None) is recorded
    context = read_w3c(made.headers)
    assert context.sampled is recorded
    if parent and not recorded:
        assert context.span_id == int(SPAN, 16)  # the upstream's parent is whom the viewer knows
    instance.log(end(made))
    assert bool(instance.kept.spans) is recorded


def test_the_rate_is_a_share_of_trace_ids(tracer):
    """Who sees the same id decides the same: half of the ids is below the middle."""
    instance = tracer(sampling_rate=0.5)
    for low, recorded in (("0" * 15 + "1", True), ("7" + "f" * 15, True), ("8" + "0" * 15, False)):
        made = traced((b"b3", f"{'a' * 16}{low}-{SPAN}".encode()))
        instance.access(made)
        assert (made.context["opentelemetry"] is not None) is recorded


@pytest.mark.parametrize(
    ("config", "sent", "written"),
    [
        ({}, {}, {"traceparent"}),
        ({}, {b"b3": f"{TRACE}-{SPAN}-1"}, {"b3"}),
        ({}, {b"uber-trace-id": f"{TRACE}:{SPAN}:0:1"}, {"uber-trace-id"}),
        ({"header_type": "jaeger"}, {b"b3": f"{TRACE}-{SPAN}-1"}, {"b3", "uber-trace-id"}),
        ({"header_type": "w3c"}, {b"traceparent": W3C}, {"traceparent"}),
        ({"header_type": "ignore"}, {b"b3": f"{TRACE}-{SPAN}-1"}, {"b3", "traceparent"}),
        ({"propagation": {"default_format": "jaeger"}}, {}, {"uber-trace-id"}),
        ({"propagation": {"inject": ["w3c", "b3-single"]}}, {}, {"traceparent", "b3"}),
        (
            {"propagation": {"extract": ["ot", "b3"], "clear": ["b3"], "inject": ["w3c"]}},
            {b"b3": f"{TRACE}-{SPAN}-1"},
            {"traceparent"},
        ),
        ({"propagation": {"extract": ["w3c"]}}, {b"traceparent": W3C}, {"traceparent"}),
    ],
)
def test_formats_are_read_and_written_as_configured(tracer, config, sent, written):
    """header_type as in Kong's older files, propagation where it says anything."""
    instance = tracer(**config)
    made = traced(*((name, value.encode()) for name, value in sent.items())) if sent else plain()
    instance.access(made)
    assert up(made).keys() - {"accept"} == written


def test_a_context_that_is_ignored_is_no_parent(tracer):
    """header_type: ignore begins a trace of its own."""
    instance, made = tracer(header_type="ignore"), traced((b"traceparent", W3C.encode()))
    instance.access(made)
    assert made.context["opentelemetry"].parent_id == 0
    assert read_w3c(made.headers).trace_id != int(TRACE, 16)


def test_every_format_tells_the_same_place(tracer):
    """Three formats at once, one span."""
    instance = tracer(propagation={"extract": ["w3c"], "inject": ["w3c", "b3-single", "jaeger"]})
    made = traced((b"traceparent", W3C.encode()))
    instance.access(made)
    places = {(one.trace_id, one.span_id) for one in (
        read_w3c(made.headers), read_b3_single(made.headers), read_jaeger(made.headers)
    )}  # fmt: skip
    assert places == {(int(TRACE, 16), made.context["opentelemetry"].client_id)}


# --- header_filter -------------------------------------------------------------------------------------------


def test_the_client_is_told_the_trace_if_asked(tracer):
    """Of a request that was answered early too."""
    instance = tracer(http_response_header_for_traceid="X-Trace")
    early, late = traced((b"traceparent", W3C.encode())), plain()
    instance.access(late)
    for made in (early, late):
        headers = Headers()
        instance.header_filter(made, 200, headers)
        assert headers.get(b"x-trace") == made.traceparent[3:35].encode()
    assert early.traceparent[3:35] == TRACE
    quiet, headers = tracer(), Headers()
    quiet.header_filter(late, 200, headers)
    assert dict(headers) == {}


# --- log -----------------------------------------------------------------------------------------------------


def test_an_exchange_is_two_spans(tracer):
    """The request's, of kind server, and below it the upstream's part, with the times of the exchange."""
    instance, made = tracer(), plain(b"User-Agent: curl/8\r\n", "/a?x=1&token=hidden")
    made.request_id, made.consumer = "id", ANN
    instance.access(made)
    instance.log(end(made))
    server, client = instance.kept.spans
    assert (server.name, server.kind, client.name, client.kind) == (
        "kong",
        "SERVER",
        "kong.balancer",
        "CLIENT",
    )
    assert client.parent_id == server.span_id
    assert client.span_id == made.context["opentelemetry"].client_id
    epoch = (1000.0 + WALL) * 1e9
    times = [server.start, server.end, client.start, client.end, *(event.time for event in client.events)]
    assert [round((at - epoch) / 1e6) for at in times] == [0, 50, 1, 45, 11, 41]
    assert [event.name for event in client.events] == ["connected", "answer began"]
    assert server.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a",
        "url.query": "x=1&token=REDACTED",
        "client.address": "192.0.2.1",
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 4000,
        "network.protocol.version": "1.1",
        "server.address": "api.test",
        "server.port": 8443,
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "http.response.body.size": 0,
        "user_agent.original": "curl/8",
        "kong.request.id": "id",
        "kong.route": "orders",
        "kong.service": "shop",
        "kong.consumer": "ann",
    }
    assert client.attributes == {
        "http.request.method": "GET",
        "url.full": "http://10.0.0.1:8080/up?x=1&token=REDACTED",
        "server.address": "10.0.0.1",
        "server.port": 8080,
        "http.response.status_code": 200,
    }
    assert (server.error, client.error) == ("", "")


def test_an_answer_of_the_gateways_own_is_one_span(tracer):
    """A request that was refused before this plugin's turn is recorded all the same, in its client's trace."""
    instance, made = tracer(), traced((b"traceparent", W3C.encode()))
    instance.log(end(made, 401, upstream=None))
    (server,) = instance.kept.spans
    assert (server.trace.trace_id, server.parent_id, server.error) == (int(TRACE, 16), int(SPAN, 16), "")


@pytest.mark.parametrize(
    ("status", "upstream", "error", "errors"),
    [
        (404, 404, None, ["", "404"]),
        (503, 503, None, ["503", "503"]),
        (502, None, Kind.CONNECT_REFUSED, ["connect_refused", "connect_refused"]),
    ],
)
def test_errors_are_marked_as_the_conventions_say(tracer, status, upstream, error, errors):
    """A client error is the caller's, so not the server span's; what the upstream failed at is both spans'."""
    instance, made = tracer(), plain()
    instance.access(made)
    end(made, status, upstream=upstream or 500)
    if error is not None:
        made.response, made.error, made.tries = None, GatewayError(error), 3
    instance.log(made)
    assert [span.error for span in instance.kept.spans] == errors
    assert [span.attributes.get("error.type", "") for span in instance.kept.spans] == errors
    if error is not None:
        assert instance.kept.spans[1].attributes["http.request.resend_count"] == 2


def test_a_client_makes_no_large_spans(tracer):
    """What a client writes is cut, and a method that nobody knows is not taken over."""
    instance, made = tracer(), plain(b"User-Agent: %b\r\n" % (b"x" * 5000), "/" + "a" * 5000, "BREW")
    instance.log(end(made, upstream=None))
    (server,) = instance.kept.spans
    assert max(len(str(value)) for value in server.attributes.values()) == 1024
    assert server.attributes["http.request.method"] == "_OTHER"


def test_it_answers_nothing(tracer):
    """Tracing never stands in a request's way."""
    assert not isinstance(tracer().access(plain()), Reply)
    with pytest.raises(ValidationError):
        OpenTelemetry.Config(traces_endpoint=ENDPOINT, spans=1)
