"""A JSON Schema of the file as users write it, for editors: out of the same classes that decode it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from proxyd.model.indicators import Indicator
from proxyd.model.settings import Settings
from proxyd.model.shapes import (
    CHILDREN,
    FOREIGN_KEYS,
    FORMATS,
    REFUSED_COLLECTIONS,
    REFUSED_FIELDS,
    SHAPES,
    UNUSED_COLLECTIONS,
)
from proxyd.model.shipping import LogShipping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/{model}"

RECORDS: Final[dict[str, type[BaseModel]]] = {
    "health": Indicator,
    "log_shipping": LogShipping,
}  # settings that are such records, or lists of them

_COMMON: Final[dict[str, Any]] = {
    "_comment": {"description": "A remark, without effect."},
    "_ignore": {"description": "Anything, without effect: the place for YAML anchors."},
    "created_at": {"description": "Accepted and dropped."},
    "updated_at": {"description": "Accepted and dropped."},
}
_EITHER: Final = {
    "services": ("host", "url"),
    "keyauth_credentials": ("key", "hash"),
    "basicauth_credentials": ("password", "hash"),
}
_PLACEHOLDER: Final = {"type": "string", "pattern": r"\{vault://|\$\{"}


def json_schema(plugin_configs: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the schema (draft 2020-12); ``plugin_configs`` gives each plugin's class by name."""
    models = [*(shape.entity for shape in SHAPES.values()), *RECORDS.values()]
    _, generated = models_json_schema(
        [(model, "validation") for model in (*models, *plugin_configs.values())],
        ref_template=_REF,
    )
    definitions: dict[str, Any] = generated["$defs"]
    for definition in definitions.values():
        _forgive(definition)
    by_title = {model: _definition_name(definitions, model) for model in (*models, *plugin_configs.values())}
    for collection, shape in SHAPES.items():
        definition = definitions.pop(by_title[shape.entity])
        definitions[collection] = _entity(collection, definition)
    definitions["plugins"] |= {
        "allOf": [_plugin(name, by_title[model]) for name, model in plugin_configs.items()]
    }
    return {
        "$schema": DIALECT,
        "title": "proxyd configuration",
        "description": "Kong's declarative format, and the settings of proxyd.",
        "type": "object",
        "required": ["_format_version"],
        "additionalProperties": False,
        "properties": {
            "_format_version": {
                "description": "Version of the format.",
                "enum": [*FORMATS, *map(float, FORMATS)],
            },
            "_transform": {
                "description": "Whether passwords are plain and yet to be hashed.",
                "type": "boolean",
            },
            **{key: value for key, value in _COMMON.items() if key.startswith("_")},
            **{key: {"description": "Ignored: it is meant for other tools."} for key in sorted(FOREIGN_KEYS)},
            **{
                collection: _list_of(collection, shape.entity.__doc__) for collection, shape in SHAPES.items()
            },
            **{key: {"description": "Accepted, without effect."} for key in sorted(UNUSED_COLLECTIONS)},
            **{name: _refused(reason) for name, reason in REFUSED_COLLECTIONS.items()},
            "vaults": {
                "description": "Names for the environment in {vault://NAME/...}.",
                "type": ["array", "null"],
            },
            "proxyd": _settings({name: by_title[model] for name, model in RECORDS.items()}),
        },
        "$defs": definitions,
    }


