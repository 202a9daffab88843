"""Schemas of what the Admin API shows and takes, out of the classes that the file is read with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from proxyd.admin.entities.paging import DEFAULT_SIZE, MAX_SIZE
from proxyd.admin.entities.show import MASK
from proxyd.admin.openapi.described import Query
from proxyd.model.shapes import SHAPES
from proxyd.plugins import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from proxyd.admin.openapi.described import Schema

_REF: Final = "#/components/schemas/{model}"

PAGING: Final = (
    Query(
        "size",
        "How many there are on a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_SIZE, "default": DEFAULT_SIZE},
    ),
    Query("offset", "Where the page begins: what the one before has told."),
    Query("tags", "Those with all of these tags (a,b), or with one of them (a/b)."),
)

ERROR: Final = {
    "description": "Why something was not done.",
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": {"description": "What is wrong, in words.", "type": "string"},
        "name": {"description": "Kong's name of the error.", "type": "string"},
        "code": {"description": "Kong's number of the error.", "type": "integer"},
        "fields": {"description": "What is wrong, by field.", "type": "object"},
    },
}
REFERENCE: Final = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}},
    "additionalProperties": False,
}
_NAMED: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "name", "username")},
    "minProperties": 1,
}
_NAMES: Final = {"type": "array", "items": {"type": "string"}}
_TIME: Final = {"description": "Seconds since the epoch.", "type": "integer"}


def ref(name: str) -> dict[str, str]:
    """Refer to a schema of the document."""
    return {"$ref": _REF.format(model=name)}


def shown(collection: str) -> Schema:
    """Return the schema of an entity as it is answered."""
    return ref(_name(collection))


def listed(collection: str) -> Schema:
    """Return the schema of a page of a collection."""
    return ref(f"{_name(collection)}Page")


def given(collection: str) -> Schema:
    """Return the schema of an entity that is sent whole."""
    return ref(f"{_name(collection)}Input")


def changed(collection: str) -> Schema:
    """Return the schema of the fields of an entity that are sent to change it."""
    return ref(f"{_name(collection)}Change")


def _name(collection: str) -> str:
    return SHAPES[collection].entity.__name__


def components(
    answered: Iterable[type[BaseModel]], taken: Iterable[type[BaseModel]]
) -> tuple[dict[str, Any], Mapping[Any, Mapping[str, Any]]]:
    """Return every schema by its name, and by class and mode how to refer to those of the classes given."""
    entities = [shape.entity for shape in SHAPES.values()]
    configs = {one.Config: one.name for one in PLUGINS}
    references, generated = models_json_schema(
        [
            *((model, "serialization") for model in (*entities, *answered)),
            *((model, "validation") for model in (*entities, *configs, *taken)),
        ],
        ref_template=_REF,
    )
    definitions: dict[str, Any] = generated.get("$defs", {})
    made: dict[str, Any] = {}
    for collection, shape in SHAPES.items():
        name = shape.entity.__name__
        output = definitions[_target(references[shape.entity, "serialization"])]
        taken_in = definitions[_target(references[shape.entity, "validation"])]
        made[name] = _shown(collection, output)
        made[f"{name}Page"] = _page(collection)
        made[f"{name}Input"] = _given(collection, taken_in)
        made[f"{name}Change"] = _changed(made[f"{name}Input"], shape.noun)
    config_refs = {name: references[config, "validation"] for config, name in configs.items()}
    made["PluginInput"]["anyOf"] = [_with_config(name, config) for name, config in config_refs.items()]
    return {**definitions, **made, "Error": ERROR}, references


def _target(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _shown(collection: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of what ``admin.entities.show`` makes of an entity."""
    shape = SHAPES[collection]
    properties: dict[str, Any] = {}
    for name, told in schema["properties"].items():
        described = {"description": told["description"]} if "description" in told else {}
        if name in shape.references:
            properties[name] = {**described, "anyOf": [REFERENCE, {"type": "null"}]}
        elif name == "config":
            properties[name] = {
                **described,
                "description": "Settings; /schemas/plugins/{name} says which, and what is secret is hidden.",
                "type": "object",
            }
        elif name in shape.hidden:
            text = f"{MASK}, but for what is made for whoever gives none: that is shown once."
            properties[name] = {"description": text, "type": ["string", "null"]}
        elif name in {"tags", "ca_certificates"}:
            properties[name] = {**described, "type": ["array", "null"], "items": {"type": "string"}}
        else:
            properties[name] = told
    properties |= {"created_at": _TIME, "updated_at": _TIME}
    always = list(properties)
    if collection == "certificates":
        properties["snis"] = {**_NAMES, "description": "The server names that it is for."}
    return {
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "required": always,
    }


def _page(collection: str) -> dict[str, Any]:
    return {
        "description": f"A page of {collection}.",
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": ref(_name(collection))},
            "next": {
                "description": "Path of the next page; null on the last one.",
                "type": ["string", "null"],
            },
            "offset": {"description": "Offset of the next page.", "type": "string"},
        },
    }


def _given(collection: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an entity as a client writes it: references are objects, and null is as good as absent."""
    shape = SHAPES[collection]
    properties: dict[str, Any] = {}
    for name, told in schema["properties"].items():
        described = {key: told[key] for key in ("description", "default") if key in told}
        if name in shape.references:
            properties[name] = {**described, "anyOf": [_NAMED, {"type": "null"}]}
            continue
        value = {key: each for key, each in told.items() if key not in {"description", "default", "title"}}
        properties[name] = {**described, "anyOf": [*value.get("anyOf", [value])]}
        if {"type": "null"} not in properties[name]["anyOf"]:
            properties[name]["anyOf"].append({"type": "null"})
    if collection == "certificates":
        properties["snis"] = {
            **_NAMES,
            "type": ["array", "null"],
            "description": "The server names that it is for.",
        }
    required = [name for name in schema.get("required", ()) if name != "id" and name not in shape.references]
    made: dict[str, Any] = {
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if collection == "services":
        properties["url"] = {
            "description": "protocol, host, port and path in one.",
            "type": ["string", "null"],
        }
        required.remove("host")
        made["anyOf"] = [{"required": ["host"]}, {"required": ["url"]}]
    return {**made, "required": required}


def _changed(schema: Mapping[str, Any], noun: str) -> dict[str, Any]:
    """Return the schema of some of an entity's fields."""
    kept = {key: value for key, value in schema.items() if key not in {"required", "anyOf"}}
    return {**kept, "description": f"Fields of a {noun} that change; null takes one back to its default."}


def _with_config(name: str, reference: Mapping[str, Any]) -> dict[str, Any]:
    config = {"anyOf": [dict(reference), {"type": "null"}]}
    return {"title": name, "properties": {"name": {"const": name}, "config": config}}
