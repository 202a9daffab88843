"""Serving an aiohttp application on listeners of its own: status, and administration."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence

SHUTDOWN = 2.0  # seconds that requests under way get when the server stops


class ListenLike(Protocol):
    """What is needed of an entry of ``status_listen``: a unix socket's ``path``, or host and port."""

    @property
    def host(self) -> str:
        """Address."""

    @property
    def port(self) -> int:
        """Port; 0 lets the system choose."""

    @property
    def path(self) -> str | None:
        """Path of a unix socket."""

    @property
    def ssl(self) -> bool:
        """Whether TLS is spoken."""


class AppServer:
    """An application and its listeners. ``setting`` names them in errors.

    ``given`` are sockets that others have bound, by their entry; entries without are bound here.
    """

    def __init__(
        self,
        app: web.Application,
        listens: Iterable[ListenLike],
        setting: str,
        tls: ssl.SSLContext | None = None,
        given: Mapping[Any, Sequence[socket.socket]] | None = None,
    ) -> None:
        self.addresses: list[str] = []  # what is listened on, as URLs, ports filled in
        self._listens = tuple(listens)
        self._setting = setting
        self._tls = tls
        self._given = given or {}
        self._paths: list[Path] = []
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)

    def __repr__(self) -> str:
        return f"<AppServer {self._setting} {' '.join(self.addresses) or 'stopped'}>"

    async def start(self) -> None:
        """Listen; raises ConfigError where that is not possible, with nothing left open."""
        await self._runner.setup()
        for listen in self._listens:
            try:
                await self._listen(listen)
            except OSError as error:
                await self.stop()
                where = f"unix:{listen.path}" if listen.path else f"{listen.host}:{listen.port}"
                reason = os.strerror(error.errno) if error.errno else str(error)
                problem = Problem(Place(self._setting), "", f"cannot listen on {where}: {reason}")
                raise ConfigError([problem]) from error

    async def _listen(self, listen: ListenLike) -> None:
        given = self._given.get(listen, ()) if self._given else ()
        for sock in given:
            await self._serve(web.SockSite(self._runner, sock, ssl_context=self._context(listen)), listen)
        if given:
            return
        if listen.path:
            # Bound here, because asyncio would take the path of a process that is still alive.
            await web.SockSite(self._runner, _bind(listen.path)).start()
            self._paths.append(Path(listen.path))
            self.addresses.append(f"unix:{listen.path}")
            return
        context = self._context(listen)
        await self._serve(web.TCPSite(self._runner, listen.host, listen.port, ssl_context=context), listen)

    def _context(self, listen: ListenLike) -> ssl.SSLContext | None:
        if listen.ssl and self._tls is None:
            raise OSError(None, "there is no certificate")
        return self._tls if listen.ssl else None

    async def _serve(self, site: web.BaseSite, listen: ListenLike) -> None:
        before = len(self._runner.addresses)
        await site.start()
        for address in self._runner.addresses[before:]:
            if isinstance(address, str):
                self.addresses.append(f"unix:{address}")
                continue
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            self.addresses.append(f"{'https' if listen.ssl else 'http'}://{host}:{address[1]}")

    async def stop(self) -> None:
        """Close the listeners; requests under way get ``SHUTDOWN`` seconds. Works after a half start."""
        self.addresses.clear()
        while self._paths:  # at first: once nobody answers there, the path may be another one's
            self._paths.pop().unlink(missing_ok=True)
        await self._runner.cleanup()


def _bind(path: str) -> socket.socket:
    _remove_stale(Path(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that is no more; one that answers is left for binding to fail on."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(str(path)) != 0:
                path.unlink(missing_ok=True)
