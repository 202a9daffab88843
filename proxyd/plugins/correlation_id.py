"""correlation-id: every request carries an id to the upstream, and back if asked."""

from __future__ import annotations

import itertools
import os
import uuid
from typing import TYPE_CHECKING, Annotated, Literal
from weakref import WeakKeyDictionary

from pydantic import Field

from proxyd import plugin
from proxyd.http1.headers import Block, is_field_value
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from proxyd.exchange import Client, Exchange
    from proxyd.http1.headers import Headers


class Config(plugin.Config):
    """Settings of correlation-id (Kong's ``kong/plugins/correlation-id/schema.lua``)."""

    header_name: Annotated[str, Changeable] = Field(
        "Kong-Request-ID", min_length=1, pattern=plugin.HEADER_NAME
    )
    """Header that carries the id."""
    generator: Literal["uuid", "uuid#counter", "tracker"] = "uuid#counter"
    """What an id is: a UUID; one UUID per process, and a counter; or, as ``tracker``, the gateway's address and port, its
    process, the number of the connection, that of the request on it, and the time."""
    echo_downstream: bool = False
    """Whether the id is also set on the answer."""


class CorrelationId(plugin.Plugin[Config]):
    """Sets the header unless the client has."""

    name = "correlation-id"
    priority = 100_001

    def prepare(self) -> None:
        """Choose the generator."""
        self._header = self.config.header_name.encode()
        self._key = self._header.lower()
        # As Headers.put says: what the gateway may write itself is told apart by its name, line by line.
        self._plain = not self._key.startswith((b"x-forwarded-", b"x-real-ip", b"x-kong-", b"proxy"))
        self._echo = self.config.echo_downstream
        self._counter = itertools.count(1)
        self._process = str(uuid.uuid4())
        # Connections that live, each with its number and a counter of its requests.
        self._connections: WeakKeyDictionary[Client, tuple[int, itertools.count[int]]] = WeakKeyDictionary()
        makers = {"uuid": self._uuid, "uuid#counter": self._counted, "tracker": self._tracker}
        self._make = makers[self.config.generator]

    def access(self, exchange: Exchange) -> None:
        """Take the client's id over, or make one."""
        given = exchange.headers.get(self._key)
        if not given:
            given = self._make(exchange).encode()
            if self._plain:
                exchange.headers.put(self._line(given))
            else:
                exchange.headers.set(self._header, given)
        exchange.correlation_id = given

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Set the id on the answer."""
        del status
        given = exchange.correlation_id
        if given and self._echo and is_field_value(given):
            headers.put(self._line(given))

    def _line(self, value: bytes) -> Block:
        return Block((self._key,), b"%b: %b\r\n" % (self._header, value))

    def _uuid(self, exchange: Exchange) -> str:
        del exchange
        return str(uuid.uuid4())

    def _counted(self, exchange: Exchange) -> str:
        del exchange
        return f"{self._process}#{next(self._counter)}"

    def _tracker(self, exchange: Exchange) -> str:
        client = exchange.client
        known = self._connections.get(client)
        if known is None:
            known = self._connections[client] = (next(self._counter), itertools.count(1))
        serial, requests = known
        now = self.kit.clock.time()
        return f"{client.address}-{client.port}-{os.getpid()}-{serial}-{next(requests)}-{now:.3f}"
