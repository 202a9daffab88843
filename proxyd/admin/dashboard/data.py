"""``/dashboard/overview`` and ``/dashboard/series``: what the dashboard asks for, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.dashboard.overview import Tables, overview, series, series_of_route
from proxyd.admin.dashboard.rings import SCALES
from proxyd.admin.dashboard.sampler import Sampler
from proxyd.admin.entities.reading import READERS
from proxyd.admin.openapi.described import Query, described
from proxyd.apps.roles import roles

if TYPE_CHECKING:
    from aiohttp import web

    from proxyd.admin.source import AdminSource
    from proxyd.clock import Clock

_RANGE: Final = Query("range", "How far back.", {"type": "string", "enum": list(SCALES), "default": "5m"})
_ROUTE: Final = Query("route", "The figures of this route alone, by its name or id.")
_OBJECT: Final = {"type": "object"}


class Data:
    """Handlers of the figures, and what collects them while the application runs."""

    def __init__(self, source: AdminSource, clock: Clock | None = None) -> None:
        self._source = source
        self.sampler = Sampler(source.observe, clock)
        self._tables = Tables(self.sampler)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.cleanup_ctx.append(self.sampler.running)
        app.router.add_get("/dashboard/overview", self._overview)
        app.router.add_get("/dashboard/series", self._series)

    @roles(*READERS)
    @described("Return how the gateway is now.", answers={200: _OBJECT}, query=(_RANGE,))
    async def _overview(self, request: web.Request) -> web.StreamResponse:
        live = self._source.database
        state = live.state if live is not None else None
        return answer(await overview(self.sampler, self._tables, _range(request), self._source.config, state))

    @roles(*READERS)
    @described("Return figures over time.", answers={200: _OBJECT}, query=(_RANGE, _ROUTE))
    async def _series(self, request: web.Request) -> web.StreamResponse:
        ring = self.sampler.rings[_range(request)]
        seen = self.sampler.latest
        budget = seen.budget if seen is not None else (0.02, 0.04)
        told: dict[str, Any]
        if (route := request.query.get("route")) is not None:
            told = await series_of_route(ring, self.sampler.at, budget, route)
        else:
            told = series(ring, self.sampler.at, budget)
        return answer(told)


def _range(request: web.Request) -> str:
    name = request.query.get("range", "5m")
    if name not in SCALES:
        raise Refusal.schema("range", f"expected one of: {', '.join(SCALES)}")
    return name
