"""Documents by the annotations of their classes: texts of forms get types, records are merged and filled up.

A *record* is a field whose class has fields of its own, as in Kong; a PATCH merges those. Lists and mappings are replaced.
"""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from proxyd.admin.entities.show import masked
from proxyd.model.shapes import SHAPES
from proxyd.plugins import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LISTS: Final = (tuple, list, set, frozenset)
_LARGEST: Final = 2**63 - 1


class Kind:
    """The class of a collection's entities; of a plugin with a known ``name``, with the class of its settings."""

    def __init__(self, collection: str, name: object = None) -> None:
        self.model: type[BaseModel] = SHAPES[collection].entity
        self._plugin = BY_NAME.get(name) if collection == "plugins" and isinstance(name, str) else None

    def annotation(self, field: str) -> Any:
        """Return what a field holds; None for one that there is not."""
        if field == "config" and self._plugin is not None:
            return self._plugin.Config
        found = self.model.model_fields.get(field)
        return found.annotation if found is not None else None


def infer(annotation: Any, value: Any) -> Any:
    """Return a value of a form as what an annotation says: a number, a list of one; an empty text is null.

    Raises OverflowError for a number that no document can have.
    """
    if value == "":
        return None
    model = record(annotation)
    kinds = list(_kinds(annotation))
    listed = next((kind for kind in kinds if typing.get_origin(kind) in _LISTS), None)
    if listed is not None:
        item = typing.get_args(listed)[0]
        return [infer(item, each) for each in _items(value)]
    if isinstance(value, dict):
        if model is not None:
            return {
                name: infer(_annotation(model, name), below) for name, below in _today(model, value).items()
            }
        mapping = next((kind for kind in kinds if typing.get_origin(kind) is dict), None)
        below_ = typing.get_args(mapping)[1] if mapping is not None else Any
        return {name: infer(below_, below) for name, below in value.items()}
    return _scalar(kinds, value) if isinstance(value, str) else value


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):  # methods[1]=GET
        numbered = sorted(value.items(), key=lambda one: int(one[0]) if str(one[0]).isdigit() else 0)
        return [each for _, each in numbered]
    return value if isinstance(value, list) else [value]


def _scalar(kinds: list[Any], text: str) -> Any:
    if bool in kinds and text in {"true", "false"}:
        return text == "true"
    if str in kinds:
        return text
    for kind in (int, float):
        if kind in kinds:
            try:
                number = kind(text)
            except ValueError:
                continue
            if not abs(number) <= _LARGEST:  # nor is it, where it is no number at all
                raise OverflowError
            return number
    literals = [each for kind in kinds if typing.get_origin(kind) is typing.Literal for each in kind.__args__]
    return next((each for each in literals if str(each) == text), text)


def merge(annotation: Any, given: Any, stored: Any) -> Any:
    """Return what is stored with what is given in its place: records field by field, a null takes a field away."""
    model = record(annotation)
    if model is None or not isinstance(given, dict) or not isinstance(stored, dict):
        return given
    merged = dict(_today(model, stored))
    for name, value in _today(model, given).items():
        merged[name] = merge(_annotation(model, name), value, merged.get(name))
    return {name: value for name, value in merged.items() if value is not None}


def merged_document(collection: str, given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document that is changed by a PATCH."""
    kind = Kind(collection, given.get("name", stored.get("name")))
    merged = dict(stored)
    for name, value in given.items():
        merged[name] = merge(kind.annotation(name), value, merged.get(name))
    return {name: value for name, value in merged.items() if value is not None}


def filled(model: type[BaseModel], document: Any) -> Any:
    """Return a record with the defaults of what it does not say."""
    if not isinstance(document, dict):
        return document
    document = _today(model, document)
    shown: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value = document.get(name)
        if value is None:
            value = masked(field.get_default(call_default_factory=True)) if not field.is_required() else None
            shown[name] = value
        else:
            inner = record(field.annotation)
            shown[name] = filled(inner, value) if inner is not None else value
    return shown


def record(annotation: Any) -> type[BaseModel] | None:
    """Return the class of a record, if that is what an annotation is."""
    return next((kind for kind in _kinds(annotation) if _is_model(kind)), None)


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation may be, without None and without what refines it."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from _kinds(each)
    elif origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif annotation is not type(None):
        yield annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and typing.get_origin(kind) is None and issubclass(kind, BaseModel)


def _annotation(model: type[BaseModel], name: str) -> Any:
    found = model.model_fields.get(name)
    return found.annotation if found is not None else None


def _today(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Return fields under the names that they have today."""
    renamed = getattr(model, "renamed", {})
    if renamed.keys().isdisjoint(values):
        return values
    today = {name: value for name, value in values.items() if name not in renamed}
    for old, new in renamed.items():
        if old in values:
            today.setdefault(new, values[old])
    return today
