"""datadog: its settings, and the lines that it makes of a request."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.model.entities import Consumer, Service
from proxyd.plugins.datadog import Config, Datadog


class Kept(list):
    def put(self, entry):
        self.extend(entry.decode().split("\n"))


def told(*, service="shop", consumer=None, **config):
    plugin = make(Datadog, **config)
    plugin.output = Kept()
    made = exchange()
    made.status, made.sent, made.response_started, made.response_ended, made.ended = (
        201,
        0.002,
        0.005,
        0.006,
        0.0068,
    )
    made.head_received, made.head_sent = 100, 200
    made.service = service and Service(id="s", name=service, host="shop.test")
    made.consumer = consumer
    plugin.deliver([made], 0.0)
    return plugin.output


def counter(**more):
    return {"name": "request_count", "stat_type": "counter", "sample_rate": 1, **more}


def test_what_is_told_unless_asked_otherwise():
    """Kong's metrics under Kong's names, with tags for service, status and consumer."""
    tags = "|#name:shop,status:201,consumer:a_1,app:kong"
    assert told(consumer=Consumer(id="c", custom_id="a:1")) == [
        f"kong.request.count:1|c{tags}",
        f"kong.latency:7|ms{tags}",
        f"kong.request.size:100|ms{tags}",
        f"kong.response.size:200|ms{tags}",
        f"kong.upstream_latency:3|ms{tags}",
        f"kong.kong_latency:3|ms{tags}",
    ]


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"metrics": [counter()]}, "kong.request.count:1|c|#name:shop,status:201"),
        (
            {"metrics": [counter()], "prefix": "p", "status_tag": "code"},
            "p.request.count:1|c|#name:shop,code:201",
        ),
        (
            {"metrics": [counter(consumer_identifier="username", tags=["a:b", "c"])], "consumer_tag": "who"},
            "kong.request.count:1|c|#name:shop,status:201,who:ann,a:b,c",
        ),
        (
            {"metrics": [{"name": "latency", "stat_type": "distribution"}], "service_name_tag": "svc"},
            "kong.latency:7|d|#svc:shop,status:201",
        ),
    ],
)
def test_a_line(config, line):
    """Prefix and tags, as asked for."""
    assert told(consumer=Consumer(id="c", username="ann"), **config) == [line]


def test_a_request_that_found_no_service():
    """It is not told, as in Kong."""
    assert told(service=None) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": [{"name": "request_count", "stat_type": "counter"}]}, "needs a sample_rate"),
        ({"metrics": [counter(sample_rate=2)]}, "less than or equal to 1"),
        ({"metrics": [counter(tags=["a:"])]}, "pattern"),
        ({"metrics": [counter(tags=["a,b:c"])]}, "pattern"),
        ({"metrics": [{"name": "unique_users", "stat_type": "set"}]}, "kong_latency"),
        ({"service_name_tag": "a:b"}, "pattern"),
    ],
)
def test_settings_that_are_refused(values, message):
    """What Kong refuses, and tags that would end the line."""
    with pytest.raises(ValidationError, match=message):
        Config(**values)
