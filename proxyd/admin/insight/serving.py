"""``/dashboard/explain`` and ``/dashboard/chain``: what the configuration that runs makes of a request, for people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.about import read_object
from proxyd.admin.answers import Refusal, answer
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.admin.entities.reading import READERS, find
from proxyd.admin.entities.show import masked
from proxyd.admin.insight.explaining import Explainer, Question, QuestionError
from proxyd.admin.openapi.described import Query, described
from proxyd.apps.roles import roles
from proxyd.gateway.pipeline import defines
from proxyd.plugin import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiohttp import web

    from proxyd.admin.insight.explaining import Explanation, Link
    from proxyd.admin.source import AdminSource
    from proxyd.gateway.router.explain import Verdict
    from proxyd.model.entities import Route, Stored
    from proxyd.plugin import Plugin, Scope

VERDICTS: Final = 50  # that are told of; of 10,000 routes, nobody reads the others
_TEXTS: Final = ("protocol", "method", "host", "path", "sni", "consumer")
_OBJECT: Final = {"type": "object"}
_HEADER: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_QUESTION: Final = {
    "type": "object",
    "properties": {
        **{name: {"type": ["string", "null"]} for name in _TEXTS},
        "headers": {"type": ["object", "null"], "additionalProperties": _HEADER},
    },
}
_CHAIN: Final = (
    Query("route", "Name or id of the route."),
    Query("consumer", "Name or id of who calls."),
)


class Insight:
    """Handlers that explain. What they take is compiled once for each configuration, beside the loop."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source
        self._explainer: Explainer | None = None
        self._explaining = asyncio.Lock()  # two at once would compile it twice

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/dashboard/chain", self._chain)
        app.router.add_post("/dashboard/explain", self._explain)

    @roles(*READERS)
    @described(
        "Tell which plugins run on a route, and which scope each comes from.",
        answers={200: _OBJECT},
        query=_CHAIN,
        refusals=(404,),
    )
    async def _chain(self, request: web.Request) -> web.StreamResponse:
        wanted, consumer = request.query.get("route"), request.query.get("consumer")
        if not wanted:
            raise Refusal.schema("route", "the name or id of a route is needed: ?route=NAME")
        async with self._explaining:
            explainer = await self._of_now()
            routes = explainer.configuration.routes
            route = routes[find(routes.values(), COLLECTIONS["routes"], wanted).id]
            return answer(await asyncio.to_thread(_chain, explainer, route, consumer))

    @roles(*READERS)
    @described(
        "Tell which route a request would take, and why.",
        answers={200: _OBJECT},
        body=_QUESTION,
        refusals=(404,),
    )
    async def _explain(self, request: web.Request) -> web.StreamResponse:
        values = await read_object(request)
        texts = _texts(values)
        try:
            question = Question.of(
                texts.get("protocol", "http"),
                texts.get("method", "GET"),
                texts.get("host", "localhost"),
                texts.get("path", "/"),
                list(_headers(values.get("headers") or {})),
                texts.get("sni"),
            )
        except QuestionError as error:
            raise Refusal.schema(error.field, str(error)) from None
        async with self._explaining:
            explainer = await self._of_now()
            return answer(await asyncio.to_thread(_explained, explainer, question, texts.get("consumer")))

    async def _of_now(self) -> Explainer:
        loaded = await self._source.loaded()
        if self._explainer is None or self._explainer.loaded is not loaded:
            self._explainer = Explainer(loaded)
        return self._explainer


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Return the parts of a question that are given; raises Refusal."""
    for name in _TEXTS:
        if not isinstance(values.get(name), str | None):
            raise Refusal.schema(name, "must be a text")
    if "protocol" not in values and isinstance(values.get("scheme"), str):
        values["protocol"] = values["scheme"]
    return {name: values[name] for name in _TEXTS if values.get(name)}


def _headers(given: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(given, dict):
        raise Refusal.schema("headers", "must be an object: a text, or a list of them, by name")
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str):
                raise Refusal.schema("headers", f"the value of {name} must be a text")
            yield name, one


def _explained(explainer: Explainer, question: Question, consumer: str | None) -> dict[str, Any]:
    found = explainer.explain(question)
    match = found.match
    told = _told(found.verdicts)
    return {
        "request": {
            "scheme": question.scheme,
            "method": question.method,
            "host": question.host,
            "path": question.path,
            "query": question.query,
            "sni": question.sni or None,
        },
        "route": _name(match.payload) if match is not None else None,
        "stripped": match.prefix if match is not None else None,
        "captures": {str(key): text for key, text in (match.captures or {}).items()} if match else {},
        "answer": found.answer or None,
        "service": _name(found.service) if found.service is not None else None,
        "upstream_url": found.url or None,
        "targets": found.targets,
        "verdicts": [_verdict(one, found) for one in told],
        "verdicts_left_out": len(found.verdicts) - len(told),
        "chain": _chain(explainer, match.payload, consumer) if match and not found.redirected else None,
    }


def _told(verdicts: list[Verdict]) -> list[Verdict]:
    """Choose what is told where there are many: what matches, best first, and then what came nearest to it."""
    return sorted(verdicts, key=lambda one: len(one.misfits))[:VERDICTS]


def _verdict(one: Verdict, found: Explanation) -> dict[str, Any]:
    wins = found.match is not None and one.matches and not one.lost_by
    return {
        "route": _name(one.route),
        "paths": one.paths or None,
        "outcome": "wins" if wins else "loses" if one.lost_by else "refused" if one.matches else "no match",
        "misfits": list(dict.fromkeys(one.misfits)),
        "lost_by": one.lost_by or None,
        "reason": one.reason,
    }


def _chain(explainer: Explainer, route: Route, consumer: str | None) -> dict[str, Any]:
    """Return the plugins on a route; raises Refusal where there is no such consumer."""
    try:
        known = explainer.consumer(consumer) if consumer else None
    except QuestionError as error:
        raise Refusal(404, {"message": str(error)}) from None
    service = explainer.configuration.services.get(route.service or "")
    return {
        "route": _name(route),
        "service": _name(service) if service is not None else None,
        "consumer": _name(known) if known is not None else None,
        "plugins": [_link(explainer, link) for link in explainer.chain(route, known)],
        "switched_off": [
            {"id": one.id, "name": one.name, "instance_name": one.instance_name, "why": why}
            for one, why in explainer.switched_off(route)
        ],
    }


def _link(explainer: Explainer, link: Link) -> dict[str, Any]:
    return {
        "name": link.name,
        "priority": link.priority,
        "phases": [phase for phase in PHASES if defines(link.instance, phase)],
        "runs": _instance(explainer, link.runs) if link.runs is not None else None,
        "others": [{**_instance(explainer, one), "why": why} for one, why in link.others],
    }


def _instance(explainer: Explainer, plugin: Plugin[Any]) -> dict[str, Any]:
    entity = explainer.configuration.plugins[plugin.instance_id]
    place = explainer.configuration.places.get(entity.id)
    return {
        "id": entity.id,
        "instance_name": entity.instance_name,
        "scope": str(plugin.scope),
        "of": dict(_owners(explainer, plugin.scope)),
        "config": masked(plugin.config),
        "place": str(place) if place is not None and place.line else None,
        "tags": list(entity.tags),
    }


def _owners(explainer: Explainer, scope: Scope) -> Iterable[tuple[str, dict[str, Any]]]:
    for kind in ("route", "service", "consumer"):
        owner = getattr(explainer.configuration, f"{kind}s").get(getattr(scope, kind))
        if owner is not None:
            yield kind, _name(owner)


def _name(entity: Stored) -> dict[str, Any]:
    name = getattr(entity, "name", None) or getattr(entity, "username", None)
    return {"id": entity.id, "name": name or getattr(entity, "custom_id", None)}
