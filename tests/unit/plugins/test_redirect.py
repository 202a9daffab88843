"""redirect: where clients are sent."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.plugins.redirect import Redirect


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"location": "/a"},
        {"location": "ftp://h/"},
        {"location": "https://h/a b"},
        {"location": "https://h/\r\nX: y"},
        {"location": "https://[::1/"},
        {"location": "https://h/", "status_code": 200},
    ],
)
def test_what_is_refused(config):
    """What is no URL of the web, or no redirect."""
    with pytest.raises(ValidationError):
        Redirect.Config(**config)


@pytest.mark.parametrize(
    ("config", "status", "location"),
    [
        ({}, 301, b"https://new.example/x?y"),
        ({"status_code": 308, "keep_incoming_path": True}, 308, b"https://new.example/a?b=c"),
    ],
)
def test_the_answer(config, status, location):
    """Kong's body; path and query are the request's only if asked."""
    reply = make(Redirect, location="https://new.example/x?y", **config).access(exchange(target="/a?b=c"))
    assert (reply.status, reply.body, reply.headers.get(b"location")) == (status, b"redirecting", location)
