"""What the gateway tells of itself: version, plugins, schemas, and the paths of this API."""

from __future__ import annotations

import os
import platform
import socket
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from proxyd import __version__
from proxyd.admin.answers import Refusal, answer
from proxyd.admin.entities.bodies import object_of, read_bytes
from proxyd.admin.entities.catalog import BY_PATH, COLLECTIONS
from proxyd.admin.entities.reading import READERS
from proxyd.admin.openapi.described import described
from proxyd.apps.roles import roles
from proxyd.model.complaints import complaint
from proxyd.model.shapes import SHAPES
from proxyd.plugins import BY_NAME, PLUGINS

if TYPE_CHECKING:
    from aiohttp import web
    from pydantic import BaseModel

    from proxyd.admin.source import AdminSource

KONG = "3.9.1"  # the version whose API this is: clients choose by it what they may ask

_OBJECT: Final = {"type": "object"}
_VALID: Final = {
    "type": "object",
    "required": ["message"],
    "properties": {"message": {"const": "schema validation successful"}},
}


def _list(name: str) -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": "string"}}
    return {"type": "object", "required": [name], "properties": {name: texts}}


class About:
    """Handlers of what does not change."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self._root)
        app.router.add_get("/endpoints", self._endpoints)
        app.router.add_get("/plugins/enabled", self._enabled)
        app.router.add_get("/schemas/plugins/{name}", self._plugin_schema)
        app.router.add_post("/schemas/plugins/validate", self._validate_plugin)
        app.router.add_get("/schemas/{name}", self._schema)
        app.router.add_post("/schemas/{name}/validate", self._validate)

    @roles(*READERS)
    @described(
        "Tell of the gateway: versions, settings that matter to clients, plugins.", answers={200: _OBJECT}
    )
    async def _root(self, _request: web.Request) -> web.StreamResponse:
        settings = self._source.settings
        loaded = await self._source.loaded()
        used = {plugin.name for plugin in loaded.configuration.plugins.values()}
        return answer(
            {
                "version": KONG,
                "proxyd_version": __version__,
                "tagline": "Welcome to proxyd",
                "edition": "community",
                "hostname": socket.gethostname(),
                "node_id": None,
                "lua_version": None,
                "python_version": platform.python_version(),
                "pids": {"workers": [os.getpid()]},
                "configuration": {
                    "database": _database(self._source),
                    "role": "traditional",
                    "declarative_config": settings.declarative_config,
                    "router_flavor": settings.router_flavor,
                    "plugins": ["bundled"],
                },
                "plugins": {
                    "available_on_server": {
                        one.name: {"version": __version__, "priority": one.priority} for one in PLUGINS
                    },
                    "enabled_in_cluster": sorted(used),
                    "disabled_on_server": {},
                },
            }
        )

    @roles(*READERS)
    @described("List every path of this API.", answers={200: _list("data")})
    async def _endpoints(self, request: web.Request) -> web.StreamResponse:
        paths = {resource.canonical for resource in request.app.router.resources()}
        return answer({"data": sorted(paths)})

    @roles(*READERS)
    @described("List the plugins that there are.", answers={200: _list("enabled_plugins")})
    async def _enabled(self, _request: web.Request) -> web.StreamResponse:
        return answer({"enabled_plugins": [one.name for one in PLUGINS]})

    @roles(*READERS)
    @described("Return the JSON Schema of an entity.", answers={200: _OBJECT})
    async def _schema(self, request: web.Request) -> web.StreamResponse:
        return answer(_json_schema(_model(request.match_info["name"])))

    @roles(*READERS)
    @described("Return the JSON Schema of a plugin's settings.", answers={200: _OBJECT})
    async def _plugin_schema(self, request: web.Request) -> web.StreamResponse:
        model = _plugin_model(request.match_info["name"])
        if model is None:
            raise Refusal(404, {"message": f"No plugin named '{request.match_info['name']}'"})
        return answer(_json_schema(model))

    @roles(*READERS)
    @described("Say whether an entity would be right.", answers={200: _VALID}, body=_OBJECT)
    async def _validate(self, request: web.Request) -> web.StreamResponse:
        model = _model(request.match_info["name"])
        values = await read_object(request)
        check(model, {"id": "", **_referring(values, request.match_info["name"])})
        return answer({"message": "schema validation successful"})

    @roles(*READERS)
    @described("Say whether a plugin would be right.", answers={200: _VALID}, body=_OBJECT)
    async def _validate_plugin(self, request: web.Request) -> web.StreamResponse:
        values = await read_object(request)
        name = values.get("name")
        model = _plugin_model(name) if isinstance(name, str) else None
        if model is None:
            raise Refusal.schema(
                "name", "required field missing" if name is None else "there is no such plugin"
            )
        check(model, values.get("config") or {}, "config", strict=False)
        return answer({"message": "schema validation successful"})


def _database(source: AdminSource) -> str:
    """Return which kind of database there is, as Kong calls it."""
    if source.database is None:
        return "off"
    url = source.settings.database
    return "postgres" if url is None or url.kind == "postgresql" else url.kind


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request's body; raises Refusal."""
    return object_of(await read_bytes(request))


def check(model: type[BaseModel], values: Any, below: str = "", *, strict: bool = True) -> BaseModel:
    """Return an instance of a model; raises Refusal with what is wrong, field by field."""
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError as error:
        fields: dict[str, Any] = {}
        for finding in error.errors(include_url=False):
            message, hint = complaint(finding, model)
            _put(
                fields,
                tuple(map(str, finding["loc"])) or ("@entity",),
                f"{message} ({hint})" if hint else message,
            )
        raise Refusal.fields({below: fields} if below else fields) from None


def _put(fields: dict[str, Any], path: tuple[str, ...], message: str) -> None:
    for step in path[:-1]:
        inner = fields.setdefault(step, {})
        if not isinstance(inner, dict):  # what holds it is wrong itself
            return
        fields = inner
    fields.setdefault(path[-1], message)


def _model(name: str) -> type[BaseModel]:
    found = BY_PATH.get(name) or COLLECTIONS.get(name)
    if found is None:
        raise Refusal(404, {"message": f"No entity named '{name}'"})
    return SHAPES[found.name].entity


def _plugin_model(name: str) -> type[BaseModel] | None:
    found = BY_NAME.get(name)
    return found.Config if found is not None else None


def _referring(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Write references as the model has them: ``{"id": ...}`` is the id."""
    found = BY_PATH.get(name) or COLLECTIONS[name]
    flat = {
        field: value["id"] if isinstance(value, dict) and "id" in value else value
        for field, value in values.items()
        if field not in {"created_at", "updated_at"}
    }
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in flat.items()
        if value is not None or field in SHAPES[found.name].references
    }


def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model, and Kong's list of fields for clients that look for that."""
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    return {
        **schema,
        "fields": [
            {
                name: {
                    "required": name in required,
                    **({"default": told["default"]} if "default" in told else {}),
                }
            }
            for name, told in schema.get("properties", {}).items()
        ],
    }
