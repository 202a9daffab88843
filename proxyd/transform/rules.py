"""What a file says is to be changed: entries of the form ``name:value``, checked where they stand.

Kong's form (``kong/plugins/request-transformer/schema.lua``): a name ends at the first colon, and colons right
behind that one belong to neither name nor value.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from proxyd.http1.headers import HOP_BY_HOP, is_field_value
from proxyd.transform.template import Template

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What delimits messages and describes a hop: written by the gateway alone, or messages could be smuggled.
FRAMING: Final = HOP_BY_HOP | {b"content-length", b"expect"}
_FRAMED = "the gateway writes this header itself, from the message as it is sent"


def split(entry: str) -> tuple[str, str, int]:
    """Return name, value, and where in the entry the value begins."""
    name, _, rest = entry.partition(":")
    value = rest.lstrip(":")
    return name, value, len(entry) - len(value)


def _named(entry: str) -> str:
    if not split(entry)[0]:
        raise ValueError("a name is missing", "name, or name:value where there is a value")
    return entry


def _valued(entry: str) -> str:
    name, value, start = split(entry)
    if not name or not value:
        raise ValueError("an entry is a name and a value", "name:value")
    Template(entry, start)
    return entry


def _paired(entry: str) -> str:
    if not split(entry)[0] or ":" not in entry:
        raise ValueError("an entry is a name and a value", "name:value")
    return entry


def _renamed_member(entry: str) -> str:
    _paired(entry)
    if not split(entry)[1]:
        raise ValueError("what is renamed needs a new name", "old:new")
    return entry


def _header(entry: str) -> str:
    _check_name(split(entry)[0])
    return entry


def _renamed_header(entry: str) -> str:
    name, value, _ = split(entry)
    _check_name(name)
    _check_name(value)
    if not FRAMING.isdisjoint({name.lower().encode(), value.lower().encode()}):
        raise ValueError(_FRAMED)
    if value.lower() == "host":
        raise ValueError("no header can become Host", "replace.headers: host:$(headers['x-name'])")
    return entry


def _literal_header(entry: str) -> str:
    name, value, _ = split(entry)
    _check_name(name)
    if ":" not in entry:
        raise ValueError("an entry is a name and a value", "name:value")
    if name.lower().encode() in FRAMING:
        raise ValueError(_FRAMED)
    if not is_field_value(value.encode()):
        raise ValueError("the value holds a character that cannot stand in a header")
    return entry


def _valued_header(entry: str) -> str:
    _literal_header(entry)
    _, _, start = split(entry)
    Template(entry, start)
    return entry


def _changeable(name: str) -> str:
    if name.lower().encode() in FRAMING | {b"host"}:
        raise ValueError(_FRAMED)
    return name


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ValueError("this is not the name of a header")


Changeable = AfterValidator(_changeable)
"""Refuses a header that no plugin may set or take out."""

Named = tuple[Annotated[str, AfterValidator(_named)], ...]
Valued = tuple[Annotated[str, AfterValidator(_valued)], ...]
Paired = tuple[Annotated[str, AfterValidator(_paired)], ...]
RenamedMembers = tuple[Annotated[str, AfterValidator(_renamed_member)], ...]
NamedHeaders = tuple[Annotated[str, AfterValidator(_header)], ...]
RenamedHeaders = tuple[Annotated[str, AfterValidator(_renamed_header)], ...]
LiteralHeaders = tuple[Annotated[str, AfterValidator(_literal_header)], ...]
ValuedHeaders = tuple[Annotated[str, AfterValidator(_valued_header)], ...]
