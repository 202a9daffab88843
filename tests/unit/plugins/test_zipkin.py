"""zipkin: Kong's settings, what the upstream is told, and which spans are made."""

from __future__ import annotations

import pytest
from conversation import FakeClock
from plugin_case import kit, make
from pydantic import ValidationError
from tracing_case import ANN, SPAN, TRACE, W3C, Collected, end, plain, traced

from proxyd.model.entities import Route, Service, Stored
from proxyd.plugins.zipkin import Zipkin
from proxyd.telemetry.kong import node_id

CLOCK = FakeClock()
EPOCH = round((1000.0 + CLOCK.time() - CLOCK.now()) * 1000)  # of an exchange's start, in milliseconds


def zipkin(**config):
    """Make an instance that records everything, into ``instance.kept``."""
    given = {"http_endpoint": "http://zipkin:9411/api/v2/spans", "sample_ratio": 1, **config}
    instance = make(Zipkin, kit(clock=CLOCK), **given)
    instance._shipper = instance.kept = Collected()
    return instance


def up(made):
    """Return the request's fields as the upstream would get them."""
    lines = made.headers.encode().decode().split("\r\n")[:-1]
    return {
        name: value for name, value in (line.lower().split(": ", 1) for line in lines) if name != "accept"
    }


# --- settings ------------------------------------------------------------------------------------------------


def test_what_is_not_given_is_kongs_default():
    """A thousandth of the requests, ids of 16 bytes, B3."""
    config = Zipkin.Config()
    assert (config.sample_ratio, config.traceid_byte_count, config.default_header_type) == (0.001, 16, "b3")
    assert (config.local_service_name, config.tags_header, config.include_credential) == (
        "kong",
        "Zipkin-Tags",
        True,
    )


@pytest.mark.parametrize(
    "config",
    [
        {"http_endpoint": "zipkin:9411"},
        {"http_endpoint": "http://h:99999/"},
        {"sample_ratio": 2},
        {"traceid_byte_count": 12},
        {"header_type": "datadog"},
        {"default_header_type": "preserve"},
        {"static_tags": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
        {"static_tags": [{"name": "http.path", "value": "1"}]},
        {"static_tags": [{"name": "a"}]},
        {"tags_header": "not a name"},
        {"phase_duration_flavor": "lines"},
    ],
)
def test_settings_that_mean_nothing_are_refused(config):
    """Formats that are not spoken, tags that the plugin sets itself, tags given twice."""
    with pytest.raises(ValidationError):
        Zipkin.Config(**config)


# --- access --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, {"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"}),
        ({"default_header_type": "b3-single"}, {"b3"}),
        ({"default_header_type": "jaeger", "propagation": {"default_format": "w3c"}}, {"traceparent"}),
        ({"header_type": "ignore"}, {"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"}),
    ],
)
def test_a_trace_begins_in_the_default_format(config, names):
    """B3 unless the file says otherwise, propagation winning over the older name."""
    made = plain()
    zipkin(**config).access(made)
    assert up(made).keys() == names


def test_short_ids_are_written_short():
    """traceid_byte_count: 8 is 16 digits, and 32 in the log, which knows W3C's."""
    instance, made = zipkin(traceid_byte_count=8), plain()
    instance.access(made)
    assert len(up(made)["x-b3-traceid"]) == 16
    assert made.traceparent[3:35] == "0" * 16 + up(made)["x-b3-traceid"]
    w3c = zipkin(traceid_byte_count=8, default_header_type="w3c")
    made = plain()
    w3c.access(made)
    assert up(made)["traceparent"].startswith("00-" + "0" * 16)
    assert made.context["zipkin"].short


@pytest.mark.parametrize(
    ("ratio", "fields", "recorded"),
    [
        (0, {b"b3": f"{TRACE}-{SPAN}-1"}, True),
        (1, {b"b3": f"{TRACE}-{SPAN}-0"}, False),
        (1, {b"b3": "0"}, False),
        (0, {b"b3": "1"}, True),
        (0, {b"b3": f"{TRACE}-{SPAN}"}, False),
        (0, {b"traceparent": W3C}, True),
    ],
)
def test_a_decision_in_the_context_is_followed(ratio, fields, recorded):
    """The ratio is for requests that come without one."""
    instance = zipkin(sample_ratio=ratio)
    made = traced(*((name, value.encode()) for name, value in fields.items()))
    instance.access(made)
    instance.log(end(made))
    assert bool(instance.kept.spans) is recorded


