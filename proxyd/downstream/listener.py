"""Listening sockets, and the set of connections that came from them.

Sockets are bound here or handed in from outside (``process.inherited``), so that one that outlives the process
loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket  # noqa: TC003  # a compiled dataclass needs its types
import ssl  # noqa: TC003  # the same
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proxyd.downstream.preface import Gate
from proxyd.downstream.protocol import Downstream
from proxyd.downstream.sockets import accept, bind, describe, in_the_way
from proxyd.exchange import Client
from proxyd.gateway.forwarded import lines_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from proxyd.clock import DeadlineWheel
    from proxyd.downstream.connection import Limits
    from proxyd.downstream.proxy_protocol import Source
    from proxyd.gateway.forwarded import TrustedIPs
    from proxyd.gateway.handler import Handler
    from proxyd.model.listen import Listen


LONGEST_QUEUE: Final = 65_535  # connections that can wait to be accepted
PROMPT: Final = 1.0  # seconds in which a client that means it has sent its head


class Connections:
    """All client connections of a process: counted, limited, and closed in good order.

    ``limit`` is ``worker_connections``: at the limit, a connection over which nothing is being answered makes room,
    and where there is none the new one is refused. With ``from_preface``, a client's address is what a
    trusted peer says in a PROXY header.
    """

    def __init__(
        self, wheel: DeadlineWheel, limit: int, trusted: TrustedIPs, *, from_preface: bool = False
    ) -> None:
        self.wheel = wheel
        self.limit = limit
        self.draining = False
        self.left = False  # streams have been told to end
        self.grace = 0.0  # seconds that a connection may idle while draining
        self.accepted = 0
        self.refused = 0
        self.malformed = 0  # did not begin with the PROXY header that was due
        self._trusted = trusted
        self._from_preface = from_preface
        self._open: dict[Downstream, None] = {}  # in the order in which they came
        self._upgraded: set[Downstream] = set()
        self._listens: dict[int, Listen] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __repr__(self) -> str:
        return f"<Connections open={len(self._open)} upgraded={len(self._upgraded)}>"

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Downstream]:
        return iter(list(self._open))

    # --- called by connections -------------------------------------------------------------------------------

    def opened(self, connection: Downstream, transport: asyncio.Transport) -> bool:
        """Take a new connection, or refuse it; names its client."""
        self.accepted += 1
        if len(self._open) >= self.limit > 0 and not self._make_room():
            self.refused += 1
            return False
        source = connection.source if self._from_preface else None
        connection.client = _client(transport, self._trusted, source)
        self._open[connection] = None
        self._empty.clear()
        return True

    def _make_room(self) -> bool:
        leaving = self._least_missed()
        if leaving is None:
            return False
        leaving.close()
        self._forget(leaving)
        return True

    def _least_missed(self) -> Downstream | None:
        """Choose who makes room: who is slow with a head, then the idle, then who has only just come.

        The oldest goes first, so that a client that asks as soon as it is there is served, whatever crowd there is
        of those that never do. Nobody goes who is being answered.
        """
        slow_since = self.wheel.now() - PROMPT
        idle: Downstream | None = None
        new: Downstream | None = None
        for connection in self._open:
            if connection.exchange is not None:
                continue
            if connection.requests and connection.idle:
                idle = idle or connection
            elif connection.awaited_since <= slow_since:
                return connection
            else:
                new = new or connection
        return idle or new

    def downgraded(self, connection: Downstream) -> None:
        """Hear that its tunnel is over."""
        self._upgraded.discard(connection)

    def upgraded(self, connection: Downstream) -> None:
        """Hear that it has become a tunnel."""
        self._upgraded.add(connection)

    def closed(self, connection: Downstream) -> None:
        """Hear that it is gone."""
        self._forget(connection)

    def _forget(self, connection: Downstream) -> None:
        self._open.pop(connection, None)
        self._upgraded.discard(connection)
        if not self._open:
            self._empty.set()

    # --- figures ---------------------------------------------------------------------------------------------

    @property
    def tunnels(self) -> int:
        """Connections that are upgraded now."""
        return len(self._upgraded)

    @property
    def idle(self) -> int:
        """Connections without a request under way."""
        return sum(connection.idle for connection in self._open)

    # --- the end ---------------------------------------------------------------------------------------------

    def dismiss(self, grace: float) -> None:
        """See that idle connections close within ``grace`` seconds, each at once where that is 0.

        A request that comes before is answered: its client does not know yet.
        """
        self.grace = grace
        until = self.wheel.now() + grace
        for connection in self:
            if not connection.idle:
                continue
            if not grace:
                connection.close()
            elif not 0.0 < connection.deadline < until:
                self.wheel.watch(connection, until)

    def leave(self) -> None:
        """End the streams whose clients come back elsewhere, and those that begin from now on."""
        self.left = True
        for connection in self:
            connection.leave()

    def go_away(self) -> None:
        """Tell both ends of each WebSocket that it is over."""
        for connection in list(self._upgraded):
            connection.go_away()

    def cut_requests(self) -> None:
        """Cut what is no WebSocket."""
        for connection in self:
            if connection not in self._upgraded:
                connection.cut()

    async def gone(self) -> None:
        """Wait until there is no connection left."""
        await self._empty.wait()

    async def abort(self) -> None:
        """Cut what is left."""
        for connection in self:
            connection.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), 1.0)


def _client(transport: asyncio.Transport, trusted: TrustedIPs, source: Source | None) -> Client:
    peer = transport.get_extra_info("peername")
    own = transport.get_extra_info("sockname")
    tls = transport.get_extra_info("ssl_object")
    address, peer_port = (peer[0], peer[1]) if isinstance(peer, tuple) else ("unix:", 0)
    if address.startswith("::ffff:") and "." in address:
        address = address[7:]  # an IPv4 client on a socket for both families
    port = own[1] if isinstance(own, tuple) else 0
    if source is not None and source.address and address in trusted:
        # Whoever is behind a load balancer that knows no HTTP is the peer, and trusted for its own sake.
        address, peer_port, port = source.address, source.port, source.own_port
    client = Client(address, peer_port, "https" if tls is not None else "http", port, address in trusted)
    client.address = own[0] if isinstance(own, tuple) else "unix:"
    if tls is not None:
        client.tls_version = tls.version() or ""
        client.sni = getattr(tls, "requested_server_name", "") or ""
        shown = getattr(tls, "client_certificate", None)
        client.certificate = shown() if shown is not None else None
    client.forwarded = lines_for(client)
    return client


@dataclass(frozen=True)
class Door:
    """A socket that connections come through; ``own`` tells that nobody else has it."""

    server: asyncio.Server | Gate
    sock: socket.socket
    tls: ssl.SSLContext | None
    own: bool


class Listener:
    """The sockets of ``proxy_listen``, and for a while those of others that have nobody to accept from them."""

    def __init__(self, connections: Connections, handler: Handler, limits: Limits) -> None:
        self._connections = connections
        self._handler = handler
        self._limits = limits
        self.last = False  # whether nobody accepts from any of the sockets behind this listener
        self._context: ssl.SSLContext | None = None
        self._doors: dict[str, list[Door]] = {}  # by whose sockets they are
        self._closed: list[Gate] = []  # with connections that are not made yet
        self._unix_paths: list[str] = []
        self._opening: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Listener {' '.join(self._doors) or 'closed'}>"

    def _make(self) -> Downstream:
        return Downstream(self._connections, self._handler, self._limits)

    @property
    def entering(self) -> int:
        """Connections that were accepted, and are not among ``Connections`` yet."""
        return len(self._opening) + sum(gate.entering for gate in self._closed)

    async def start(
        self,
        listens: Iterable[Listen],
        context: ssl.SSLContext | None,
        given: Mapping[Listen, Sequence[socket.socket]] | None = None,
    ) -> list[str]:
        """Accept; returns the addresses, ports filled in.

        Entries in ``given`` have sockets that were opened elsewhere, the others are bound here. Raises ConfigError
        where an address is taken.
        """
        self._context = context
        addresses: list[str] = []
        for listen in listens:
            sockets = given.get(listen, ()) if given else ()
            for sock in sockets or (self._bind(listen),):
                await self.accept("", listen, sock, own=not sockets)
                addresses.append(describe(sock, tls=listen.ssl))
        return addresses

    def _bind(self, listen: Listen) -> socket.socket:
        sock = bind(listen)
        if listen.path:
            self._unix_paths.append(listen.path)
        return sock

    async def accept(self, whose: str, listen: Listen, sock: socket.socket, *, own: bool = False) -> None:
        """Accept from one more socket, which is closed in the end; raises ConfigError.

        One of our ``own`` is held by nobody else.
        """
        doors = self._doors.setdefault(whose, [])
        tls = self._context if listen.ssl else None
        try:
            if listen.proxy_protocol:
                gate = self._gate(sock, tls)
                doors.append(Door(gate, sock, tls, own=own))
                gate.start(listen.backlog)
                return
            server = await asyncio.get_running_loop().create_server(
                self._make,  # type: ignore[arg-type]  # a protocol by its methods: compiled, it has no base
                sock=sock,
                ssl=tls,
                backlog=listen.backlog,
                ssl_handshake_timeout=self._limits.header_timeout if tls is not None else None,
            )
        except OSError as error:  # somebody else has begun to listen since
            sock.close()
            raise in_the_way(listen, error) from error
        doors.append(Door(server, sock, tls, own=own))

    def _gate(self, sock: socket.socket, tls: ssl.SSLContext | None) -> Gate:
        def make(source: Source) -> Any:
            return Downstream(self._connections, self._handler, self._limits, source)

        return Gate(sock, make, self._connections, tls, self._limits.header_timeout)

    def leave(self, whose: str) -> None:
        """Accept no longer from the sockets that were given under this name; what came over them stays."""
        for door in self._doors.pop(whose, ()):
            last = door.own or self.last
            if isinstance(door.server, Gate):
                door.server.close(last=last)
                self._closed.append(door.server)
                continue
            if last:
                self._let_in(door, LONGEST_QUEUE)
            door.server.close()

    def close(self) -> None:
        """Stop accepting; what waits in the queue of a socket that nobody else has is let in before."""
        for path in self._unix_paths:  # nobody finds the way to the queue from here on
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  # a socket, not a file
        self._unix_paths.clear()
        for whose in list(self._doors):
            self.leave(whose)

    def let_in(self, most: int) -> None:
        """Take up to so many connections that wait, of each socket: the loop takes one in each of its turns."""
        for doors in self._doors.values():
            for door in doors:
                if not isinstance(door.server, Gate):
                    self._let_in(door, most)

    def _let_in(self, door: Door, most: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(most):
            accepted = accept(door.sock)
            if accepted is None:
                return
            task = loop.create_task(self._open(accepted, door.tls))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        timeout = self._limits.header_timeout if tls is not None else None
        try:
            with contextlib.suppress(OSError):  # the client is gone, or its handshake failed
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._make,  # type: ignore[type-var]  # as above
                    sock,
                    ssl=tls,
                    ssl_handshake_timeout=timeout,
                )
                return
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    def abort(self) -> None:
        """Let go of what has not become a connection yet."""
        for gate in self._closed:
            gate.abort()
        self._closed.clear()
        for task in list(self._opening):
            task.cancel()
