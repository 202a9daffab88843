"""A JSON object's members, changed one by one: what is not touched stays as it was written.

Numbers that no float holds, the order and even repeated names survive, for only the text of a member that is
changed is written anew.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = " \t\r\n"


class Members:
    """The members of one object. Names are UTF-8; values given are JSON texts, as ``json_string`` makes them."""

    __slots__ = ("_members", "changed")

    def __init__(self, body: bytes) -> None:
        """Take a text apart; raises ValueError where it is not JSON, and TypeError where it is no object."""
        text = body.decode()
        try:
            self._members = [(_utf8(name), quoted, value) for name, quoted, value in _members(text)]
        except RecursionError:
            raise ValueError("nested too deeply") from None
        self.changed = False

    def __repr__(self) -> str:
        return f"<Members {len(self._members)}{' changed' if self.changed else ''}>"

    def __contains__(self, name: bytes) -> bool:
        return any(key == name for key, _, _ in self._members)

    def remove(self, name: bytes) -> None:
        """Take every member of this name out."""
        kept = [member for member in self._members if member[0] != name]
        if len(kept) < len(self._members):
            self._members = kept
            self.changed = True

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a member another name, if it is there; one that had that name makes way."""
        if old not in self or old == new:
            return
        self.remove(new)
        quoted = json_string(new).decode()
        self._members = [(new, quoted, member[2]) if member[0] == old else member for member in self._members]
        self.changed = True

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a member that is there."""
        if name in self:
            place = next(at for at, member in enumerate(self._members) if member[0] == name)
            quoted = self._members[place][1]
            self.remove(name)
            self._members.insert(place, (name, quoted, value.decode()))

    def add(self, name: bytes, value: bytes) -> None:
        """Set a member that is not there, as the last."""
        if name not in self:
            self._members.append((name, json_string(name).decode(), value.decode()))
            self.changed = True

    def append(self, name: bytes, value: bytes) -> None:
        """Put a value behind those of a member, which becomes a list unless it is one; null counts as nothing."""
        old = next((member[2] for member in self._members if member[0] == name), "null")
        if old[0] == "[":
            old = old[1:-1].strip(_SPACE)
        elif old == "null":
            old = ""
        joined = b"[%b,%b]" % (old.encode(), value) if old else b"[%b]" % value
        self.replace(name, joined)
        self.add(name, joined)

    def encode(self) -> bytes:
        """Return the object."""
        return f"{{{','.join([f'{quoted}:{value}' for _, quoted, value in self._members])}}}".encode()


def json_string(text: bytes) -> bytes:
    """Write a text as JSON; what is not UTF-8 in it is replaced."""
    return orjson.dumps(text.decode("utf-8", "replace"))


def _utf8(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # JSON may escape half a character


def _members(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, name as written, value as written)."""
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        _whole(text, place)
        raise TypeError("not an object")
    place = _skip(text, place + 1)
    if text[place : place + 1] == "}":
        _end(text, place + 1)
        return
    while True:
        if text[place : place + 1] != '"':
            raise ValueError("a name is missing")
        key, behind = _value(text, place)
        quoted = text[place:behind]
        place = _skip(text, behind)
        if text[place : place + 1] != ":":
            raise ValueError("a colon is missing")
        place = _skip(text, place + 1)
        _, behind = _value(text, place)
        yield key, quoted, text[place:behind]
        place = _skip(text, behind)
        mark = text[place : place + 1]
        if mark == "}":
            _end(text, place + 1)
            return
        if mark != ",":
            raise ValueError("a comma is missing")
        place = _skip(text, place + 1)


def _value(text: str, place: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, place)


def _whole(text: str, place: int) -> None:
    _end(text, _value(text, place)[1])


def _end(text: str, place: int) -> None:
    if text[place:].strip(_SPACE):
        raise ValueError("more than one value")


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] and text[place] in _SPACE:
        place += 1
    return place
