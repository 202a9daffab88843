r"""The header section of a message: raw lines, split only when somebody asks.

A header section is read once, passed on mostly untouched, and asked for a handful of names. So it is kept as
the bytes that came, in which the compiled helper finds, replaces and takes out a field in less time than a dictionary
of them takes to make. Who wants ``lines`` has it become ``{b"accept": b"Accept: */*\r\n"}``: joining the
values gives the section back, taking a field out is one ``pop``, and only the fields that are asked for are
ever split. Repeated fields stand behind one another under one name, in their order, which RFC 9110 section
5.3 requires to be kept and which it allows to be moved together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

try:
    from proxyd.http1 import _scan
except ImportError:  # built where there is a compiler
    _scan = None  # type: ignore[assignment]

# Constants, since compiled code looks up by its name whatever is none.
find_value: Final = _scan.find_value if _scan is not None else None
find_values: Final = _scan.find_values if _scan is not None else None
replace_lines: Final = _scan.replace_lines if _scan is not None else None
split_lines: Final = _scan.split_lines if _scan is not None else None

# RFC 9110 section 7.6.1, and what else must not travel: these describe one hop only.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Block:
    """Lines to put into sections, in one piece.

    ``names`` are the fields, in lower case, that a section has of the block alone afterwards; there may be some among
    them of which the block has no line.
    """

    __slots__ = ("names", "text")

    def __init__(self, names: tuple[bytes, ...], text: bytes) -> None:
        self.names = names
        self.text = text

    @classmethod
    def of(cls, items: Iterable[tuple[bytes, bytes]], absent: Iterable[bytes] = ()) -> Block:
        """Make a block of name and value pairs, and of names that no section is to have."""
        section = Headers.of(items)
        return cls((*section.lines, *(name.lower() for name in absent)), section.encode())

    def __repr__(self) -> str:
        return f"<Block {b' '.join(self.names).decode('latin-1')}>"


class Headers:
    """A header section. Names are lower-case bytes, values are bytes without surrounding white space.

    Values given to ``set`` and ``add`` must be free of CR, LF and NUL: who takes a value from elsewhere than
    a parsed message checks it with ``is_field_value``.
    """

    __slots__ = ("_lines", "raw")

    def __init__(self, lines: dict[bytes, bytes] | None = None, raw: bytes | None = None) -> None:
        self.raw = raw  # the lines in one piece, until somebody wants them apart
        self._lines = {} if lines is None else lines

    @property
    def lines(self) -> dict[bytes, bytes]:
        """The raw lines by lower-case name; may be changed."""
        if self.raw is not None:
            self._lines = split_any_lines(self.raw) if split_lines is None else split_lines(self.raw)
            self.raw = None
        return self._lines

    @classmethod
    def of(cls, items: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Make a section of name and value pairs, names in any case."""
        headers = cls()
        for name, value in items:
            headers.add(name, value)
        return headers

    def __repr__(self) -> str:
        return (
            f"Headers({sorted({name.decode('latin-1') for name, _ in self.copy()})})"  # values may be secret
        )

    def __contains__(self, name: bytes) -> bool:
        if self.raw is not None and find_value is not None:
            return find_value(self.raw, name) is not None
        return name in self.lines

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for name, lines in self.lines.items():
            for value in _values(lines):
                yield name, value

    def get(self, name: bytes) -> bytes | None:
        """Return the field's value, repeated fields joined by ``, `` (RFC 9110 section 5.2), or None."""
        if self.raw is not None and find_value is not None:
            return find_value(self.raw, name)
        lines = self.lines.get(name)
        if lines is None:
            return None
        if lines.find(b"\n") < len(lines) - 1:  # looked for before the strip: the last may be empty
            return b", ".join(_values(lines))
        return lines[len(name) + 1 :].strip(b" \t\r\n")

    def get_all(self, name: bytes) -> list[bytes]:
        """Return the value of each field of this name, in order."""
        if self.raw is not None and find_values is not None:
            return find_values(self.raw, name) or []
        lines = self.lines.get(name)
        return [] if lines is None else _values(lines)

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the lower-case members of a comma-separated list, empty ones left out."""
        value = self.get(name)
        return [] if value is None else members(value)

    def set(self, name: bytes, value: bytes) -> None:
        """Replace every field of this name, given in any case, by one."""
        self.lines[name.lower()] = b"%b: %b\r\n" % (name, value)

    def add(self, name: bytes, value: bytes) -> None:
        """Add a field behind those of the same name."""
        key = name.lower()
        line = b"%b: %b\r\n" % (name, value)
        old = self.lines.get(key)
        self.lines[key] = line if old is None else old + line

    def put(self, block: Block) -> None:
        """Replace every field that a block names by the block's.

        A block for a request names no field that the gateway writes itself, X-Forwarded-For and its like: a section in
        one piece has none of those.
        """
        if self.raw is not None and replace_lines is not None:
            self.raw = replace_lines(self.raw, block.names, block.text)
            return
        lines = self.lines
        for name in block.names:
            lines.pop(name, None)
        lines.update(split_any_lines(block.text))

    def append(self, line: bytes) -> None:
        """Add a whole line behind those of the same name, without splitting the others."""
        if self.raw is not None:
            self.raw += line
        else:
            key = line[: line.index(b":")].lower()
            self._lines[key] = self._lines.get(key, b"") + line

    def remove(self, name: bytes) -> None:
        """Take every field of this name out, if there is any."""
        if self.raw is not None and replace_lines is not None:
            self.raw = replace_lines(self.raw, (name,), b"")
        else:
            self.lines.pop(name, None)

    def copy(self) -> Headers:
        """Return a section that can be changed without changing this one."""
        return Headers(self._lines.copy(), self.raw)

    def encode(self) -> bytes:
        """Return the section's lines, without the empty line behind them."""
        return b"".join(self._lines.values()) if self.raw is None else self.raw


