"""``/audit``: what was done over this API, page by page or as JSON lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.audit.finding import Mark, Trail
from proxyd.admin.entities.paging import DEFAULT_SIZE, MAX_SIZE, next_path, size_of
from proxyd.admin.openapi.described import Query, described
from proxyd.apps.roles import roles
from proxyd.database.entries import AuditQuery
from proxyd.model.units import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.admin.source import AdminSource

AUDITORS: Final = ("operator", "admin")
_LINES: Final = "application/x-ndjson"

_NULLABLE: Final = {"type": ["string", "null"]}
_TEXT: Final = {"type": "string"}
ENTRY: Final = {
    "type": "object",
    "required": ["id", "time", "who", "role", "address", "action", "collection", "entity", "before", "after"],
    "properties": {
        "id": _TEXT,
        "time": {"type": "string", "format": "date-time"},
        "who": _TEXT,
        "role": _TEXT,
        "address": _TEXT,
        "request_id": _TEXT,
        "action": _TEXT,
        "collection": _NULLABLE,
        "entity": _NULLABLE,
        "before": {"type": ["object", "null"]},
        "after": {"type": ["object", "null"]},
        "revision": {"type": ["integer", "null"]},
    },
}
_PAGE: Final = {
    "type": "object",
    "required": ["data", "next"],
    "properties": {"data": {"type": "array", "items": ENTRY}, "next": _NULLABLE, "offset": _TEXT},
}
_QUERY: Final = (
    Query("collection", "Changes of entities of this collection."),
    Query("entity", "Changes of the entity with this id."),
    Query("who", "What somebody with this name did."),
    Query("since", "Not before this moment: an ISO 8601 date, or seconds since the epoch."),
    Query("until", "Before this moment."),
    Query("format", "jsonl for all of it as JSON lines, not page by page.", {"enum": ["json", "jsonl"]}),
    Query(
        "size",
        "How many there are on a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE},
    ),
    Query("offset", "Where the page begins: what the one before has told."),
)


class Audit:
    """Handlers of ``/audit``."""

    def __init__(self, source: AdminSource) -> None:
        self._trail = Trail(source)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/audit", self._get)

    @roles(*AUDITORS)
    @described(
        "Tell what was done over this API, the newest first.",
        answers={200: _PAGE},
        query=_QUERY,
        lines=_LINES,
    )
    async def _get(self, request: web.Request) -> web.StreamResponse:
        query = _query_of(request.query)
        wanted = request.query.get("format", "json")
        if wanted not in {"json", "jsonl"}:
            raise Refusal.schema("format", "is json or jsonl")
        if wanted == "jsonl":
            return await self._lines(request, query)
        records, mark = await self._trail.page(query, Mark.read(request.query.get("offset", "")))
        offset = mark.text() if mark is not None else ""
        return answer(
            {
                "data": [one.document() for one in records],
                "next": next_path(request.path, request.query, offset),
                **({"offset": offset} if offset else {}),
            }
        )

    async def _lines(self, request: web.Request, query: AuditQuery) -> web.StreamResponse:
        """Send everything, a page in memory at a time."""
        query = replace(query, size=MAX_SIZE)
        records, mark = await self._trail.page(query, Mark())
        response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'})
        response.content_type = _LINES
        await response.prepare(request)
        while True:
            lines = [orjson.dumps(one.document(), option=orjson.OPT_APPEND_NEWLINE) for one in records]
            await response.write(b"".join(lines))
            if mark is None:
                break
            records, mark = await self._trail.page(query, mark)
        await response.write_eof()
        return response


def _query_of(query: Mapping[str, str]) -> AuditQuery:
    """Return what is asked for; raises Refusal."""
    times: dict[str, Any] = {}
    for name in ("since", "until"):
        if text := query.get(name, ""):
            try:
                times[name] = moment(text)
            except ValueError as error:
                raise Refusal.schema(name, ": ".join(map(str, error.args))) from None
    return AuditQuery(
        query.get("collection", ""),
        query.get("entity", ""),
        query.get("who", ""),
        size=size_of(query),
        **times,
    )
