"""A real browser: it opens a page, whose script reports what came of it.

Names below ``localhost`` lead to this machine, and each is a site of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium")
PATIENCE = 60.0  # seconds for a browser to start and run a page
_QUIET = (
    "--headless",
    "--no-sandbox",  # it does not start for root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_PAGE = (
    '<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="script.js"></script>'
)
_TOOLS = """
const attempt = async (what) => { try { return await what() } catch (error) { return error.name } }
const done = (outcome) => navigator.sendBeacon("report", JSON.stringify(outcome))
"""


class Pages:
    """A server of one page under every host name, at ``/page/``; ``outcome`` is what its script gives to ``done``."""

    def __init__(self) -> None:
        self.script = ""
        self.port = 0
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        app = web.Application()
        app.router.add_get("/page/", self._page)
        app.router.add_get("/page/script.js", self._script)
        app.router.add_post("/page/report", self._report)
        self._runner = web.AppRunner(app)

    async def start(self) -> None:
        """Begin to serve."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End."""
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text=_PAGE, content_type="text/html")

    async def _script(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text=_TOOLS + self.script, content_type="text/javascript")

    async def _report(self, request: web.Request) -> web.Response:
        outcome = await request.json()
        if not self.outcome.done():
            self.outcome.set_result(outcome)
        return web.Response()

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    async def run(self, *where: Any, **options: Any) -> Any:
        """Open the page in a browser, see ``open``, and return what its script is done with."""
        async with self.open(*where, **options) as outcome:
            return outcome

    @contextlib.asynccontextmanager
    async def open(self, host: str, script: str, profile: Path, port: int = 0) -> AsyncIterator[Any]:
        """Open the page, give what its script is done with, and close the browser; ``port`` is another's that serves it."""
        self.script = script
        self.outcome = asyncio.get_running_loop().create_future()
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *_QUIET,
            f"--user-data-dir={profile}",
            "--remote-debugging-port=0",  # keeps it open behind the page's loading
            f"http://{host}:{port or self.port}/page/",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                outcome = await self.outcome
            yield outcome
        finally:
            browser.terminate()
            await browser.wait()
