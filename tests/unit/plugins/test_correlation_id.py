"""correlation-id: what it may be told, and what it does to a request and its answer."""

from __future__ import annotations

import os
import re

import pytest
from conversation import GET, OK, service
from pydantic import ValidationError

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.plugin import Scope
from proxyd.plugins.correlation_id import Config, CorrelationId

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TRACKER = r"198\.51\.100\.1-8000-PID-\d+-1-\d{10}\.\d{3}"


def plugin(**config):
    return CorrelationId(Config(**config), "id", Scope())


def exchange(*fields):
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of(fields), 0, keep_alive=True)
    client = Client("192.0.2.1", 4000, "http", 8000, address="198.51.100.1")
    return Exchange(head, client, 12.3456)


# --- config --------------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's."""
    assert Config().model_dump() == {
        "header_name": "Kong-Request-ID",
        "generator": "uuid#counter",
        "echo_downstream": False,
    }


@pytest.mark.parametrize(
    "config",
    [
        {"header_name": ""},
        {"header_name": "X Id"},
        {"header_name": "X-Id\r\nEvil"},
        {"header_name": "X-Id:"},
        {"generator": "random"},
        {"generator": None},
        {"echo_downstream": "maybe"},
        {"unknown": 1},
    ],
)
def test_what_is_no_setting_is_refused(config):
    """A header name is a token, a generator one of three, and nothing else is known."""
    with pytest.raises(ValidationError):
        Config(**config)


# --- phases --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generator", "first", "second"),
    [
        ("uuid", UUID, UUID),
        ("uuid#counter", UUID + "#1", UUID + "#2"),
        ("tracker", TRACKER, TRACKER),
    ],
)
def test_an_id_is_made(generator, first, second):
    """In one of three forms, another one for each request."""
    one = plugin(generator=generator)
    made = []
    for form in (first, second):
        request = exchange()
        one.access(request)
        made.append(request.headers.get(b"kong-request-id"))
        assert re.fullmatch(form.replace("PID", str(os.getpid())), made[-1].decode())
    assert made[0] != made[1]


def test_a_tracker_counts_the_requests_of_a_connection():
    """Kong's form: whose end, which process, which connection, which request on it, when."""
    first, other = exchange(), exchange()
    second = Exchange(exchange().request, first.client, 13.0)
    made = []
    for request in (first, second, other):  # by another instance each, as after a reload
        plugin(generator="tracker").access(request)
        made.append(request.headers.get(b"kong-request-id").decode().split("-")[3:5])
    assert [requests for _, requests in made] == ["1", "2", "1"]
    assert int(made[2][0]) - int(made[0][0]) == int(made[2][0]) - int(made[1][0]) == 1


def test_an_id_that_came_is_kept():
    """A client that has one already goes on with it."""
    request = exchange((b"kong-request-id", b"mine"))
    plugin().access(request)
    assert request.headers.get_all(b"kong-request-id") == [b"mine"]


def test_an_empty_id_is_none():
    """It is replaced, and not joined."""
    request = exchange((b"Kong-Request-ID", b""))
    plugin(generator="uuid").access(request)
    assert len(request.headers.get_all(b"kong-request-id")) == 1
    assert request.headers.get(b"kong-request-id")


@pytest.mark.parametrize("echo", [False, True])
def test_an_id_is_echoed_if_asked(echo):
    """echo_downstream, in the header of the setting."""
    one, request, headers = plugin(header_name="X-Id", echo_downstream=echo), exchange(), Headers()
    one.access(request)
    one.header_filter(request, 200, headers)
    assert headers.get(b"x-id") == (request.headers.get(b"x-id") if echo else None)


def test_an_answer_without_an_access_phase_has_no_id():
    """An earlier plugin may have answered."""
    headers = Headers()
    plugin(echo_downstream=True).header_filter(exchange(), 401, headers)
    assert headers.encode() == b""


# --- in a gateway --------------------------------------------------------------------------------------------


async def test_upstream_and_client_see_the_same_id(talk):
    """On the request and on the answer, and another one for the next request."""
    config = {"header_name": "X-Id", "generator": "uuid", "echo_downstream": True}
    client = await talk.start(service(plugins=[{"name": "correlation-id", "config": config}]))
    seen = []
    for _ in range(2):
        client.transport.incoming(client.protocol.data_received, GET)
        await talk.settle()
        (end,) = talk.dialled
        sent = end.events.pop()[1]
        end.transport.incoming(end.protocol.data_received, OK)
        got = client.events.pop()[1]
        ids = [re.search(rb"X-Id: ([^\r]+)", data)[1] for data in (sent, got)]
        assert ids[0] == ids[1]
        seen.append(ids[0])
    assert seen[0] != seen[1]
