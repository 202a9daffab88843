"""What requests about keys say, and what answers tell: for reading them, and for the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import Field

from proxyd.admin.about import check
from proxyd.admin.answers import Refusal
from proxyd.admin.entities.bodies import read_body
from proxyd.admin.openapi.described import Query
from proxyd.model.base import Entity
from proxyd.model.credentials import Moment
from proxyd.model.grammar import Scope, Tag, Text
from proxyd.model.issue import OVERLAP, Terms, lifetime

if TYPE_CHECKING:
    from aiohttp import web

InputT = TypeVar("InputT", bound="Lasting")

_NUMBER: Final = {"type": ["number", "null"]}
_TEXT: Final = {"type": ["string", "null"]}
_FIELDS: Final[dict[str, Any]] = {
    "id": {"type": "string", "description": "The credential's id."},
    "key_id": {**_TEXT, "description": "The id in the key's text."},
    "kind": {
        "enum": ["issued", "hashed", "plain"],
        "description": "Of proxyd's making; another one, as a hash; or in clear in a file.",
    },
    "name": _TEXT,
    "consumer": {"type": "object", "properties": {"id": {"type": "string"}, "username": _TEXT}},
    "scopes": {"type": "array", "items": {"type": "string"}},
    "tags": {"type": ["array", "null"], "items": {"type": "string"}},
    "state": {"enum": ["active", "expired"]},
    "created_at": {**_NUMBER, "description": "Seconds since the epoch, where a database says so."},
    "expires_at": {**_NUMBER, "description": "Seconds since the epoch; null is never."},
    "last_used_at": {
        **_NUMBER,
        "description": "Seconds since the epoch, to a minute; null where it is not known.",
    },
}
KEY: Final = {"description": "An API key.", "type": "object", "required": [*_FIELDS], "properties": _FIELDS}
MADE: Final = {
    **KEY,
    "required": ["key", *_FIELDS],
    "properties": {
        "key": {"type": "string", "description": "The key, shown this once."},
        **_FIELDS,
        "replaces": {**KEY, "description": "The key whose place it takes."},
    },
}
PAGE: Final = {
    "description": "A page of API keys.",
    "type": "object",
    "required": ["data", "next"],
    "properties": {"data": {"type": "array", "items": KEY}, "next": _TEXT, "offset": {"type": "string"}},
}
FILTERS: Final = (
    Query("consumer", "Those of this consumer, by id or username."),
    Query("scope", "Those with this scope."),
    Query("state", "Those that are good, or over.", {"enum": ["active", "expired"]}),
    Query("name", "Those with this text in their name or their id."),
)


class Lasting(Entity):
    """When a key ends."""

    expires_at: Moment | None = None
    """When it ends: a date with or without a time, or seconds since the epoch."""
    expires_in: str | None = None
    """In its place, how long it lives: 90d."""

    def end(self, now: float) -> float | None:
        """Return when the key ends; raises Refusal."""
        if self.expires_in is not None and self.expires_at is not None:
            raise Refusal.schema("expires_in", "says the same as expires_at: give one of them")
        field, end = "expires_at", self.expires_at
        if self.expires_in is not None:
            field, end = "expires_in", now + _duration("expires_in", self.expires_in)
        if end is not None and end <= now:
            raise Refusal.schema(field, "is over already")
        return end


class OwnKey(Lasting):
    """What a new key is to be."""

    name: Text | None = None
    """What it is for."""
    scopes: tuple[Scope, ...] = Field((), max_length=64)
    """What it may."""
    tags: tuple[Tag, ...] = ()
    """Labels for selecting keys."""

    def terms(self, consumer: str, now: float) -> Terms:
        """Return them for a consumer; raises Refusal."""
        return Terms(consumer, self.name, tuple(dict.fromkeys(self.scopes)), self.end(now), self.tags)


class NewKey(OwnKey):
    """What a new key is to be, and whose."""

    consumer: Text
    """Id or username of the consumer."""


class Rotation(Lasting):
    """When the old key ends, and when the new one does."""

    overlap: str | float = Field(OVERLAP)
    """How long the old key goes on: 7d, or seconds."""

    def seconds(self) -> float:
        """Return the overlap; raises Refusal."""
        return _duration("overlap", self.overlap)


def _duration(field: str, given: object) -> float:
    try:
        return lifetime(given)
    except ValueError as error:
        raise Refusal.schema(field, str(error.args[0])) from None


async def read(request: web.Request, model: type[InputT]) -> InputT:
    """Return what a request says, in JSON or a form; raises Refusal."""
    given = await read_body(request)
    values = dict(given.fields)
    if isinstance(values.get("consumer"), dict):  # as Kong's clients refer to one
        values["consumer"] = values["consumer"].get("id") or values["consumer"].get("username")
    for name in ("scopes", "tags"):
        if isinstance(values.get(name), str):
            values[name] = [one for one in values[name].replace(",", " ").split() if one]
    found = check(model, values, strict=False)
    assert isinstance(found, model)  # noqa: S101  # what check makes
    return found
