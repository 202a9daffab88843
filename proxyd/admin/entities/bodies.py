"""What a request gives: the fields of its body, in JSON or as Kong's clients write forms (``kong/api/arguments.lua``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.typed import Kind, infer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multidict import MultiDictProxy

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
MAX_FIELDS: Final = 1000
DEEPEST: Final = 50  # objects and lists in one another: no entity has as many
_INDEXED: Final = re.compile(r"(.+)\[(\d*)\]")


@dataclass(frozen=True, slots=True)
class Given:
    """The fields of a body; those of a ``form`` are texts that have yet to get the types of their entity."""

    fields: dict[str, Any] = field(repr=False)
    form: bool = False

    def of(self, collection: str, name: object = None) -> dict[str, Any]:
        """Return them as an entity's; ``name`` is a plugin's, where they do not say it. Raises Refusal."""
        if not self.form:
            return dict(self.fields)
        kind = Kind(collection, self.fields.get("name", name))
        found = {}
        for one, value in self.fields.items():
            try:
                found[one] = infer(kind.annotation(one), value)
            except OverflowError:
                raise Refusal.schema(one, "is too large a number, or none") from None
        return found


async def read_body(request: web.Request) -> Given:
    """Return what a body gives; without one, nothing. Raises Refusal."""
    if request.content_type == MULTIPART:
        return Given(_nested(_parts(await read_form(request))), form=True)
    body = await read_bytes(request)
    if not body.strip():
        return Given({})
    if request.content_type == URLENCODED:
        return Given(_nested(_pairs(body)), form=True)
    return Given(object_of(body))


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is; raises Refusal."""
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refusal(400, {"message": "Cannot parse JSON body"}) from None
    if not isinstance(values, dict):
        raise Refusal(400, {"message": "The body must be a JSON object"})
    _require_shallow(values)
    return values


def _require_shallow(values: Any) -> None:
    """Refuse what is nested more deeply than whatever goes through it could follow; raises Refusal."""
    level = [values]
    for _ in range(DEEPEST):
        level = [
            below
            for one in level
            if isinstance(one, (dict, list))
            for below in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise Refusal(400, {"message": f"The body is nested too deeply: {DEEPEST} levels at most"})


async def read_bytes(request: web.Request) -> bytes:
    """Return a body as it was before it was compressed; raises Refusal."""
    try:
        return await request.read()
    except (HttpProcessingError, web.RequestPayloadError):
        raise Refusal(400, {"message": "Cannot read the body: it is not what its headers say"}) from None


async def read_form(request: web.Request) -> MultiDictProxy[str | bytes | bytearray | web.FileField]:
    """Return the fields of a form; raises Refusal where it is none."""
    try:
        return await request.post()
    except (HttpProcessingError, web.RequestPayloadError, ValueError):  # its parts, or their heads
        raise Refusal(400, {"message": "Cannot parse form body"}) from None


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for number, (name, value) in enumerate(pairs):
        if number >= MAX_FIELDS:
            raise Refusal(400, {"message": f"A form may have {MAX_FIELDS} fields"})
        _put(fields, name, value)
    return fields


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """Put a value where its name leads: several under one name are a list."""
    *above, last = [step for step in name.split(".") if step] or [name]
    if len(above) > DEEPEST:
        raise Refusal(400, {"message": f"A field is nested too deeply: {DEEPEST} levels at most"})
    for step in above:
        below = fields.setdefault(step, {})
        if not isinstance(below, dict):
            raise Refusal.schema(name, "contradicts another field of the form")
        fields = below
    indexed = _INDEXED.fullmatch(last)
    last = indexed[1] if indexed is not None else last
    if last not in fields:
        fields[last] = [value] if indexed is not None else value
    elif isinstance(fields[last], dict):
        raise Refusal.schema(name, "contradicts another field of the form")
    elif isinstance(fields[last], list):
        fields[last].append(value)
    else:
        fields[last] = [fields[last], value]


def _pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise Refusal(
            400, {"message": f"Cannot parse form: UTF-8, and at most {MAX_FIELDS} fields"}
        ) from None


def _parts(form: Any) -> Iterable[tuple[str, str]]:
    for name, value in form.items():
        if isinstance(value, web.FileField):  # a certificate, for one
            try:
                yield name, value.file.read().decode()
            except UnicodeDecodeError:
                raise Refusal.schema(name, "is not UTF-8") from None
        elif isinstance(value, str):
            yield name, value
