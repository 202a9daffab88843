"""response-transformer: headers and JSON bodies of answers, changed on their way to the client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from proxyd import plugin
from proxyd.bodies import JSON, media_type
from proxyd.bodies.members import Members, json_string
from proxyd.errors import GatewayError, Kind, ProtocolError
from proxyd.http1.message import BODILESS
from proxyd.transform.changes import HeaderChanges
from proxyd.transform.rules import (
    LiteralHeaders,
    Named,
    NamedHeaders,
    Paired,
    RenamedHeaders,
    RenamedMembers,
    split,
)
from proxyd.transform.template import Template

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class _Part(plugin.Config):
    # ``json`` is a method of every model: the attribute has another name, which files must not use.
    model_config = ConfigDict(populate_by_name=False)


class Removed(_Part):
    """What is taken out."""

    headers: NamedHeaders = ()
    """Names of headers."""
    members: Named = Field((), alias="json")
    """Names of the JSON object's members."""


class Renamed(_Part):
    """What is given another name, where it is there, as ``old:new``."""

    headers: RenamedHeaders = ()
    """Headers."""
    members: RenamedMembers = Field((), alias="json")
    """The JSON object's members."""


class Values(_Part):
    """Values, as ``name:value``."""

    headers: LiteralHeaders = Field((), repr=False)
    """Headers."""
    members: Paired = Field((), alias="json", repr=False)
    """The JSON object's members."""
    json_types: tuple[Literal["boolean", "number", "string"], ...] = ()
    """Types of the members' values, one for each, in their order; those without one are strings."""

    @model_validator(mode="after")
    def _typed(self) -> Self:
        self.texts()
        return self

    def texts(self) -> list[tuple[bytes, bytes]]:
        """Return the members' names and their values as JSON; raises ValueError."""
        kinds = [*self.json_types, *["string"] * len(self.members)]
        return [
            (name.encode(), _json(value, kind))
            for (name, value, _), kind in zip(map(split, self.members), kinds, strict=False)
        ]


class Config(plugin.Config):
    """Settings of response-transformer (Kong's ``kong/plugins/response-transformer/schema.lua``)."""

    remove: Removed = Removed()
    """What is taken out, first of all."""
    rename: Renamed = Renamed()
    """What is given another name."""
    replace: Values = Values()
    """Values of what is there."""
    add: Values = Values()
    """Values of what is not there yet."""
    append: Values = Values()
    """Further values, whether there is one already or not; a member becomes a list."""
    max_body_size: int = Field(8_388_608, ge=0)
    """Bytes of the largest JSON body that is changed; a larger one is not passed on. Not Kong's."""


class ResponseTransformer(plugin.Plugin[Config]):
    """Changes answers, the gateway's own among them. A body is changed where it is a JSON object."""

    name = "response-transformer"
    priority = 800
    answers = (
        (
            502,
            "the upstream's JSON is larger than max_body_size, or cannot be read, as more than 2000 members are not, and something was to be hidden",
        ),
    )
    holds_answer = True

    def prepare(self) -> None:
        """Compile what is to be changed."""
        config = self.config
        kinds = (config.remove, config.rename, config.replace, config.add, config.append)
        self._headers = HeaderChanges(
            *(kind.headers for kind in kinds),
            compile_value=lambda entry, start: Template.verbatim(entry[start:]),
        )
        self._remove = [split(entry)[0].encode() for entry in config.remove.members]
        self._rename = [(old.encode(), new.encode()) for old, new, _ in map(split, config.rename.members)]
        self._replace = config.replace.texts()
        self._add = config.add.texts()
        self._append = config.append.texts()
        self._hides = bool(self._remove or self._rename or self._replace)
        self._changes = self._hides or bool(self._add or self._append)

    def access(self, exchange: Exchange) -> None:
        """Ask for an answer that can be changed: whole, and not compressed."""
        if self._changes:
            lines = exchange.headers.lines
            if b"accept-encoding" in lines:
                lines[b"accept-encoding"] = b"Accept-Encoding: identity\r\n"
            lines.pop(b"range", None)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Change the headers."""
        del exchange, status
        if self._headers:
            self._headers.apply(headers, None)

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> bool:
        """Whether it is JSON that is to be changed; raises GatewayError where it cannot be and must be."""
        if not self._changes or not _is_json(headers.get(b"content-type")):
            return False
        if exchange.request.method == "HEAD" or status in BODILESS:
            return True  # there is nothing to change, and the length is that of something else
        if (headers.get(b"content-encoding") or b"identity").lower() != b"identity":
            return self._unreadable("the body that is to be changed is compressed")
        size = headers.get(b"content-length")
        if size is not None and int(size) > self.config.max_body_size:
            raise _too_large()
        exchange.keep(self.name, bytearray())
        return True

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Keep the pieces, and change the whole."""
        assert exchange.context is not None  # noqa: S101  # wants_body has set it
        body: bytearray = exchange.context[self.name]
        body += data
        if len(body) > self.config.max_body_size:
            raise _too_large()
        if not last:
            return b""
        del exchange.context[self.name]  # the exchange waits for its record, and the body need not
        return self._changed(bytes(body))

    def _changed(self, body: bytes) -> bytes:
        if not body:
            return body
        try:
            members = Members(body)
        except TypeError:
            return body  # no object: there are no members
        except (ValueError, ProtocolError):
            self._unreadable("the body that is to be changed is not JSON, or has too many members")
            return body
        for name in self._remove:
            members.remove(name)
        for old, new in self._rename:
            members.rename(old, new)
        for change, values in (
            (members.replace, self._replace),
            (members.add, self._add),
            (members.append, self._append),
        ):
            for name, value in values:
                change(name, value)
        return members.encode() if members.changed else body

    def _unreadable(self, cause: str) -> Literal[False]:
        """Leave a body as it is, unless something in it is not to be seen."""
        if self._hides:
            raise GatewayError(Kind.BAD_RESPONSE, cause)
        return False


def _too_large() -> GatewayError:
    return GatewayError(Kind.BAD_RESPONSE, "the body that is to be changed is larger than max_body_size")


def _is_json(content_type: bytes | None) -> bool:
    return content_type is not None and media_type(content_type) == JSON


def _json(value: str, kind: str) -> bytes:
    if kind == "boolean":
        return b"true" if value == "true" else b"false"  # as in Kong: whatever else it says
    if kind == "number":
        if _NUMBER.fullmatch(value) is None:
            raise ValueError("json_types says number, and the value is none")
        return value.encode()
    return json_string(value.encode())
