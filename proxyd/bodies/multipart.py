"""A multipart form (RFC 7578): files and other fields stay as they came."""

from __future__ import annotations

import re
from typing import Final

from proxyd.bodies.fields import Field, Fields, check_count
from proxyd.errors import UnsendableError

MAX_PART_HEAD: Final = 8192  # bytes of a part's header lines; browsers send a few hundred

_BOUNDARY: Final = re.compile(rb"(?!.* \Z)[ !#-\[\]-~]{1,70}")  # without a quote or a backslash
_PARAMETER: Final = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_QUOTED: Final = re.compile(rb"\\(.)", re.DOTALL)


class Part(Field):
    """One part: its delimiter, its header lines and its content."""

    __slots__ = ()

    @property
    def value(self) -> bytes:
        """Its content."""
        return self.text.partition(b"\r\n\r\n")[2][:-2]


class Form(Fields):
    """The parts of one body, by the name of their field; a part without one is kept."""

    __slots__ = ("_delimiter",)

    def __init__(self, content_type: bytes, body: bytes) -> None:
        """Take a body apart; raises ValueError where it is no form, and ProtocolError, 413, for too many parts."""
        given = _parameter(content_type, b"boundary")
        boundary = b"" if given is None else _read(given[2])
        if _BOUNDARY.fullmatch(boundary) is None:
            raise ValueError("there is no boundary")
        self._delimiter = b"--" + boundary
        check_count(body.count(self._delimiter))
        before, *parts = (b"\r\n" + body).split(b"\r\n" + self._delimiter)
        if not parts or not parts[-1].startswith(b"--"):
            raise ValueError("there is no end")
        super().__init__(
            before[2:] + b"\r\n" if before else b"",
            [Part(_name(part), self._delimiter + part + b"\r\n", b"") for part in parts[:-1]],
            self._delimiter + parts[-1],
        )

    def is_plain(self, body: bytes) -> bool:
        """Tell whether the body it was made of has the delimiter nowhere but between parts, so that nobody can find other ones."""
        return body.startswith(self._delimiter) and body.count(self._delimiter) == len(self._fields) + 1

    def _renamed(self, one: Field, name: bytes) -> Field:
        head, blank, content = one.text.partition(b"\r\n\r\n")
        span = _span(head)
        return Part(
            name, b"".join((head[: span.start], _quoted(name), head[span.stop :], blank, content)), b""
        )

    def _valued(self, one: Field | None, name: bytes, value: bytes) -> Field:
        del one
        if self._delimiter in value:
            raise UnsendableError("a value holds the boundary of the form")
        head = b"%b\r\nContent-Disposition: form-data; name=%b" % (self._delimiter, _quoted(name))
        return Part(name, b"%b\r\n\r\n%b\r\n" % (head, value), b"")


def _name(part: bytes) -> bytes | None:
    if not part.lstrip(b" \t").startswith(b"\r\n"):
        raise ValueError("there is something behind a boundary")
    head, blank, _ = part.partition(b"\r\n\r\n")
    written = head[_span(head)] if blank and len(head) <= MAX_PART_HEAD else b""
    return _read(written) if written else None


def _span(head: bytes) -> slice:
    """Return where in a part's head the name of its field is written; nowhere, where it has none."""
    place = 0
    for line in head.split(b"\r\n"):
        field, _, disposition = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            given = _parameter(disposition, b"name")
            if given is None or disposition.partition(b";")[0].strip().lower() != b"form-data":
                break
            place += len(field) + 1
            return slice(place + given.start(2), place + given.end(2))
        place += len(line) + 2
    return slice(0)


def _parameter(value: bytes, name: bytes) -> re.Match[bytes] | None:
    """Return the first parameter of a name behind a header's value."""
    return next((match for match in _PARAMETER.finditer(value) if match[1].lower() == name), None)


def _read(written: bytes) -> bytes:
    return _QUOTED.sub(rb"\1", written[1:-1]) if written.startswith(b'"') else written.strip()


def _quoted(name: bytes) -> bytes:
    # The escapes of the WHATWG's form encoding: a backslash is read differently by everybody.
    return b'"' + name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A") + b'"'
