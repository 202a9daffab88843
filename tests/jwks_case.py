"""An endpoint that publishes keys, and does with each request what the test says."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from token_case import jwk, private


def document(*numbers):
    """Return a set of RSA keys, ``k1`` and so on."""
    keys = [jwk("RS256", private("RS256", number), kid=f"k{number}", use="sig") for number in numbers]
    return json.dumps({"keys": keys})


class Endpoint:
    """``body``, ``status`` and ``headers`` are what it answers; ``gate``, where set, is waited for before that."""

    def __init__(self, body="", port=0, tls=None):
        self._tls = tls
        self.body, self.status, self.headers = body, 200, {}
        self.asked = 0
        self.arrived = asyncio.Event()
        self.gate = None
        self.port = port
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)

    @property
    def uri(self):
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/jwks.json"

    async def start(self):
        """Listen; anew on the same port after ``stop``."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        await self._runner.cleanup()

    async def _answer(self, request):
        del request
        self.asked += 1
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        return web.Response(body=self.body, status=self.status, headers=self.headers)
