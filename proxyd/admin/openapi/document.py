"""The document itself (OpenAPI 3.1), of every route that an application has."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from proxyd import __version__
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.admin.openapi.described import JSON, description, operations
from proxyd.admin.openapi.schemas import components, ref
from proxyd.apps.roles import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web
    from pydantic import BaseModel

    from proxyd.admin.openapi.described import Description, Schema
    from proxyd.apps.roles import Access

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ABOUT: Final = (
    "Kong's Admin API. HEAD is answered wherever GET is. Where tokens are configured, requests carry one as "
    "`Authorization: Bearer …` or `Kong-Admin-Token: …`; `x-roles` says whose are good for an operation."
)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of admin_tokens."},
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Kong-Admin-Token",
        "description": "The same, as Kong's clients send it.",
    },
}


def openapi(app: web.Application) -> dict[str, Any]:
    """Return the document; every route has to be described."""
    found = [
        (path, method, told, declared(route, method))
        for path, method, route in operations(app)
        if (told := description(route, method)) is not None
    ]
    answered = [model for _, _, told, _ in found for model in _models(told.answers.values())]
    taken = [model for _, _, told, _ in found for model in _models(told.body.values())]
    schemas, references = components(answered, taken)

    def write(schema: Schema, mode: str) -> Mapping[str, Any]:
        return references[schema, mode] if isinstance(schema, type) else schema

    paths: dict[str, dict[str, Any]] = {}
    for path, method, told, access in sorted(found, key=lambda one: one[0]):
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, told, access, write)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "proxyd Admin API", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY},
    }


def _models(schemas: Any) -> list[type[BaseModel]]:
    return [schema for schema in schemas if isinstance(schema, type)]


def _operation(
    path: str,
    method: str,
    told: Description,
    access: Access | None,
    write: Callable[[Schema, str], Mapping[str, Any]],
) -> dict[str, Any]:
    names = _PARAMETER.findall(path)
    parameters = [_path_parameter(name) for name in names]
    parameters += [
        {"name": one.name, "in": "query", "description": one.text, "schema": dict(one.schema)}
        for one in told.query
    ]
    made: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *re.findall(r"\w+", path.replace("-", "_"))]),
        "tags": [(re.findall(r"^/([\w-]+)", path) or ["gateway"])[0]],
        "summary": told.summary,
    }
    if parameters:
        made["parameters"] = parameters
    if told.body:
        content = {
            media: {"schema": dict(write(schema, "validation"))} for media, schema in told.body.items()
        }
        made["requestBody"] = {"required": True, "content": content}
    made["responses"] = {
        **{str(status): _answer(status, schema, told, write) for status, schema in told.answers.items()},
        **{str(status): _refusal(status) for status in _refusals(told, names, access)},
    }
    public = access is not None and access.public
    if access is not None and not public:
        made["x-roles"] = sorted(access.roles)
    made["security"] = [{}] if public else [{}, {"bearer": []}, {"token": []}]
    return made


def _path_parameter(name: str) -> dict[str, Any]:
    one = COLLECTIONS.get(name)
    text = ""
    if one is not None:
        text = f"Id of the {one.noun}{f', or its {one.key}' if one.key else ''}."
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema} | (
        {"description": text} if text else {}
    )


def _refusals(told: Description, names: list[str], access: Access | None) -> list[int]:
    """Return the statuses of errors: those that are told, and those that follow from what a route is."""
    found = {403, *told.refusals}  # without tokens, another machine's page is refused everywhere
    if access is None or not access.public:
        found.add(401)
    if names:
        found.add(404)
    if told.body or told.query:
        found.add(400)
    if told.body:
        found.add(413)
    return sorted(found - told.answers.keys())


def _answer(
    status: int, schema: Schema | None, told: Description, write: Callable[[Schema, str], Mapping[str, Any]]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema is not None:
        answer["content"] = {told.media: {"schema": dict(write(schema, "serialization"))}}
        if told.lines:
            answer["content"][told.lines] = {"schema": {"type": "string"}}
    return answer


def _refusal(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {JSON: {"schema": ref("Error")}}}
