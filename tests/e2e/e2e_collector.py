"""Collectors of traces, as aiohttp applications: one for OTLP, one for Zipkin. They keep what they are sent."""

from __future__ import annotations

import asyncio

from aiohttp import web
from e2e_wire import PATIENCE


class Collector:
    """Decodes what is posted to it; ``status`` is what it answers, and while ``go`` is cleared, it does not."""

    def __init__(self, decode):
        self.status = 200
        self.go = asyncio.Event()
        self.go.set()
        self.requests = []
        self.spans = []
        self.asked = 0
        self._decode = decode
        self._some = asyncio.Event()
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self, port=0):
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self):
        self.go.set()
        await self._runner.cleanup()

    async def _take(self, request):
        body = await request.read()
        self.asked += 1
        self._some.set()
        await self.go.wait()
        if self.status == 200:
            self.requests.append(request)
            self.spans += self._decode(body)
            self._some.set()
        return web.Response(status=self.status)

    async def _until(self, true):
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._some.clear()
                await self._some.wait()

    async def taken(self, count):
        """Return the spans, as soon as there are so many."""
        await self._until(lambda: len(self.spans) >= count)
        return self.spans

    async def attempts(self, count):
        """Wait until it was asked so often."""
        await self._until(lambda: self.asked >= count)


def decode_otlp(body):
    """Return the spans of an ExportTraceServiceRequest, each with its resource's attributes."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    message = ExportTraceServiceRequest.FromString(body)
    return [
        (span, values(resource.resource.attributes), scope)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def values(attributes):
    """Return attributes by their keys."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
