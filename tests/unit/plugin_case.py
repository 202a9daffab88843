"""What tests of one plugin start from: an exchange, and consumers as a file would make them."""

from __future__ import annotations

import json

from conversation import FakeClock

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.load import load_text
from proxyd.plugin import Kit, Scope
from proxyd.store.consumers import Consumers


class Body:
    """A request's body that is there already."""

    def __init__(self, exchange, data):
        self._exchange = exchange
        self._data = data

    async def read(self, limit):
        assert len(self._data) <= limit
        self._exchange.buffered = self._data
        return self._data


def exchange(*fields, method="GET", target="/a", body=None, peer="192.0.2.1"):
    """Make an exchange of a request with these header fields."""
    path, mark, query = target.partition("?")
    head = RequestHead(method, target, path, mark + query, 1, "h", Headers.of(fields), 0, keep_alive=True)
    made = Exchange(head, Client(peer, 4000, "http", 8000), 0.0)
    if body is not None:
        made.body = Body(made, body)
    return made


def kit(*consumers, clock=None, **more):
    """Make what the gateway lends, with consumers told as in a file."""
    document = {"_format_version": "3.0", "consumers": list(consumers), **more}
    loaded = load_text(json.dumps(document), env={}, plugins={})
    clock = clock or FakeClock()
    return Kit(Consumers(loaded.configuration, clock.time()), clock)


def make(plugin, lent=None, **config):
    """Make a global instance."""
    return plugin(plugin.Config(**config), "id", Scope(), lent or kit())


def sent(exchange):
    """Return the headers that would go to the upstream."""
    return {name.decode(): value.decode() for name, value in exchange.headers}


def challenge(reply):
    """Return status, message and challenge of a refusal."""
    return reply.status, reply.message, (reply.headers.get(b"www-authenticate") or b"").decode()
