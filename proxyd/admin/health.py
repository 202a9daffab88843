"""The health of upstreams: read, and set by hand (``kong/api/routes/upstreams.lua``).

What is set by hand holds until checks or another hand say otherwise, and is written nowhere: a worker that starts later
begins with every target healthy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.audit.noting import note
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.admin.entities.paging import Page, next_path
from proxyd.admin.entities.reading import READERS, find
from proxyd.admin.entities.show import show
from proxyd.admin.openapi.described import Query, described
from proxyd.admin.openapi.schemas import PAGING, REFERENCE
from proxyd.apps.roles import roles
from proxyd.upstream.addresses import split_port
from proxyd.upstream.cluster import TargetSpec
from proxyd.upstream.health import State, checks_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxyd.admin.source import AdminSource
    from proxyd.model.entities import Configuration, Target, Upstream
    from proxyd.telemetry.source import TargetState

OFF, HEALTHY, UNHEALTHY, NO_ADDRESS = "HEALTHCHECKS_OFF", "HEALTHY", "UNHEALTHY", "DNS_ERROR"

_STATE: Final = {"enum": [state.value for state in State]}
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_WEIGHT: Final = _object(total=_NUMBER, available=_NUMBER, unavailable=_NUMBER)
_ADDRESS: Final = _object(ip=_TEXT, port=_NUMBER, weight=_NUMBER, health=_STATE)
_HOST: Final = _object(
    host=_TEXT,
    port=_NUMBER,
    nodeWeight=_NUMBER,
    weight=_WEIGHT,
    addresses={"type": "array", "items": _ADDRESS},
)
_TARGET: Final = _object(
    id=_TEXT,
    target=_TEXT,
    weight=_NUMBER,
    upstream=REFERENCE,
    health=_STATE,
    data={"anyOf": [_HOST, {"type": "null"}]},
)
_WHOLE: Final = _object(
    id=_TEXT,
    health={"enum": [OFF, HEALTHY, UNHEALTHY]},
    details=_object(healthy={"type": "boolean"}, weight=_WEIGHT, hosts={"type": "array", "items": _HOST}),
)
_HEALTH: Final = {
    "type": "object",
    "required": ["data", "next", "node_id"],
    "properties": {
        "data": {"anyOf": [{"type": "array", "items": _TARGET}, _WHOLE]},
        "next": {"type": ["string", "null"]},
        "node_id": {"type": ["string", "null"]},
        "offset": _TEXT,
    },
}
_WHOLE_TOO: Final = Query(
    "balancer_health",
    "1 for the upstream as a whole in the place of its targets.",
    {"enum": ["0", "1"], "default": "0"},
)


class TargetHealth:
    """Handlers of ``/upstreams/{…}/health`` and of what sets it."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/upstreams/{upstreams}/health", self._health)
        target = "/upstreams/{upstreams}/targets/{targets}"
        for healthy in (True, False):
            word = "healthy" if healthy else "unhealthy"
            app.router.add_put(f"{target}/{word}", self._marker(healthy=healthy))
            app.router.add_put(f"{target}/{{address}}/{word}", self._marker(healthy=healthy))

    @roles(*READERS)
    @described(
        "Tell how the targets of an upstream are.", answers={200: _HEALTH}, query=(*PAGING, _WHOLE_TOO)
    )
    async def _health(self, request: web.Request) -> web.StreamResponse:
        loaded = await self._source.loaded()
        upstream = _upstream(loaded.configuration, request)
        targets = _targets(loaded.configuration, upstream)
        states = [one for one in await self._source.targets() if one.upstream == upstream.name]
        if request.query.get("balancer_health") == "1":
            return answer({"data": _whole(upstream, targets, states), "next": None, "node_id": None})
        page, offset = Page.of(request.query).of_entities(targets)
        created_at = self._source.config.last_success
        rows = []
        for entity in page:
            target = loaded.configuration.targets[entity.id]
            data = _host(target, states)
            row = show("targets", target, loaded.plugin_configs, created_at)
            rows.append(
                {**row, "health": _together(data["addresses"]), "data": data if data["addresses"] else None}
            )
        return answer(
            {
                "data": rows,
                "next": next_path(request.path, request.query, offset),
                "node_id": None,
                **({"offset": offset} if offset else {}),
            }
        )

    def _marker(self, *, healthy: bool) -> Any:
        @roles("operator", "admin")
        @described(
            f"Have a target, or one address of it, count as {'healthy' if healthy else 'unhealthy'}.",
            answers={204: None},
        )
        async def put(request: web.Request) -> web.StreamResponse:
            loaded = await self._source.loaded()
            upstream = _upstream(loaded.configuration, request)
            targets = _targets(loaded.configuration, upstream)
            target = find(targets, COLLECTIONS["targets"], request.match_info["targets"])
            label = _label(loaded.configuration.targets[target.id])
            address = request.match_info.get("address")
            if not await self._source.mark(upstream.name, label, address, healthy=healthy):
                raise Refusal.not_found()
            note(
                request,
                "mark",
                "targets",
                target.id,
                after={"target": label, "address": address, "healthy": healthy},
            )
            return web.Response(status=204)

        return put


def _upstream(configuration: Configuration, request: web.Request) -> Upstream:
    """Return the upstream that a path names; raises Refusal."""
    upstreams = configuration.upstreams
    return upstreams[find(upstreams.values(), COLLECTIONS["upstreams"], request.match_info["upstreams"]).id]


def _targets(configuration: Configuration, upstream: Upstream) -> list[Target]:
    return [target for target in configuration.targets.values() if target.upstream == upstream.id]


def _label(target: Target) -> str:
    """Return what a target is called by those who ask it: with its port."""
    return TargetSpec.parse(target.target).label


def _host(target: Target, states: Iterable[TargetState]) -> dict[str, Any]:
    """Tell of one target and its addresses."""
    label = _label(target)
    addresses: list[dict[str, Any]] = []
    for one in states:
        if one.target == label and one.address:
            ip, port = split_port(one.address, 0)
            addresses.append({"ip": ip, "port": port, "weight": one.weight, "health": one.health})
    host, port = split_port(label, 0)
    total = sum(one["weight"] for one in addresses)
    good = sum(one["weight"] for one in addresses if one["health"] != UNHEALTHY)
    return {
        "host": host,
        "port": port,
        "nodeWeight": target.weight,
        "weight": {"total": total, "available": good, "unavailable": total - good},
        "addresses": addresses,
    }


def _together(addresses: Sequence[dict[str, Any]]) -> str:
    """Return the health of a target: one address that is well is enough."""
    found = {one["health"] for one in addresses}
    return next((state for state in (HEALTHY, UNHEALTHY, OFF) if state in found), NO_ADDRESS)


def _whole(upstream: Upstream, targets: Sequence[Target], states: Sequence[TargetState]) -> dict[str, Any]:
    """Tell of an upstream as a whole: it is well while enough of its weight is."""
    hosts = [_host(target, states) for target in targets]
    weight = {
        name: sum(host["weight"][name] for host in hosts) for name in ("total", "available", "unavailable")
    }
    share = 100 * weight["available"] / weight["total"] if weight["total"] else 0.0
    healthy = bool(weight["available"]) and share >= upstream.healthchecks.threshold
    state = (HEALTHY if healthy else UNHEALTHY) if checks_on(upstream.healthchecks) else OFF
    details = {"healthy": healthy, "weight": weight, "hosts": hosts}
    return {"id": upstream.id, "health": state, "details": details}
