"""http-log: its settings, and what makes two queues one."""

from __future__ import annotations

import json

import pytest
from plugin_case import make
from pydantic import ValidationError

from proxyd.model.load import load_text
from proxyd.plugins import BY_NAME
from proxyd.plugins.http_log import Config, HttpLog
from proxyd.telemetry.queue import Limits

AT = "http://collector.test/in"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "required"),
        ({"http_endpoint": "collector.test"}, "http://"),
        ({"http_endpoint": "ftp://collector.test"}, "http://"),
        ({"http_endpoint": "http://"}, "http://"),
        ({"http_endpoint": AT, "method": "GET"}, "POST"),
        ({"http_endpoint": AT, "content_type": "text/plain"}, "application/json"),
        ({"http_endpoint": AT, "timeout": 0}, "greater than 0"),
        ({"http_endpoint": AT, "headers": {"Host": "x"}}, "cannot contain Host"),
        ({"http_endpoint": AT, "headers": {"content-type": "x"}}, "cannot contain content-type"),
        ({"http_endpoint": AT, "headers": {"CONTENT-LENGTH": "1"}}, "cannot contain CONTENT-LENGTH"),
        ({"http_endpoint": AT, "headers": {"X-A": "a\r\nb"}}, "cannot stand in a header"),
        ({"http_endpoint": AT, "headers": {"a b": "c"}}, "header"),
        ({"http_endpoint": "http://u:p@h/", "headers": {"authorization": "x"}}, "exclude one another"),
        ({"http_endpoint": AT, "queue": {"max_batch_size": 0}}, "greater than or equal to 1"),
        ({"http_endpoint": AT, "queue": {"concurrency_limit": 3}}, "-1"),
        ({"http_endpoint": AT, "queue": {"size": 3}}, "Extra inputs"),
    ],
)
def test_settings_that_are_refused(values, message):
    """What Kong refuses, and what could never be sent."""
    with pytest.raises(ValidationError, match=message):
        Config(**values)


def test_no_credential_is_shown():
    """Neither in a repr nor in the collector's name."""
    config = {"http_endpoint": "https://u:s3cr3t@h:8443/in?token=s3cr3t", "headers": {"X-Key": "s3cr3t"}}
    plugin = make(HttpLog, **config)
    destination, sender = plugin.sender()
    shown = repr((plugin, plugin.config, plugin.output_key(), sender, destination))
    assert "s3cr3t" not in shown
    assert destination == "https://h:8443/in"


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ({}, {}),
        ({"queue": {"max_batch_size": 5, "max_retry_time": -1}}, {"max_batch_size": 5, "max_retry_time": -1}),
        ({"queue_size": 20, "flush_timeout": 5}, {"max_batch_size": 20, "max_coalescing_delay": 5}),
        ({"queue_size": 20, "queue": {"max_batch_size": 3}}, {"max_batch_size": 3}),
        ({"queue_size": 1, "flush_timeout": 2, "retry_count": 10}, {}),
    ],
)
def test_former_settings(values, limits):
    """They mean what the queue's do, which win; the defaults of an export say nothing."""
    assert Config(http_endpoint=AT, **values).limits() == Limits(**limits)


def test_former_settings_are_told_of():
    """A warning at the very place, where they have a value of their own."""
    config = {"http_endpoint": AT, "retry_count": 3, "queue_size": 20, "flush_timeout": 2}
    text = json.dumps(
        {"_format_version": "3.0", "plugins": [{"name": "http-log", "config": config}]}, indent=1
    )
    loaded = load_text(text, env={}, plugins={name: one.Config for name, one in BY_NAME.items()})
    told = [str(warning).partition("plugins")[2] for warning in loaded.warnings]
    assert len(told) == 2
    assert "retry_count" in told[0]
    assert "queue_size: is deprecated: see queue" in told[1]


def test_what_shares_a_queue():
    """Instances that differ in custom fields alone; nothing else."""
    first = make(HttpLog, http_endpoint=AT)
    same = make(HttpLog, http_endpoint=AT, custom_fields_by_lua={"a": "return 1"})
    others = [
        make(HttpLog, http_endpoint=AT + "/other"),
        make(HttpLog, http_endpoint=AT, headers={"X-A": "b"}),
        make(HttpLog, http_endpoint=AT, queue={"max_batch_size": 2}),
    ]
    assert first.output_key() == same.output_key()
    assert len({one.output_key() for one in (first, *others)}) == 4
