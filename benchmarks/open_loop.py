"""Load that does not wait: requests at a constant rate, whether those before have been answered or not.

A closed loop, as wrk's, asks less of a server that is slow, and so cannot show what an overload does. Here the
latency counts from when a request was due. A client that has waited for ``DEADLINE`` goes away and closes its
connection. Runs as a process of its own and prints its result as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

DEADLINE = 1.0  # seconds after which an answer is of no use
TICK = 0.001  # seconds between two looks at what is due
GRACE = 0.2  # seconds after the last deadline
OPENED = 0.4  # of the connections are there before the first request
SETTLE = 0.5  # seconds for them to be accepted
WARM_UP = 1.5  # seconds at the same rate before anything is counted
OPENED_PER_TICK = 2  # at most: clients beyond that cannot connect, and the load tool keeps its pace
NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT of linux/in.h: the port is chosen when it is known whereto


@dataclass(slots=True)
class Result:
    """What became of the requests of one kind of client; latencies in seconds, of good answers.

    ``offered`` were due, ``good`` answered with 2xx in time, ``shed`` with 503; ``late`` clients went away, ``failed``
    were answered otherwise or cut off, and for ``unsent`` ones there was no connection left.
    """

    offered: int = 0
    good: int = 0
    shed: int = 0
    late: int = 0
    failed: int = 0
    unsent: int = 0
    latencies: list[float] = field(default_factory=list)


class Kind:
    """Clients of one kind: a source address, a request, a share of the rate, and a bounded set of connections."""

    def __init__(self, port: int, address: str, request: bytes, rate: float, connections: int) -> None:
        self.result = Result()
        self.idle: list[Connection] = []
        self.request = request
        self.rate = rate
        self.counts_from = 0.0  # what was due before is not counted
        self._port = port
        self._address = address
        self._left = connections
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._waiting: deque[tuple[float, Connection]] = deque()  # in the order of their deadlines
        self._sent = 0
        self._may_open = 0

    async def open(self) -> None:
        """Open some connections beforehand."""
        for _ in range(max(1, int(self._left * OPENED))):
            self._left -= 1
            await self._open(Connection(self))

    def tick(self, passed: float, start: float, seconds: float) -> None:
        """Send what is due, and give up on what is late."""
        self.counts_from = start + WARM_UP
        self._may_open = OPENED_PER_TICK
        now = start + passed
        waiting = self._waiting
        while waiting and waiting[0][0] + DEADLINE <= now:
            due, connection = waiting.popleft()
            if connection.due == due:
                connection.due = 0.0
                self.result.late += due >= self.counts_from
                connection.give_up()
        for number in range(self._sent, int(min(passed, seconds) * self.rate)):
            self._send(start + number / self.rate)
            self._sent = number + 1

    def _send(self, due: float) -> None:
        counts = due >= self.counts_from
        self.result.offered += counts
        if self.idle:
            connection = self.idle.pop()
            connection.ask(due)
        elif self._left and self._may_open:
            self._left -= 1
            self._may_open -= 1
            connection = Connection(self)
            connection.due = due
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self.result.unsent += counts
            return
        self._waiting.append((due, connection))

    async def _open(self, connection: Connection) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)  # the socket API's own
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_IP, NO_PORT_YET, 1)
            sock.bind((self._address, 0))
            await self._loop.sock_connect(sock, ("127.0.0.1", self._port))
            await self._loop.create_connection(lambda: connection, sock=sock)
        except OSError:
            sock.close()
            connection.connection_lost(None)

    def closed(self) -> None:
        """Hear that a connection is gone: another one may be opened."""
        self._left += 1

    async def stop(self) -> None:
        """End what is still being opened."""
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)


class Connection(asyncio.Protocol):
    """One connection, with one request at a time; ``due`` is when it should have been sent, 0.0 for none."""

    def __init__(self, kind: Kind) -> None:
        self.due = 0.0
        self._kind = kind
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._over = False
        self._now = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request that it was opened for."""
        self._transport = transport = cast("asyncio.Transport", transport)
        if self.due:
            transport.write(self._kind.request)
        else:
            self._kind.idle.append(self)

    def ask(self, due: float) -> None:
        """Send a request."""
        self.due = due
        if self._transport is not None:
            self._transport.write(self._kind.request)

    def data_received(self, data: bytes) -> None:
        """Take an answer, which has a Content-Length."""
        data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._data = data
            return
        at = data.find(b"ontent-Length: ", 0, end)
        length = int(data[at + 15 : data.index(b"\r\n", at)])
        if len(data) < end + 4 + length:
            self._data = data
            return
        self._data = b""
        self._answered(data[9:12], data[:end])

    def _answered(self, status: bytes, head: bytes) -> None:
        result = self._kind.result
        due, self.due = self.due, 0.0
        if due < self._kind.counts_from:
            pass
        elif status[:1] == b"2":
            result.good += 1
            result.latencies.append(self._now() - due)
        elif status == b"503":
            result.shed += 1
        else:
            result.failed += 1
        if b"\r\nConnection: close" in head:
            self.give_up()
        else:
            self._kind.idle.append(self)

    def give_up(self) -> None:
        """Close, as a client does that waits no longer."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # it is gone, however
        """Count a request that was cut off."""
        if self._over:
            return
        self._over = True
        if self.due:
            self._kind.result.failed += self.due >= self._kind.counts_from
            self.due = 0.0
        elif self in self._kind.idle:
            self._kind.idle.remove(self)
        self._kind.closed()


async def run(port: int, seconds: float, kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """Send for ``seconds``, wait for the last answers; returns a result per kind, and how far the sender fell behind."""
    loop = asyncio.get_running_loop()
    made = [Kind(port, request=kind.pop("request").encode("latin-1"), **kind) for kind in kinds]
    for kind in made:
        await kind.open()
    await asyncio.sleep(SETTLE)
    seconds += WARM_UP
    start = before = loop.time()
    behind = 0.0
    while (passed := loop.time() - start) < seconds + DEADLINE + GRACE:
        behind = max(behind, start + passed - before)
        before = start + passed
        for kind in made:
            kind.tick(passed, start, seconds)
        await asyncio.sleep(TICK)
    for kind in made:
        await kind.stop()
    return {"kinds": [asdict(kind.result) for kind in made], "behind": behind}


if __name__ == "__main__":
    gc.disable()  # its pauses are not the gateway's
    options = json.load(sys.stdin)
    print(json.dumps(uvloop.run(run(options["port"], options["seconds"], options["kinds"]))))
