"""aiohttp applications mounted in the gateway: imported, started, and called as ``memory://NAME``.

To its author it is an ordinary application. To the gateway it is a target: routing, plugins, limits, logs and metrics
treat it like any other, and so the application's own limit on bodies is lifted.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxyd.apps.caller import CALLER, NOBODY, caller_of
from proxyd.errors import ConfigError, GatewayError, Kind, Place, Problem
from proxyd.upstream.memory import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxyd.exchange import Exchange
    from proxyd.upstream.connection import UpstreamConnection
    from proxyd.upstream.connector import Endpoint

SHUTDOWN = 2.0  # seconds that handlers get when the gateway stops; their clients are gone by then
IDLE = 86_400.0  # seconds: the gateway's pool closes idle connections, and long before


class Apps:
    """The mounted applications of a gateway. ``groups_of`` gives a consumer's groups by its id."""

    def __init__(
        self, references: Mapping[str, str], groups_of: Callable[[str], tuple[str, ...]] = lambda _: ()
    ) -> None:
        self._references = references
        self._groups_of = groups_of
        self._running: dict[str, _Mounted] = {}

    def __repr__(self) -> str:
        return f"<Apps {' '.join(self._running) or 'stopped'}>"

    # --- life ------------------------------------------------------------------------------------------------

    async def load(self, places: Mapping[str, Place]) -> dict[str, web.Application]:
        """Import and make every application; raises ConfigError with each that cannot be."""
        problems: list[Problem] = []
        made: dict[str, web.Application] = {}
        for name, reference in self._references.items():
            path = f"proxyd.apps.{name}"
            try:
                app = await _make(reference)
                if any(app is other for other in made.values()):
                    raise _UnusableError("the same object is mounted twice: name what makes one")  # noqa: TRY301
                made[name] = app
            except _UnusableError as error:
                problems.append(Problem(places.get(path, Place("apps")), path, f"{reference}: {error}"))
        if problems:
            raise ConfigError(problems)
        return made

    async def start(self, places: Mapping[str, Place]) -> None:
        """Make and start every application; raises ConfigError, with some perhaps running until ``stop``."""
        for name, app in (await self.load(places)).items():
            mounted = self._running[name] = _Mounted(app, self._groups_of)
            try:
                await mounted.start()
            except Exception as error:
                path = f"proxyd.apps.{name}"
                problem = Problem(places.get(path, Place("apps")), path, f"does not start: {_said(error)}")
                raise ConfigError([problem]) from error

    async def stop(self) -> None:
        """End every application; works after a half start."""
        running, self._running = self._running, {}
        for mounted in running.values():
            await mounted.stop()

    # --- being called ----------------------------------------------------------------------------------------

    async def dial(
        self,
        endpoint: Endpoint,
        make: Callable[[], UpstreamConnection],
        timeout: float,  # noqa: ASYNC109  # there is nothing to wait for
    ) -> UpstreamConnection:
        """Connect to the application that an endpoint names, as ``connector.dial`` does to an address."""
        del timeout
        mounted = self._running.get(endpoint.host)
        if mounted is None:
            raise GatewayError(Kind.CONNECT_REFUSED, f"{endpoint}: not running")
        return mounted.connect(make)


class _Mounted:
    """One application that runs."""

    def __init__(self, app: web.Application, groups_of: Callable[[str], tuple[str, ...]]) -> None:
        self._groups_of = groups_of
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=IDLE, shutdown_timeout=SHUTDOWN, handle_signals=False
        )
        self._loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._runner.setup()
        if self._runner.server is not None:
            self._runner.server.request_factory = self._make_request

    async def stop(self) -> None:
        server = self._runner.server
        for protocol in server.connections if server is not None else ():
            if protocol.transport is not None:  # a WebSocket would hold the cleanup up until its timeout
                protocol.transport.abort()
        await self._runner.cleanup()

    def connect(self, make: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        if self._runner.server is None:
            raise GatewayError(Kind.CONNECT_REFUSED, "the application has stopped")
        return connect(make, self._runner.server)

    def _make_request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.Request:
        """Make the application's request: scheme, host, address and caller are the client's, not the pair's.

        Pairs are kept for the requests of others, so nothing of a client may be remembered with one.
        """
        exchange = _exchange(protocol)
        request = web.Request(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=0,  # the gateway limits, for each route
            scheme=exchange.scheme if exchange is not None else "http",
            host=(exchange.request.host or None) if exchange is not None else None,
            remote=exchange.client_ip if exchange is not None else None,
        )
        request[CALLER] = caller_of(exchange, self._groups_of) if exchange is not None else NOBODY
        return request


def _exchange(protocol: Any) -> Exchange | None:
    """Return the exchange that a connection carries now; None where its client is gone already."""
    transport = protocol.transport
    connection = transport.get_extra_info("peer") if transport is not None else None
    return getattr(getattr(connection, "owner", None), "exchange", None)


class _UnusableError(Exception):
    """What a reference leads to cannot be mounted."""


async def _make(reference: str) -> web.Application:
    """Import what a reference names, call it where it makes applications, and return the application."""
    module, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        if not isinstance(found, web.Application) and callable(found):
            found = found()
            if inspect.isawaitable(found):
                found = await found
    except Exception as error:  # it is a user's code, and may raise anything
        raise _UnusableError(_said(error)) from error
    if not isinstance(found, web.Application):
        raise _UnusableError(
            f"is {type(found).__name__}, and neither an aiohttp Application nor what makes one"
        )
    if found.frozen:
        raise _UnusableError("has been started before: name what makes one")
    return found


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
