"""Operations that come with files: the field ``operations`` of a form (the GraphQL multipart request specification)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxyd.bodies.multipart import Form
from proxyd.errors import ProtocolError, UnsendableError
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import decode, read_body, write_body

if TYPE_CHECKING:
    from proxyd.bodies.fields import Field
    from proxyd.graphql.request import Asked

OPERATIONS: Final = b"operations"
MAP: Final = b"map"
_CHARSET: Final = b"_charset_"  # the field that tells how all others are encoded (RFC 7578 section 4.6)

_VARIABLE: Final = re.compile(r"(?:[0-9]+\.)?variables\..")  # what a file may take the place of
_PLAIN: Final = frozenset({b"7bit", b"8bit", b"binary"})
_UTF8: Final = frozenset({b"utf-8", b"utf8", b"us-ascii"})
_NAMES: Final = re.compile(rb"[;\s]name\*?[0-9]*\*?\s*=", re.IGNORECASE)
_BOUNDARIES: Final = re.compile(rb"[;\s]boundary\*?[0-9]*\*?\s*=", re.IGNORECASE)
_CHARSETS: Final = re.compile(rb"charset\*?\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)


def read_upload(content_type: bytes, body: bytes) -> Asked | list[Asked]:
    """Read what a form asks for. Raises Refused, also for a form that another reader may understand otherwise."""
    form = _form(content_type, body)
    operations, maps = form.named(OPERATIONS), form.named(MAP)
    if len(operations) != 1 or len(maps) > 1 or None in form or _CHARSET in form:
        raise _bad("The form needs one field operations, at most one map, and a name for each field")
    for part in form:
        _check_head(part)
    if maps:
        _check_map(maps[0].value or b"")
    return read_body(operations[0].value or b"")


def _check_head(part: Field) -> None:
    """Refuse a part whose name some readers take for another, and one of ours whose content they decode before."""
    ours = part.name in {OPERATIONS, MAP}
    _, *lines = part.text.partition(b"\r\n\r\n")[0].split(b"\r\n")
    dispositions = 0
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        if line[:1] in {b" ", b"\t"} or b"\n" in line or b"\r" in line:
            raise _bad("The lines of a part's head must not be folded, and end in CR LF")
        if name == b"content-disposition":
            dispositions += 1
            if len(_NAMES.findall(b";" + value)) != 1:
                raise _bad("A part has exactly one name")
        elif ours and name == b"content-transfer-encoding" and value.strip().lower() not in _PLAIN:
            raise _bad("operations and map must not be encoded")
        elif ours and name == b"content-type" and not _UTF8.issuperset(_CHARSETS.findall(value.lower())):
            raise _bad("operations and map must be in UTF-8")
    if dispositions != 1:
        raise _bad("A part has exactly one Content-Disposition")


def _check_map(text: bytes) -> None:
    """Refuse files that would take the place of anything but variables, which is all that nobody has read."""
    places = decode(text, "map")
    if not isinstance(places, dict):
        raise _bad("map must be an object")
    for paths in places.values():
        if not isinstance(paths, list) or not all(
            isinstance(path, str) and _VARIABLE.match(path) for path in paths
        ):
            raise _bad("map must have lists of paths into variables")


def write_upload(content_type: bytes, body: bytes, asked: Asked | list[Asked]) -> bytes:
    """Return a form with other operations, and the same files."""
    form = _form(content_type, body)
    try:
        form.replace(OPERATIONS, write_body(asked))
    except UnsendableError:  # it was there in escapes
        raise _bad("operations must not hold the boundary of the form") from None
    return form.encode()


def _form(content_type: bytes, body: bytes) -> Form:
    try:
        form = Form(content_type, body)
    except ValueError:
        raise _bad("The body is no form as its Content-Type says") from None
    except ProtocolError:
        raise Refused(413, "BAD_REQUEST", "The form has too many fields", well_formed=False) from None
    if len(_BOUNDARIES.findall(content_type)) != 1 or not form.is_plain(body):
        raise _bad(
            "The form has another boundary too, or something that is no part, or a boundary within one"
        )
    return form


def _bad(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message, well_formed=False)
