"""Documents as the audit log keeps them: without their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxyd.database.entries import Document

MASK: Final = "<hidden>"


class Masking:
    """Hides what entities say is secret; ``plugins`` has the configuration class of each plugin by name.

    Of a plugin's configuration, what its class does not know is hidden too: an older name of a secret, perhaps.
    """

    def __init__(self, plugins: Mapping[str, type[BaseModel]]) -> None:
        self._plugins = plugins

    def __call__(self, collection: str, document: Document) -> Document:
        """Return a document without its secrets."""
        shape = SHAPES.get(collection)
        if shape is None:
            return {name: _hidden(value) for name, value in document.items()}
        shown = {name: _hidden(value) if name in shape.hidden else value for name, value in document.items()}
        if collection == "plugins" and "config" in document:
            model = self._plugins.get(str(document.get("name")))
            shown["config"] = _masked(document["config"], (model,) if model else ())
        return shown


def _hidden(value: Any) -> Any:
    return MASK if value else value


def _masked(value: Any, models: tuple[type[BaseModel], ...]) -> Any:
    """Return a value that one of these classes is made of, without the fields that no repr shows."""
    if isinstance(value, list):
        return [_masked(item, models) for item in value]
    if not isinstance(value, dict):
        return value if models else _hidden(value)
    shown = {}
    for name, item in value.items():
        fields = [
            field
            for model in models
            for own, field in model.model_fields.items()
            if name in (own, field.alias, field.validation_alias)
        ]
        if not fields or not all(field.repr for field in fields):
            shown[name] = _hidden(item)
            continue
        below = tuple(dict.fromkeys(model for field in fields for model in _models(field.annotation)))
        shown[name] = _masked(item, below) if below else item
    return shown


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the classes that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
