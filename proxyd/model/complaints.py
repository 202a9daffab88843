"""Pydantic's findings in the words of this project: what is wrong and what would be right, never the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel

from proxyd.model.scalars import resolve
from proxyd.model.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

_PLAIN: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_too_short": "must not be empty",
}
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "must be at least"),
    "greater_than": ("gt", "must be more than"),
    "less_than_equal": ("le", "must be at most"),
    "less_than": ("lt", "must be less than"),
    "too_short": ("min_length", "its length must be at least"),
    "too_long": ("max_length", "its length must be at most"),
}
# What a text from the environment may still turn out to be: its type is known only now.
RETYPED: Final = frozenset({"bool_type", "int_type", "float_type", "literal_error"})

# Said of a value from the environment, for a validator's own words may repeat the value.
NOT_SHOWN: Final = "the value from the environment is not of the form that is needed"


def complaint(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """Return the message and the hint for one finding of ``model``'s validation."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown field", nearest(str(error["loc"][-1]), known_fields(model, error["loc"][:-1]))
    if kind == "literal_error":
        options = literal_options(model, error["loc"])
        listed = ", ".join(map(str, options)) or context["expected"]
        return f"must be one of {listed}", nearest(value, map(str, options)) if isinstance(value, str) else ""
    if kind == "value_error":
        message, *hint = context["error"].args
        return str(message), str(hint[0]) if hint else ""
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {context[name]}", ""
    hint = ""
    if kind == "string_type" and isinstance(value, (int, float)):
        hint = "put it in quotes"
    elif kind in RETYPED and isinstance(value, str) and not isinstance(resolve(value), str):
        hint = "take the quotes off"
    return _PLAIN.get(kind) or error["msg"][:1].lower() + error["msg"][1:], hint


def known_fields(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Return the names that the model at ``path`` within ``model`` takes."""
    found = [model]
    for step in path:
        annotations = [each.model_fields[step].annotation for each in found if step in each.model_fields]
        found = [below for annotation in annotations for below in _models(annotation)] or found
    return [field.alias or name for each in found for name, field in each.model_fields.items()]


def literal_options(model: type[BaseModel], path: Iterable[str | int]) -> list[Any]:
    """Return what a Literal at ``path`` allows, as far as annotations tell."""
    found: list[type[BaseModel]] = [model]
    annotation: Any = None
    for step in path:
        for each in found:
            if step in each.model_fields:
                annotation = each.model_fields[str(step)].annotation
                found = list(_models(annotation)) or found
                break
    return [value for literal in _literals(annotation) for value in get_args(literal)]


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _literals(argument)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
