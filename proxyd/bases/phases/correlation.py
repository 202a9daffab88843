"""correlation-id's phases: an id is taken over or made, told to the upstream, and echoed."""

from __future__ import annotations

import itertools
import os
import uuid
from typing import TYPE_CHECKING, Final

from proxyd.http1.headers import Block, is_field_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers

_CONNECTIONS: Final = itertools.count(1)  # of this process, as far as they are told apart by a number


class Correlation:
    """Sets ``header`` unless the client has, and on the answer too where it is to ``echo``.

    ``generator`` is one of the setting's; ``time`` gives seconds since the epoch.
    """

    def __init__(self, header: str, generator: str, time: Callable[[], float], *, echo: bool) -> None:
        self._header = header.encode()
        self._start = self._header + b": "
        self._key = header.lower().encode()
        self._names = (self._key,)
        # As Headers.put says: what the gateway may write itself is told apart by its name, line by line.
        self._plain = not self._key.startswith((b"x-forwarded-", b"x-real-ip", b"x-kong-", b"proxy"))
        self._generator = generator
        self._time = time
        self._echo = echo
        self._count = 0
        self._process = str(uuid.uuid4())

    def __repr__(self) -> str:
        return f"<Correlation {self._key.decode()} {self._generator} count={self._count}>"

    def access(self, exchange: Exchange) -> None:
        """Take the client's id over, or make one."""
        headers = exchange.request.headers
        given = headers.get(self._key)
        if not given:
            made = self._make(exchange).encode()
            if not self._plain:
                headers.set(self._header, made)
            elif given is None:
                headers.append(self._start + made + b"\r\n")
            else:
                headers.put(self._line(made))
            given = made
        exchange.correlation_id = given

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Set the id on the answer."""
        del status
        given = exchange.correlation_id
        if self._echo and given and is_field_value(given):
            headers.put(self._line(given))

    def _line(self, value: bytes) -> Block:
        return Block(self._names, self._start + value + b"\r\n")

    def _make(self, exchange: Exchange) -> str:
        if self._generator == "uuid#counter":
            self._count += 1
            return f"{self._process}#{self._count}"
        return str(uuid.uuid4()) if self._generator == "uuid" else self._tracker(exchange)

    def _tracker(self, exchange: Exchange) -> str:
        client = exchange.client
        if not client.number:
            client.number = next(_CONNECTIONS)
        client.tracked += 1
        place = f"{client.address}-{client.port}-{os.getpid()}-{client.number}-{client.tracked}"
        return f"{place}-{self._time():.3f}"