def _definition_name(definitions: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return the key of a model's definition: its name, or where several share that, its whole path."""
    if model.__name__ in definitions:
        return model.__name__
    qualified = f"{model.__module__}__{model.__qualname__}".replace(".", "__")
    return qualified if qualified in definitions else model.__qualname__


def _list_of(collection: str, description: str | None = None) -> dict[str, Any]:
    items: dict[str, Any] = {"$ref": _REF.format(model=collection)}
    if collection == "snis":
        items = {"anyOf": [items, {"type": "string"}]}
    described = {"description": description} if description else {}
    return {**described, "type": ["array", "null"], "items": items}


def _entity(collection: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Turn the schema of an entity into that of what a file may write for it."""
    shape = SHAPES[collection]
    properties: dict[str, Any] = dict(definition["properties"])
    for field, parent in shape.references.items():
        properties[field] = {"description": f"The {SHAPES[parent].noun}, by name or id.", **_reference()}
    properties |= {
        child: _list_of(child, SHAPES[child].entity.__doc__) for child in CHILDREN.get(collection, ())
    }
    required = [
        name for name in definition.get("required", ()) if name != "id" and name not in shape.references
    ]
    if collection == "services":
        properties["url"] = {"description": "protocol, host, port and path in one.", "type": "string"}
        required.remove("host")
    schema: dict[str, Any] = {
        "description": definition["description"],
        "type": "object",
        "additionalProperties": {"type": "null"},
        "properties": {**properties, **_unserved(collection), **_COMMON},
        "required": required,
    }
    if collection in _EITHER:
        schema["anyOf"] = [{"required": [name]} for name in _EITHER[collection]]
    return schema


def _unserved(collection: str) -> dict[str, Any]:
    """Describe the fields of Kong's that must be empty, and the collections that have no effect."""
    fields = {name: _refused(reason) for name, reason in REFUSED_FIELDS.get(collection, {}).items()}
    nested = UNUSED_COLLECTIONS if collection == "consumers" else ()
    return fields | {key: {"description": "Accepted, without effect."} for key in sorted(nested)}


def _refused(reason: str) -> dict[str, Any]:
    return {"description": f"Must be empty: {reason}.", "enum": [None, False, [], {}]}


def _forgive(definition: dict[str, Any]) -> None:
    """Allow in a model what the file may write for any field: null, known or not, and placeholders."""
    if "properties" in definition:
        definition["properties"] = {name: _lenient(each) for name, each in definition["properties"].items()}
    if definition.get("additionalProperties") is False:
        definition["additionalProperties"] = {"type": "null"}


def _lenient(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow what any field may hold beside its value: null, which is none, and a placeholder."""
    described: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    value = {key: each for key, each in schema.items() if key not in ("description", "default", "title")}
    return {**described, "anyOf": [value, {"type": "null"}, _PLACEHOLDER]}


def _reference() -> dict[str, Any]:
    names = {"id": {"type": "string"}, "name": {"type": "string"}, "username": {"type": "string"}}
    by_mapping = {"type": "object", "properties": names, "minProperties": 1}
    return {"anyOf": [{"type": ["string", "null"]}, by_mapping]}


def _plugin(name: str, definition: str) -> dict[str, Any]:
    return {
        "if": {"required": ["name"], "properties": {"name": {"const": name}}},
        "then": {
            "properties": {"config": {"anyOf": [{"$ref": _REF.format(model=definition)}, {"type": "null"}]}}
        },
    }


def _settings(records: Mapping[str, str]) -> dict[str, Any]:
    """Describe the ``proxyd:`` block: each setting is a text, a number, a switch or a list of texts, one a mapping.

    ``records`` names the definitions of settings that are lists of records.
    """
    scalar = {"type": ["string", "number", "boolean", "null"]}
    forms: list[dict[str, Any]] = [scalar, {"type": "array", "items": scalar}]
    others: dict[str, list[dict[str, Any]]] = {
        name: [{"$ref": _REF.format(model=model)}, {"type": "null"}] for name, model in records.items()
    }
    others["health"] = [{"type": ["array", "null"], "items": others["health"][0]}]
    others["apps"] = [*forms, {"type": "object", "additionalProperties": scalar}]
    return {
        "description": "Settings of the daemon; the environment (PROXYD_NAME) wins over them.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            name: {"description": field.description, "anyOf": others.get(name, forms)}
            for name, field in Settings.model_fields.items()
        },
    }
