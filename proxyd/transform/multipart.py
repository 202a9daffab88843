"""A multipart form (RFC 7578), changed field by field; files and other fields stay as they came."""

from __future__ import annotations

import re
from typing import Final

from proxyd.transform.lua import UnsendableError

_BOUNDARY: Final = re.compile(
    rb';[ \t]*boundary=(?:"([^"\\\r\n]{1,70})"|([0-9A-Za-z\'()+_,./:=?!#$%&*^`{|}~-]{1,70}))', re.IGNORECASE
)
_DISPOSITION: Final = re.compile(
    rb'^(content-disposition:[ \t]*form-data[^\r\n]*?;[ \t]*name=)("(?:[^"\\\r\n]|\\.)*"|[^\s;"]+)',
    re.IGNORECASE | re.MULTILINE,
)


class Form:
    """The parts of one body, by the name of their field; ``changed`` once one is."""

    __slots__ = ("_after", "_before", "_boundary", "_parts", "changed")

    def __init__(self, content_type: bytes, body: bytes) -> None:
        """Take a body apart; raises ValueError where it is no form."""
        match = _BOUNDARY.search(content_type)
        if match is None:
            raise ValueError("there is no boundary")
        self._boundary = b"--" + (match[1] or match[2])
        before, *parts = (b"\r\n" + body).split(b"\r\n" + self._boundary)
        if not parts or parts[-1][:2] != b"--":
            raise ValueError("there is no end")
        self._before = before  # with a line end in front, unless it is empty
        self._after = parts.pop()[2:]
        self._parts = [(_name(part), _checked(part)) for part in parts]
        self.changed = False

    def __repr__(self) -> str:
        return f"<Form {len(self._parts)}{' changed' if self.changed else ''}>"

    def __contains__(self, name: bytes) -> bool:
        return any(key == name for key, _ in self._parts)

    def remove(self, name: bytes) -> None:
        """Take every field of this name out."""
        kept = [part for part in self._parts if part[0] != name]
        if len(kept) < len(self._parts):
            self._parts = kept
            self.changed = True

    def rename(self, old: bytes, new: bytes) -> None:
        """Give the fields of a name another one; those that had it make way."""
        if old not in self or old == new:
            return
        self.remove(new)
        quoted = _quoted(new)
        self._parts = [
            (new, _DISPOSITION.sub(lambda match: match[1] + quoted, part, count=1))
            if key == old
            else (key, part)
            for key, part in self._parts
        ]
        self.changed = True

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a field that is there."""
        if name in self:
            place = next(at for at, part in enumerate(self._parts) if part[0] == name)
            self.remove(name)
            self._parts.insert(place, self._field(name, value))

    def add(self, name: bytes, value: bytes) -> None:
        """Set a field that is not there, as the last."""
        if name not in self:
            self.append(name, value)

    def append(self, name: bytes, value: bytes) -> None:
        """Put a field behind all others."""
        self._parts.append(self._field(name, value))
        self.changed = True

    def _field(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if self._boundary in value:
            raise UnsendableError("a value holds the boundary of the form")
        return name, b"\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b" % (_quoted(name), value)

    def encode(self) -> bytes:
        """Return the body."""
        mark = b"\r\n" + self._boundary
        whole = b"".join([self._before, *[mark + part for _, part in self._parts], mark, b"--"])
        return whole[2:] + self._after


def _checked(part: bytes) -> bytes:
    if part[:2] != b"\r\n":
        raise ValueError("there is something behind a boundary")
    return part


def _name(part: bytes) -> bytes | None:
    head = part.partition(b"\r\n\r\n")[0]
    match = _DISPOSITION.search(head)
    if match is None:
        return None
    name = match[2]
    return re.sub(rb"\\(.)", rb"\1", name[1:-1]) if name[:1] == b'"' else name


def _quoted(name: bytes) -> bytes:
    # The escapes of the WHATWG's form encoding: a backslash is read differently by everybody.
    return b'"' + name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A") + b'"'
