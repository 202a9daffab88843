"""``GET /metrics`` for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from proxyd.telemetry.exposition import Exposition, FleetExposition


def metrics_handler(exposition: Exposition | FleetExposition) -> Handler:
    """Return a handler that answers in the text format or in OpenMetrics, as Accept asks."""

    async def get(request: web.Request) -> web.StreamResponse:
        """Return what Prometheus collects."""
        text, content_type = await exposition.write(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    return get
