"""What tests of tracing plugins start from: a clock that stands, a collector that keeps what it is sent."""

from __future__ import annotations

from plugin_case import exchange

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead, ResponseHead
from proxyd.model.entities import Consumer, Route, Service

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
W3C = f"00-{TRACE}-{SPAN}-01"
ROUTE = Route(id="r1", name="orders")
SERVICE = Service(id="s1", name="shop", host="shop.internal")
ANN = Consumer(id="c1", username="ann")


class Collected:
    """Stands where a shipper does, and keeps what it is given."""

    def __init__(self):
        self.spans = []

    def offer(self, span):
        self.spans.append(span)

    async def stop(self):
        pass


def plain(raw=b"Accept: */*\r\n", target="/a", method="GET"):
    """Make an exchange whose head nobody has split."""
    path, mark, query = target.partition("?")
    head = RequestHead(
        method, target, path, mark + query, 1, "api.test:8443", Headers(None, raw), 0, keep_alive=True
    )
    return Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 1000.0)


def end(made, status=200, *, upstream=200, peer="10.0.0.1:8080"):
    """End an exchange: the upstream was dialled for 10 ms, and took 30 ms to answer."""
    made.route, made.service = ROUTE, SERVICE
    made.status = status
    made.ended = made.started + 0.05
    if upstream is not None:
        made.peer, made.tries, made.upstream_path = peer, 1, "/up" + made.request.query
        made.dialled = made.started + 0.001
        made.connected = made.sent = made.started + 0.011
        made.response_started = made.started + 0.041
        made.response_ended = made.started + 0.045
        made.response = ResponseHead(upstream, b"", 1, Headers(), 0, keep_alive=True)
    return made


def traced(*fields):
    """Make an exchange that came with these fields."""
    made = exchange(*fields)
    made.started = 1000.0
    return made
