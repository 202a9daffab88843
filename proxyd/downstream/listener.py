"""Listening sockets, and the set of connections that came from them.

Sockets are bound here or handed in from outside (``--fd``, systemd), so that one that outlives the process
loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

from proxyd.downstream.preface import Gate
from proxyd.downstream.protocol import Downstream
from proxyd.errors import ConfigError, Place, Problem
from proxyd.exchange import Client
from proxyd.gateway.forwarded import lines_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from proxyd.clock import DeadlineWheel
    from proxyd.downstream.connection import Limits
    from proxyd.downstream.proxy_protocol import Source
    from proxyd.gateway.forwarded import TrustedIPs
    from proxyd.gateway.handler import Handler
    from proxyd.model.listen import Listen


PROMPT = 1.0  # seconds in which a client that means it has sent its head


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

    async def drain(self, limit: float) -> bool:
        """Close what is idle, let the rest finish for up to ``limit`` seconds; false when some did not."""
        self.draining = True
        for connection in self:
            if connection.idle:
                connection.close()
        try:
            await asyncio.wait_for(self._empty.wait(), limit)
        except TimeoutError:
            return False
        return True

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


class Listener:
    """The sockets of ``proxy_listen``, and for a while those of others that have nobody to accept from them."""

    def __init__(self, connections: Connections, handler: Handler, limits: Limits) -> None:
        self._connections = connections
        self._handler = handler
        self._limits = limits
        self._context: ssl.SSLContext | None = None
        self._servers: dict[str, list[asyncio.Server | Gate]] = {}  # by whose sockets they are
        self._unix_paths: list[str] = []

    def __repr__(self) -> str:
        return f"<Listener {' '.join(self._servers) or 'closed'}>"

    def _make(self) -> Downstream:
        return Downstream(self._connections, self._handler, self._limits)

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
            if not sockets:
                sockets = (bind(listen),)
                if listen.path:
                    self._unix_paths.append(listen.path)
            for sock in sockets:
                await self.accept("", listen, sock)
                addresses.append(describe(sock, tls=listen.ssl))
        return addresses

    async def accept(self, whose: str, listen: Listen, sock: socket.socket) -> None:
        """Accept from one more socket, which is closed in the end; raises ConfigError."""
        servers = self._servers.setdefault(whose, [])
        tls = self._context if listen.ssl else None
        try:
            if listen.proxy_protocol:
                gate = self._gate(sock, tls)
                servers.append(gate)
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
        servers.append(server)

    def _gate(self, sock: socket.socket, tls: ssl.SSLContext | None) -> Gate:
        def make(source: Source) -> Any:
            return Downstream(self._connections, self._handler, self._limits, source)

        return Gate(sock, make, self._connections, tls, self._limits.header_timeout)

    def leave(self, whose: str) -> None:
        """Accept no longer from the sockets that were given under this name; what came over them stays."""
        for server in self._servers.pop(whose, ()):
            server.close()

    def close(self) -> None:
        """Stop accepting."""
        for whose in list(self._servers):
            self.leave(whose)
        for path in self._unix_paths:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  # a socket, not a file
        self._unix_paths.clear()


def describe(sock: socket.socket, *, tls: bool) -> str:
    """Name a listening socket as a URL."""
    scheme = "https" if tls else "http"
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


def bind(listen: Listen) -> socket.socket:
    """Open the socket of one ``proxy_listen`` entry; raises ConfigError that names what is in the way."""
    family = socket.AF_UNIX if listen.path else socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if listen.path:
            _remove_stale(listen.path)
            sock.bind(listen.path)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listen.reuseport:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if listen.so_keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if listen.deferred:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listen.ipv6only)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((listen.host, listen.port))
    except OSError as error:
        sock.close()
        raise in_the_way(listen, error) from error
    sock.setblocking(False)  # the socket API's own
    return sock


def in_the_way(listen: Listen, error: OSError) -> ConfigError:
    """Return what is wrong where an address cannot be listened on."""
    reason = f"cannot listen on {listen}: {os.strerror(error.errno) if error.errno else error}"
    return ConfigError([Problem(Place("proxy_listen"), "", reason)])


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is no more; one that answers is left, and binding fails on it."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(path) != 0:
            os.unlink(path)  # noqa: PTH108
