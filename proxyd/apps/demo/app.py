"""Puts the demo backend together, and starts it: alone, or inside the gateway's own process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from proxyd.apps.demo import graphql_http, orders, plain, sockets, streams
from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

HOST = "127.0.0.1"
PORT = 3000
STOP_TIMEOUT = 1.0  # seconds that running requests get when the backend stops


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give refusals the shape that clients of an API expect: ``{"message": ...}``."""
    try:
        return await handler(request)
    except web.HTTPError as refusal:
        response = web.json_response({"message": refusal.text or refusal.reason}, status=refusal.status)
        if "Allow" in refusal.headers:
            response.headers["Allow"] = refusal.headers["Allow"]
        return response


def build_app() -> web.Application:
    """Return a new backend with orders of its own."""
    app = web.Application(middlewares=[errors_as_json])
    for part in (plain, orders, streams, graphql_http, sockets):
        part.add_to(app)
    return app


async def start_demo(host: str = HOST, port: int = PORT) -> tuple[web.AppRunner, int]:
    """Start the backend in the running loop; return what stops it (``await runner.cleanup()``) and its port.

    Port 0 takes any free one. Raises ProxydError where the address cannot be listened on.
    """
    runner = web.AppRunner(build_app(), access_log=None, shutdown_timeout=STOP_TIMEOUT)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ProxydError(f"the demo backend cannot listen on {host}:{port}: {reason}") from error
    return runner, runner.addresses[0][1]


async def run_demo(host: str = HOST, port: int = PORT) -> None:
    """Serve the backend alone until SIGINT or SIGTERM; raises ProxydError as ``start_demo`` does."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    runner, port = await start_demo(host, port)
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        sys.stdout.write(f"demo backend on http://{host}:{port}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)
        await runner.cleanup()
