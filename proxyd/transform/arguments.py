"""A query or a form, changed argument by argument: the order stays, and so does how the others were written."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes


class Arguments:
    """The arguments of a query, without its ``?``, or of an urlencoded body. Names and values are bytes, decoded."""

    __slots__ = ("_parts", "changed")

    def __init__(self, text: bytes) -> None:
        self._parts = [(_name(part), part) for part in text.split(b"&")] if text else []
        self.changed = False

    def __repr__(self) -> str:
        return f"<Arguments {len(self._parts)}{' changed' if self.changed else ''}>"

    def __contains__(self, name: bytes) -> bool:
        return any(key == name for key, _ in self._parts)

    def remove(self, name: bytes) -> None:
        """Take every argument of this name out."""
        kept = [part for part in self._parts if part[0] != name]
        if len(kept) < len(self._parts):
            self._parts = kept
            self.changed = True

    def rename(self, old: bytes, new: bytes) -> None:
        """Give the arguments of a name another one; those that had it make way."""
        if old not in self or old == new:
            return
        self.remove(new)
        self._parts = [
            (new, _encoded(new) + b"".join(part.partition(b"=")[1:])) if key == old else (key, part)
            for key, part in self._parts
        ]
        self.changed = True

    def replace(self, name: bytes, value: bytes) -> None:
        """Set an argument that is there."""
        if name in self:
            place = next(at for at, part in enumerate(self._parts) if part[0] == name)
            self.remove(name)
            self._parts.insert(place, _argument(name, value))

    def add(self, name: bytes, value: bytes) -> None:
        """Set an argument that is not there, as the last."""
        if name not in self:
            self.append(name, value)

    def append(self, name: bytes, value: bytes) -> None:
        """Put an argument behind all others."""
        self._parts.append(_argument(name, value))
        self.changed = True

    def extend(self, other: Arguments) -> None:
        """Put another's arguments behind these, written so that they can stand in a query."""
        for name, part in other._parts:
            mark, value = part.partition(b"=")[1:]
            self._parts.append((name, _encoded(name) + mark + _encoded(_decoded(value))))
            self.changed = True

    def encode(self) -> bytes:
        """Return the text."""
        return b"&".join([part for _, part in self._parts])


def _name(part: bytes) -> bytes:
    return _decoded(part.partition(b"=")[0])


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _encoded(text: bytes) -> bytes:
    return quote_from_bytes(text, safe="").encode()


def _argument(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    return name, b"%b=%b" % (_encoded(name), _encoded(value))