async def test_without_a_collector_contexts_are_passed_on():
    """A client's decision stays what it is; no span is made."""
    instance = make(Zipkin, kit(clock=CLOCK))
    made = traced((b"b3", f"{TRACE}-{SPAN}-1".encode()))
    instance.access(made)
    assert up(made)["b3"].startswith(f"{TRACE}-")
    assert up(made)["b3"].split("-")[2] == "1"
    instance.log(end(made))
    await instance.stop()


# --- log -----------------------------------------------------------------------------------------------------


def test_an_exchange_is_a_request_and_a_proxy_span():
    """Kong's names and tags: of the caller on the one, of service and route on the other."""
    instance = zipkin(static_tags=[{"name": "env", "value": "test"}])
    made = plain(b"Zipkin-Tags: colour=red; http.path=/lie;;empty=\r\n", "/a?token=hidden")
    made.consumer, made.credential = ANN, Stored(id="key-1")
    instance.access(made)
    instance.log(end(made, 404, upstream=404))
    request, proxy = instance.kept.spans
    assert (request.name, request.kind, proxy.name, proxy.kind) == ("GET", "SERVER", "GET (proxy)", "CLIENT")
    assert proxy.parent_id == request.span_id
    assert up(made)["x-b3-spanid"] == f"{proxy.span_id:016x}"
    assert request.attributes == {
        "colour": "red",
        "env": "test",
        "lc": "kong",
        "http.method": "GET",
        "http.host": "api.test:8443",
        "http.path": "/a",
        "http.protocol": "HTTP/1.1",
        "http.status_code": 404,
        "kong.node.id": node_id(),
        "kong.consumer": "c1",
        "kong.credential": "key-1",
        "peer": "192.0.2.1:4000",
    }
    assert proxy.attributes == {
        "kong.balancer.try": 1,
        "kong.route": "r1",
        "kong.route_name": "orders",
        "kong.service": "s1",
        "kong.service_name": "shop",
        "peer.hostname": "shop.internal",
        "peer.service": "shop",
        "peer": "10.0.0.1:8080",
        "http.status_code": 404,
    }
    assert [(event.name, event.time // 1_000_000 - EPOCH) for event in proxy.events] == [
        ("kas", 0),
        ("kaf", 1),
        ("khs", 41),
        ("kbf", 45),
    ]


def test_what_may_be_left_out_is():
    """No credential where that is not wanted, phases as tags, the path in the name, a name for a nameless service."""
    instance = zipkin(
        include_credential=False,
        phase_duration_flavor="tags",
        http_span_name="method_path",
        default_service_name="unnamed",
    )
    made = plain()
    made.credential = Stored(id="key-1")
    instance.access(made)
    end(made)
    made.route, made.service = Route(id="r2"), Service(id="s2", host="b.internal")
    made.client_ip = "2001:db8::1"
    instance.log(made)
    request, proxy = instance.kept.spans
    assert (request.name, proxy.name) == ("GET /a", "GET /a (proxy)")
    assert "kong.credential" not in request.attributes
    assert request.attributes["peer"] == "2001:db8::1"
    assert (proxy.attributes["kong.access.duration_ms"], proxy.events) == (1, ())
    assert proxy.attributes["kong.body_filter.duration_ms"] == 4
    assert proxy.attributes["peer.service"] == "unnamed"
    assert "kong.route_name" not in proxy.attributes


def test_an_answer_of_the_gateways_own_is_one_span():
    """Nothing was proxied."""
    instance, made = zipkin(), plain()
    instance.access(made)
    instance.log(end(made, 401, upstream=None))
    assert [span.name for span in instance.kept.spans] == ["GET"]
