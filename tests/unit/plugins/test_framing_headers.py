"""Settings that name a header to be set or taken out: none of them reaches what delimits messages."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxyd.plugins import BY_NAME

SECRET = {"keys": [{"id": "a", "secret": "s" * 32}]}


@pytest.mark.parametrize("header", ["Content-Length", "transfer-encoding", "Connection", "host"])
@pytest.mark.parametrize(
    ("plugin", "config"),
    [
        ("correlation-id", lambda name: {"header_name": name}),
        ("internal-key", lambda name: {"header_name": name, **SECRET}),
        ("response-ratelimiting", lambda name: {"header_name": name, "limits": {"videos": {"minute": 1}}}),
        ("security-headers", lambda name: {"remove": ["Server", name]}),
        ("zipkin", lambda name: {"propagation": {"clear": [name]}}),
        ("zipkin", lambda name: {"http_response_header_for_traceid": name}),
    ],
)
def test_framing_is_the_gateways(plugin, config, header):
    """Without its length, or with another one, a message would be read as two."""
    made = BY_NAME[plugin].Config
    made(**config("X-Other"))
    with pytest.raises(ValidationError, match="the gateway writes this header itself"):
        made(**config(header))
