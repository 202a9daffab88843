"""A JSON object's members (RFC 8259): what is not touched stays as it was written.

Numbers that no float holds, the order and even repeated names survive, for only the text of a member that is
changed is written anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, cast

import orjson

from proxyd.bodies.fields import Field, Fields, check_count

MAX_DEPTH: Final = (
    500  # levels of a member; Kong's are 1000, and half of those are all that Python is sure of
)

_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True)
class Member(Field):
    """One member; ``key`` is its name as it is written, ``written`` its value."""

    key: bytes
    written: bytes

    @property
    def value(self) -> bytes | None:
        """Its value, if that is a text."""
        if self.written[:1] != b'"':
            return None
        return _utf8(json.loads(self.written))

    @property
    def several(self) -> bool:  # type: ignore[override]  # a body's other fields never are
        """Whether the value is a list or an object."""
        return self.written[:1] in {b"[", b"{"}


class Members(Fields):
    """The members of one object. Names are UTF-8; values given are JSON texts, as ``json_string`` makes them."""

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        """Take a text apart.

        Raises:
            ValueError: it is not JSON, or nested too deeply.
            TypeError: it is no object.
            ProtocolError: 413, for too many members.
        """
        try:
            super().__init__(*_taken_apart(body.decode()))
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def append(self, name: bytes, value: bytes) -> None:
        """Put a value behind those of a member, which becomes a list unless it is one; null counts as nothing."""
        first = cast("Member | None", next(iter(self.named(name)), None))
        old = b"" if first is None or first.written == b"null" else first.written
        if old[:1] == b"[":
            old = old[1:-1].strip(b" \t\r\n")
        joined = b"[%b,%b]" % (old, value) if old else b"[%b]" % value
        self.replace(name, joined)
        self.add(name, joined)

    def encode(self) -> bytes:
        """Return the object; without white space between its members, once one is changed."""
        if not self.changed:
            return super().encode()
        members = cast("list[Member]", self._fields)
        return b"{%b}" % b",".join([b"%b:%b" % (one.key, one.written) for one in members])

    def _renamed(self, one: Field, name: bytes) -> Field:
        return _made(name, json_string(name), cast("Member", one).written)

    def _valued(self, one: Field | None, name: bytes, value: bytes) -> Field:
        return _made(name, json_string(name) if one is None else cast("Member", one).key, value)


def json_string(text: bytes) -> bytes:
    """Write a text as JSON; what is not UTF-8 in it is replaced."""
    return orjson.dumps(text.decode("utf-8", "replace"))


def _made(name: bytes, key: bytes, written: bytes) -> Member:
    return Member(name, b"%b:%b" % (key, written), b",", key, written)


def _utf8(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # JSON may escape half a character


def _constant(name: str) -> str:
    if name == "NaN":
        raise ValueError("NaN is no number")
    return name  # Infinity passes for an overlong number


# Numbers stay texts: they are not looked at, and some are longer than Python converts.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_constant)


def _taken_apart(text: str) -> tuple[bytes, list[Field], bytes]:
    """Return what stands before the members, these, and what stands behind them."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        _check_end(text, _DECODER.raw_decode(text, place)[1])
        raise TypeError("not an object")
    begun = ended = _skip(text, place + 1)
    head = text[:begun].encode()
    fields: list[Field] = []
    more = text[begun : begun + 1] != "}"
    while more:
        name, key_end = _DECODER.raw_decode(text, begun)
        place = _skip(text, key_end)
        if text[begun] != '"' or text[place : place + 1] != ":":
            raise ValueError("a name or a colon is missing")
        place = _skip(text, place + 1)
        value, end = _DECODER.raw_decode(text, place)
        _check_depth(value, text, place, end)
        slices = (text[begun:end], text[ended:begun], text[begun:key_end], text[place:end])
        fields.append(Member(_utf8(name), *[one.encode() for one in slices]))
        check_count(len(fields))
        ended, place = end, _skip(text, end)
        more = text[place : place + 1] == ","
        begun = _skip(text, place + 1) if more else place
    if text[begun : begun + 1] != "}":
        raise ValueError("the end is missing")
    _check_end(text, begun + 1)
    return head, fields, text[ended:].encode()


def _check_depth(value: object, text: str, place: int, end: int) -> None:
    if text.count("[", place, end) + text.count("{", place, end) <= MAX_DEPTH:
        return
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, (list, dict))]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]


def _check_end(text: str, place: int) -> None:
    if _skip(text, place) != len(text):
        raise ValueError("more than one value")


def _skip(text: str, place: int) -> int:
    return _SPACE.match(text, place).end()  # type: ignore[union-attr]  # it always matches