def members(value: bytes) -> list[bytes]:
    """Return the lower-case members of a comma-separated list, empty ones left out."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def split_any_lines(raw: bytes) -> dict[bytes, bytes]:
    """Do what the compiled ``split_lines`` does."""
    lines: dict[bytes, bytes] = {}
    for line in raw.splitlines(keepends=True):
        name = line[: line.index(b":")].lower()
        lines[name] = lines[name] + line if name in lines else line
    return lines


def _values(lines: bytes) -> list[bytes]:
    return [line.partition(b":")[2].strip(b" \t\r") for line in lines.split(b"\n")[:-1]]


def strip_hop_by_hop(headers: Headers) -> None:
    """Take out what describes this hop, the fields that ``Connection`` names included."""
    lines = headers.lines
    if HOP_BY_HOP.isdisjoint(lines):
        return
    if b"connection" in lines:
        for name in headers.tokens(b"connection"):
            # RFC 9110 section 7.6.1 forbids naming fields for the recipient; framing and Host stay ours.
            if name not in _NEVER_NAMED:
                lines.pop(name, None)
    for name in HOP_BY_HOP:
        lines.pop(name, None)


# What the gateway reads, writes or takes out of a request itself, but for identity, which has its own rules.
_OURS: Final = re.compile(
    rb"connection|content-length|expect|forwarded|host|http2-settings|keep-alive|proxy.*|te|trailer"
    rb"|transfer-encoding|upgrade|via|x-(?:forwarded|kong|real)-.*"
)


def strip_lookalikes(headers: Headers) -> None:
    """Take out fields with ``_`` in their names that CGI and WSGI would read as one of the gateway's, or of these."""
    lines = headers.lines
    for name in [name for name in lines if b"_" in name]:
        plain = name.replace(b"_", b"-")
        if plain in lines or _OURS.fullmatch(plain) is not None:
            del lines[name]


_NEVER_NAMED: Final = frozenset({b"host", b"content-length", b"cache-control", b"authorization"})


_NOT_IN_VALUE: Final = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


def is_field_value(value: bytes) -> bool:
    """Whether a value can stand in a header line (RFC 9110 section 5.5): no CR, LF, NUL or other control."""
    return _NOT_IN_VALUE.search(value) is None
