"""statsd: its settings, and the lines that it makes of a request."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.model.entities import Consumer, Route, Service
from proxyd.plugins.statsd import Config, Statsd
from proxyd.telemetry.kong_record import WORKSPACE
from proxyd.telemetry.statsd import Lines, Metric, host_name, pack


class Kept(list):
    def put(self, entry):
        self.extend(entry.decode().split("\n"))


@pytest.fixture
def request_of_ann():
    made = exchange()
    made.status = 201
    made.started, made.sent, made.response_started, made.response_ended, made.ended = (
        1.0,
        1.002,
        1.005,
        1.006,
        1.0068,
    )
    made.head_received, made.bytes_received, made.head_sent, made.bytes_sent = 100, 7, 200, 11
    made.service = Service(id="s-id", name="shop.v1", host="shop.test")
    made.route = Route(id="r-id", name="orders")
    made.consumer = Consumer(id="c-id", username="ann", custom_id="a:1")
    return made


def told(exchanges, **config):
    plugin = make(Statsd, **config)
    plugin.output = Kept()
    plugin.deliver(exchanges, 0.0)
    return plugin.output


def metric(name, stat_type="counter", **more):
    return {"name": name, "stat_type": stat_type, "sample_rate": 1, **more}


def test_what_is_told_unless_asked_otherwise(request_of_ann):
    """Kong's metrics under Kong's names; what would end a name is replaced."""
    scope = "kong.service.shop_v1"
    assert set(told([request_of_ann])) == {
        f"{scope}.request.count:1|c",
        f"{scope}.request.size:107|c",
        f"{scope}.response.size:211|c",
        f"{scope}.status.201:1|c",
        f"{scope}.user.a_1.request.count:1|c",
        f"{scope}.user.a_1.status.201:1|c",
        f"{scope}.workspace.{WORKSPACE}.status.201:1|c",
        "kong.route.r-id.user.a_1.status.201:1|c",
        f"{scope}.latency:7|ms",
        f"{scope}.upstream_latency:3|ms",
        f"{scope}.kong_latency:3|ms",
        f"{scope}.user.uniques:a_1|s",
    }


def test_a_request_that_matched_nothing():
    """There is neither an upstream's time nor a caller."""
    made = exchange()
    made.status, made.ended = 404, 0.0
    assert set(told([made])) == {
        "kong.global.unmatched.request.count:1|c",
        "kong.global.unmatched.request.size:0|c",
        "kong.global.unmatched.response.size:0|c",
        "kong.global.unmatched.status.404:1|c",
        f"kong.global.unmatched.workspace.{WORKSPACE}.status.404:1|c",
        "kong.global.unmatched.latency:0|ms",
        "kong.global.unmatched.kong_latency:0|ms",
    }


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"metrics": [metric("status_count")], "prefix": "p"}, "p.service.shop_v1.status.201:1|c"),
        (
            {"metrics": [metric("request_count", service_identifier="service_id")]},
            "kong.service.s-id.request.count:1|c",
        ),
        (
            {"metrics": [metric("request_count")], "service_identifier_default": "service_host"},
            "kong.service.shop_test.request.count:1|c",
        ),
        (
            {"metrics": [metric("unique_users", "set", consumer_identifier="username")]},
            "kong.service.shop_v1.user.uniques:ann|s",
        ),
        (
            {"metrics": [metric("request_per_user")], "consumer_identifier_default": "consumer_id"},
            "kong.service.shop_v1.user.c-id.request.count:1|c",
        ),
        (
            {"metrics": [metric("request_count")], "hostname_in_prefix": True},
            f"kong.node.{host_name()}.service.shop_v1.request.count:1|c",
        ),
        (
            {"metrics": [metric("latency", "gauge")], "tag_style": "dogstatsd"},
            "kong.latency:7|g|#service:shop.v1,route:orders,workspace:W,consumer:a_1,node:N,status:201",
        ),
        (
            {"metrics": [metric("latency", "timer")], "tag_style": "influxdb"},
            "kong.latency,service=shop.v1,route=orders,workspace=W,consumer=a_1,node=N,status=201:7|ms",
        ),
        (
            {"metrics": [metric("latency", "timer")], "tag_style": "librato"},
            "kong.latency#service=shop.v1,route=orders,workspace=W,consumer=a_1,node=N,status=201:7|ms",
        ),
        (
            {"metrics": [metric("latency", "timer"), metric("status_count")], "tag_style": "signalfx"},
            "kong.latency[service=shop.v1,route=orders,workspace=W,consumer=a_1,node=N,status=201]:7|ms",
        ),
    ],
)
def test_a_line(request_of_ann, config, line):
    """Prefix, identifiers and tags, as asked for."""
    line = line.replace(":W", f":{WORKSPACE}").replace("=W", f"={WORKSPACE}")
    line = line.replace(":N,", f":{host_name()},").replace("=N,", f"={host_name()},")
    assert told([request_of_ann], **config) == [line]


@pytest.mark.parametrize(
    ("chance", "lines"), [(0.24, ["p.global.unmatched.request.count:1|c|@0.25"]), (0.25, [])]
)
def test_sampling(chance, lines):
    """A share of the requests is told, with the rate by which the server multiplies."""
    one = Metric("request_count", "counter", 0.25, "custom_id", "service_name", "workspace_id")
    assert list(Lines("p", (one,), chance=lambda: chance).of(exchange())) == lines


def test_statuses(request_of_ann):
    """Requests that end with others than the allowed are not told."""
    config = {"metrics": [metric("request_count")], "allow_status_codes": ["200-200", "404-500"]}
    assert told([request_of_ann], **config) == []
    request_of_ann.status = 404
    assert len(told([request_of_ann], **config)) == 1


@pytest.mark.parametrize(
    ("size", "packets"),
    [(0, [b"aa", b"b", b"ccccc", b"d"]), (4, [b"aa\nb", b"ccccc", b"d"]), (100, [b"aa\nb\nccccc\nd"])],
)
def test_packets(size, packets):
    """Filled up to the size; a longer line stands alone."""
    assert list(pack([b"aa", b"b", b"ccccc", b"d"], size)) == packets


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": [{"name": "latency"}]}, "stat_type"),
        ({"metrics": [{"name": "delay", "stat_type": "timer"}]}, "kong_latency"),
        ({"metrics": [{"name": "request_count", "stat_type": "counter"}]}, "needs a sample_rate"),
        ({"metrics": [metric("unique_users")]}, "must be a set"),
        ({"metrics": [metric("status_count", "gauge")]}, "must be a counter"),
        ({"metrics": [metric("request_count", sample_rate=0)]}, "greater than 0"),
        ({"allow_status_codes": ["200"]}, "200-299"),
        ({"prefix": "a:b"}, "pattern"),
        ({"udp_packet_size": 65_508}, "65507"),
        ({"tag_style": "graphite"}, "dogstatsd"),
    ],
)
def test_settings_that_are_refused(values, message):
    """What Kong refuses, and a prefix that would end the name."""
    with pytest.raises(ValidationError, match=message):
        Config(**values)
