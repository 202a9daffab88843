"""What answers say of the gateway, and what the setting ``headers`` leaves of it."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.gateway.marks import SERVER, VIA, Marks
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead, ResponseHead
from proxyd.model.entities import Route, Service
from proxyd.model.settings import Settings

ALL = ("via", "server", "x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-response-latency")
LATENCIES = b"X-Kong-Upstream-Latency: 40\r\nX-Kong-Proxy-Latency: 2\r\n"
ID = b"X-Kong-Request-Id: abc\r\n"


@pytest.fixture
def exchange():
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    one = Exchange(head, Client("192.0.2.1", 1, "http", 80), 10.0)
    one.request_id = "abc"
    one.sent = 10.0025
    one.response_started = 10.043
    one.response = ResponseHead(204, b"", 1, Headers(), 0, keep_alive=True)
    one.route = Route(id="route-id", name="orders")
    one.service = Service(id="service-id", host="h")
    return one


def marks(*names, **more):
    return Marks(names, lambda: 10.05, **more)


def test_proxied_answers_carry_latencies_and_the_id(exchange):
    """The default: whole milliseconds, of the upstream and of the gateway."""
    names = Settings.model_fields["headers"].default
    assert marks(*names).proxied(exchange) == b"Via: " + VIA + b"\r\n" + LATENCIES + ID


def test_the_gateways_own_answers_name_the_server(exchange):
    """And the time from the request to them."""
    names = Settings.model_fields["headers"].default
    expected = b"Server: " + SERVER + b"\r\n" + ID + b"X-Kong-Response-Latency: 50\r\n"
    assert marks(*names).own(exchange) == expected


@pytest.mark.parametrize(
    ("names", "proxied", "own"),
    [
        ((), b"", b""),
        (("via",), b"Via: " + VIA + b"\r\n", b""),
        (("server",), b"", b"Server: " + SERVER + b"\r\n"),
        (("x-kong-upstream-latency", "x-kong-proxy-latency"), LATENCIES, b""),
        (("x-kong-proxy-latency",), b"X-Kong-Proxy-Latency: 2\r\n", b""),
        (("x-kong-response-latency",), b"", b"X-Kong-Response-Latency: 50\r\n"),
        (("x-kong-request-id",), ID, ID),
        (("x-kong-upstream-status",), b"X-Kong-Upstream-Status: 204\r\n", b""),
        (
            (*ALL, "x-kong-request-id", "x-kong-upstream-status"),
            b"Via: " + VIA + b"\r\n" + LATENCIES + b"X-Kong-Upstream-Status: 204\r\n" + ID,
            b"Server: " + SERVER + b"\r\n" + ID + b"X-Kong-Response-Latency: 50\r\n",
        ),
    ],
)
def test_each_line_can_be_left_out(exchange, names, proxied, own):
    """The setting ``headers``."""
    assert (marks(*names).proxied(exchange), marks(*names).own(exchange)) == (proxied, own)


@pytest.mark.parametrize(("debug", "asked"), [(False, True), (True, False), (True, True)])
def test_debugging_names_the_route_to_who_asks(exchange, debug, asked):
    """allow_debug_header, and Kong-Debug: 1 in the request."""
    if asked:
        exchange.request.headers.set(b"Kong-Debug", b"1")
    expected = b"Kong-Route-Id: route-id\r\nKong-Route-Name: orders\r\nKong-Service-Id: service-id\r\n"
    assert marks(debug=debug).proxied(exchange) == (expected if debug and asked else b"")
