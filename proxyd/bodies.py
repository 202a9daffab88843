"""The named fields of a form or a JSON object, found and cut out without changing a byte of what stays.

For plugins that look for something in a request's body. What cannot be read has no fields.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # public, but not in the stubs
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote_plus, unquote_to_bytes

from proxyd.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

FORM, JSON, MULTIPART = b"application/x-www-form-urlencoded", b"application/json", b"multipart/form-data"
MAX_FIELDS: Final = (
    2000  # Kong looks at 100, and at 1000 if told so; a million would hold every request up for seconds
)
MAX_PART_HEAD: Final = 8192  # bytes of a part's header lines; browsers send a few hundred

_PARAMETER: Final = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED: Final = re.compile(rb"\\(.)", re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True)
class Field:
    """One field, and the bytes that it stands in; ``separator`` goes before it where another one does.

    ``value`` is None where it is neither a text nor something that holds texts, as a number is.
    """

    name: str
    value: bytes | None
    separator: bytes
    text: bytes
    several: bool = False  # the value is a list or an object


@dataclass(slots=True)
class Fields:
    """A body as ``head``, fields and ``tail``; joined, they are the body."""

    head: bytes = b""
    fields: tuple[Field, ...] = ()
    tail: bytes = b""

    def named(self, name: str) -> list[Field]:
        """Return the fields of a name, in order."""
        return [one for one in self.fields if one.name == name]

    def without(self, names: Container[str]) -> bytes:
        """Return the body without the fields of these names."""
        parts = [self.head]
        for one in self.fields:
            if one.name not in names:
                parts += [one.separator, one.text] if len(parts) > 1 else [one.text]
        return b"".join((*parts, self.tail))


def media_type(content_type: bytes) -> bytes:
    """Return the type that a Content-Type names, in lower case and without its parameters."""
    return content_type.partition(b";")[0].strip().lower()


def read_fields(content_type: bytes, body: bytes) -> Fields:
    """Return the fields of a body; they are empty where it cannot be read, or is of none of the three types.

    Raises:
        ProtocolError: 413, for a body with more than ``MAX_FIELDS``.
    """
    reader = READERS.get(media_type(content_type))
    if reader is None:
        return Fields()
    try:
        return reader(content_type, body)
    except (ValueError, RecursionError):
        return Fields()


def _check(count: int) -> None:
    if count > MAX_FIELDS:
        raise ProtocolError("more fields than a plugin reads", 413)


# --- application/x-www-form-urlencoded -------------------------------------------------------------------------


def _form(_: bytes, body: bytes) -> Fields:
    _check(body.count(b"&"))
    return Fields(fields=tuple(map(_pair, body.split(b"&"))) if body else ())


def _pair(text: bytes) -> Field:
    name, _, value = text.partition(b"=")
    return Field(
        unquote_plus(name.decode("utf-8", "replace")),
        unquote_to_bytes(value.replace(b"+", b" ")),
        b"&",
        text,
    )


# --- application/json (RFC 8259) -------------------------------------------------------------------------------


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


# Numbers stay texts: they are not looked at, and some are longer than Python converts.
_DECODER: Final[Any] = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse)


def _json(_: bytes, body: bytes) -> Fields:
    text = body.decode()
    at = _past(text, 0, "{")
    begun = _skip(text, at)
    if text[begun : begun + 1] == "}":
        return Fields(body)
    fields, ended = [], begun
    while True:
        name, at = scanstring(text, _past(text, begun, '"'))
        try:
            value, at = _DECODER.scan_once(text, _skip(text, _past(text, at, ":")))
        except StopIteration:
            raise ValueError("no value") from None
        fields.append(_member(name, value, text[ended:begun], text[begun:at]))
        _check(len(fields))
        ended = at
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            break
        begun = _skip(text, _past(text, at, ","))
    if _skip(text, at + 1) != len(text):
        raise ValueError("something behind the object")
    head = text[: text.index("{")]
    return Fields(text[: _skip(text, len(head) + 1)].encode(), tuple(fields), text[ended:].encode())


def _member(name: str, value: Any, separator: str, text: str) -> Field:
    is_text = isinstance(value, str) and text.endswith('"')
    return Field(
        name,
        value.encode("utf-8", "surrogatepass") if is_text else None,
        separator.encode(),
        text.encode(),
        isinstance(value, (list, dict)),
    )


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past(text: str, at: int, wanted: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != wanted:
        raise ValueError(f"{wanted} is missing")
    return at + 1


# --- multipart/form-data (RFC 7578) ----------------------------------------------------------------------------


def _multipart(content_type: bytes, body: bytes) -> Fields:
    boundary = _parameters(content_type).get(b"boundary", b"")
    if not boundary:
        raise ValueError("no boundary")
    delimiter = b"--" + boundary
    _check(body.count(delimiter))
    preamble, *parts = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("no end")
    fields = tuple(_part(delimiter, part) for part in parts[:-1])
    return Fields(preamble[2:] + b"\r\n" if preamble else b"", fields, delimiter + parts[-1])


def _part(delimiter: bytes, part: bytes) -> Field:
    head, blank, value = part.partition(b"\r\n\r\n")
    padding, line_end, lines = head.partition(b"\r\n")
    if padding.strip(b" \t") or not line_end or not blank or len(head) > MAX_PART_HEAD:
        raise ValueError("no part")
    for line in lines.split(b"\r\n"):
        field, _, disposition = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            name = _parameters(disposition).get(b"name", b"").decode("utf-8", "replace")
            return Field(name, value, b"", delimiter + part + b"\r\n")
    raise ValueError("no name")


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """Return the parameters behind a header's value, by lower-case name; of several of a name, the first."""
    found: dict[bytes, bytes] = {}
    for name, given in _PARAMETER.findall(value[:MAX_PART_HEAD]):
        quoted = given.startswith(b'"')
        found.setdefault(name.lower(), _QUOTED.sub(rb"\1", given[1:-1]) if quoted else given.strip())
    return found


READERS: Final[dict[bytes, Callable[[bytes, bytes], Fields]]] = {
    FORM: _form,
    JSON: _json,
    MULTIPART: _multipart,
}
