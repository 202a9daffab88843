"""request-size-limiting: what is refused, and when."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make

from proxyd.http1.message import CHUNKED
from proxyd.plugins.request_size_limiting import RequestSizeLimiting


def test_defaults():
    """Kong's."""
    assert RequestSizeLimiting.Config().model_dump() == {
        "allowed_payload_size": 128,
        "size_unit": "megabytes",
        "require_content_length": False,
    }


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({}, 128 * 1024**2),
        ({"allowed_payload_size": 2, "size_unit": "kilobytes"}, 2048),
        ({"allowed_payload_size": 0, "size_unit": "bytes"}, 0),
    ],
)
@pytest.mark.parametrize(("expects", "status"), [(False, 413), (True, 417)])
def test_a_length_over_the_limit(config, limit, expects, status):
    """Is refused before the body comes; 417 tells a client that waits for 100 Continue not to send it."""
    plugin = make(RequestSizeLimiting, **config)
    one = exchange(method="POST")
    one.request.expect_continue = expects
    one.request.framing = limit
    assert plugin.access(one) is None
    one.request.framing = limit + 1
    reply = plugin.access(one)
    assert (reply.status, reply.message) == (status, "Request size limit exceeded")


def test_chunks_are_watched():
    """Their sum is not known before."""
    one = exchange(method="POST")
    one.request.framing = CHUNKED
    assert make(RequestSizeLimiting, allowed_payload_size=5, size_unit="bytes").access(one) is None
    assert one.body_limit == 5


@pytest.mark.parametrize(("received", "passes"), [(5, True), (6, False)])
def test_what_has_been_read_is_looked_at(received, passes):
    """An earlier plugin may have read a body that did not say its size."""
    one = exchange(method="POST")
    one.request.framing = CHUNKED
    one.bytes_received = received
    one.buffered = b"x"  # what is left of it for the upstream
    reply = make(RequestSizeLimiting, allowed_payload_size=5, size_unit="bytes").access(one)
    assert (reply is None) == passes
    assert passes or (reply.status, reply.message) == (413, "Request size limit exceeded")


def test_a_length_can_be_required():
    """Of all that does not come in chunks."""
    plugin = make(RequestSizeLimiting, require_content_length=True)
    assert plugin.access(exchange()).status == 411
    assert plugin.access(exchange((b"Content-Length", b"0"))) is None
    one = exchange()
    one.request.framing = CHUNKED
    assert plugin.access(one) is None
