"""Entities as the Admin API shows them: Kong's fields, references as ``{"id": ...}``, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.model.entities import Configuration, Stored

MASK: Final = "<hidden>"  # in the place of a secret

# The configuration of a plugin is shown, and what is secret in it is not: its class says which fields those are.
_SHOWN: Final = frozenset({"config"})


def show(collection: str, entity: Stored, configs: dict[str, Any], created_at: float) -> dict[str, Any]:
    """Return an entity; ``configs`` are the settings of plugins by id, ``created_at`` when the configuration was loaded."""
    shape = SHAPES[collection]
    shown: dict[str, Any] = {}
    for name, value in entity.model_dump(mode="json").items():
        if name in shape.references:
            shown[name] = None if value is None else {"id": value}
        elif name in shape.hidden - _SHOWN:
            shown[name] = None if value is None else MASK
        else:
            shown[name] = value
    if collection == "plugins":
        shown["config"] = masked(configs[entity.id])
    if collection == "services":
        del shown["ca_certificates"]
        shown["ca_certificates"] = list(getattr(entity, "ca_certificates", None) or ()) or None
    shown["tags"] = list(entity.tags) or None
    shown["created_at"] = shown["updated_at"] = int(created_at)
    return shown


def masked(config: Any) -> Any:
    """Return settings as JSON has them, without the values of fields that no repr shows."""
    if hasattr(type(config), "model_fields"):
        return {
            name: MASK if not field.repr and getattr(config, name) else masked(getattr(config, name))
            for name, field in type(config).model_fields.items()
        }
    if isinstance(config, dict):
        return {str(key): masked(value) for key, value in config.items()}
    if isinstance(config, (list, tuple, set, frozenset)):
        return [masked(value) for value in config]
    return config if config is None or isinstance(config, (str, int, float, bool)) else str(config)


def flattened(configuration: Configuration) -> Iterator[tuple[str, dict[str, Stored]]]:
    """Iterate over the collections that hold something, by name."""
    for collection in SHAPES:
        entities = getattr(configuration, collection)
        if entities:
            yield collection, entities
