"""``/config``: the whole configuration, read and replaced at once (``kong/api/routes/config.lua``).

What is posted runs until the next reload of the file, as in Kong, and is written nowhere. Where there is a database, its entities
take the place of all that stand there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from proxyd.admin.answers import Refusal, answer
from proxyd.admin.audit.difference import difference
from proxyd.admin.audit.noting import note
from proxyd.admin.callers.access import author_of
from proxyd.admin.entities.bodies import read_bytes, read_form
from proxyd.admin.entities.rows import shown
from proxyd.admin.entities.show import flattened, show
from proxyd.admin.openapi.described import Query, Schema, described
from proxyd.admin.source import POSTED, BusyError
from proxyd.apps.roles import roles
from proxyd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.admin.source import AdminSource
    from proxyd.database.live import Live
    from proxyd.errors import Problem

MAX_SIZE: Final = 64 * 1024 * 1024  # bytes of a configuration
RETRY_AFTER: Final = "10"  # seconds, Kong's
_FORMS: Final = {"application/x-www-form-urlencoded", "multipart/form-data"}
_CONFIG: Final = {
    "type": "object",
    "required": ["config"],
    "properties": {"config": {"description": "A text in YAML or JSON.", "type": "string"}},
}
_BODY: Final[Mapping[str, Schema]] = {
    "application/json": {"description": "A configuration, or its text in `config`.", "type": "object"},
    "text/yaml": {"description": "A configuration.", "type": "string"},
    **dict.fromkeys(sorted(_FORMS), _CONFIG),
}
_SWITCH: Final = {"enum": ["0", "1"], "default": "0"}
_QUERY: Final = (
    Query("check_hash", "Do nothing where it is the one that runs.", _SWITCH),
    Query("flatten_errors", "List what is wrong, with line and column.", _SWITCH),
)


class Loading:
    """Handlers of ``/config``."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/config", self._get)
        app.router.add_post("/config", self._post)

    @roles("admin")
    @described(
        "Return the configuration that runs, as it was written.", answers={200: _CONFIG}, refusals=(404,)
    )
    async def _get(self, _request: web.Request) -> web.StreamResponse:
        """Give the text away as it is, with whatever stands in it in clear."""
        database = self._source.database
        text = await self._source.text() if database is None else database.dump()
        if text is None:
            raise Refusal(
                404, {"message": "The text of what runs is not kept: the file has changed, or it was posted"}
            )
        return answer({"config": text})

    @roles("admin")
    @described(
        "Replace the configuration that runs, everywhere or nowhere.",
        answers={201: {"type": "object"}, 304: None},
        body=_BODY,
        query=_QUERY,
        refusals=(429,),
    )
    async def _post(self, request: web.Request) -> web.StreamResponse:
        text = await _text_of(request)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if request.query.get("check_hash") in {"1", "true"} and digest == self._source.config.digest:
            return web.Response(status=304)
        before = await self._source.loaded()
        try:
            if self._source.database is not None:
                return await self._replaced(self._source.database, text, request)
            loaded = await self._source.apply(text)
        except BusyError:
            busy = {"message": "Currently loading previous configuration"}
            raise Refusal(429, busy, {"Retry-After": RETRY_AFTER}) from None
        except ConfigError as error:
            raise _refused(
                error.problems, flatten=request.query.get("flatten_errors") in {"1", "true"}
            ) from None
        created_at = self._source.config.last_success
        changed = await asyncio.to_thread(difference, before, loaded)
        note(request, "load", "", "", {"hash": before.hash}, {"hash": loaded.hash, **changed})
        document: dict[str, Any] = {
            collection: {
                identity: show(collection, entity, loaded.plugin_configs, created_at)
                for identity, entity in entities.items()
            }
            for collection, entities in flattened(loaded.configuration)
        }
        return answer(document, 201)

    async def _replaced(self, database: Live, text: str, request: web.Request) -> web.StreamResponse:
        """Replace what stands in the database, at once."""
        contents = await database.replace(text, POSTED, author_of(request))
        document = {
            collection: {identity: shown(entry) for identity, entry in entries.items()}
            for collection, entries in contents.entries.items()
        }
        return answer(document, 201)


async def _text_of(request: web.Request) -> str:
    """Return the configuration that a request carries: as it is, in a field ``config``, or as a file; raises Refusal."""
    if request.content_type in _FORMS:
        field = (await read_form(request)).get("config")
        if isinstance(field, web.FileField):
            data = field.file.read()
            return _decoded(data)
        if isinstance(field, str):
            return field
        raise _missing()
    text = _decoded(await read_bytes(request))
    if request.content_type == "application/json":
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise Refusal(400, {"message": "Cannot parse JSON body"}) from None
        if isinstance(document, dict) and isinstance(document.get("config"), str):
            return _decoded(document["config"].encode("utf-8", "surrogatepass"))
    if not text.strip():
        raise _missing()
    return text


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(400, {"message": "The configuration is not UTF-8"}) from None


def _missing() -> Refusal:
    return Refusal(400, {"message": "missing declarative configuration"})


def _refused(problems: Iterable[Problem], *, flatten: bool) -> Refusal:
    """Tell what is wrong, as a tree of fields, or as a list with ``flatten``; places are those in the text."""
    fields: dict[str, Any] = {}
    listed = []
    for one in problems:
        message = f"{one.message} ({one.hint})" if one.hint else one.message
        fields.setdefault(one.path or "@entity", []).append(message)
        listed.append(
            {
                "path": one.path,
                "line": one.place.line or None,
                "column": one.place.column or None,
                "message": one.message,
                "hint": one.hint or None,
            }
        )
    said = "; ".join(f"{path}: {', '.join(messages)}" for path, messages in fields.items())
    document: dict[str, Any] = {
        "name": "invalid declarative configuration",
        "code": 14,
        "message": f"declarative config is invalid: {said}",
        "fields": {} if flatten else fields,
    }
    if flatten:
        document["flattened_errors"] = listed
    return Refusal(400, document)
