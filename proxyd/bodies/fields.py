"""What the three kinds of body have in common: fields by name, each with the bytes that it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from proxyd.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

# Kong looks at 100, and at 1000 if told so; a million would hold every request up for seconds.
MAX_FIELDS: Final = 2000


@dataclass(slots=True)
class Field:
    """One field, as it is written; ``separator`` goes before it where another one does.

    ``name`` is None where a part of a form has none that can be read.
    """

    name: bytes | None
    text: bytes
    separator: bytes

    several: ClassVar[bool] = False

    @property
    def value(self) -> bytes | None:
        """Its value, decoded; None where it is neither a text nor ``several``, as a number is."""
        raise NotImplementedError


class Fields:
    """A body as a head, fields and a tail; joined, they are the body. ``changed`` once a field is."""

    __slots__ = ("_fields", "_head", "_tail", "changed")

    def __init__(self, head: bytes = b"", fields: Sequence[Field] = (), tail: bytes = b"") -> None:
        self._head = head
        self._fields = list(fields)
        self._tail = tail
        self.changed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._fields)}{' changed' if self.changed else ''}>"

    def __contains__(self, name: bytes | None) -> bool:
        return any(one.name == name for one in self._fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields)

    def named(self, name: bytes) -> list[Field]:
        """Return the fields of a name, in order."""
        return [one for one in self._fields if one.name == name]

    def encode(self) -> bytes:
        """Return the body."""
        return self.without(())

    def without(self, names: Container[bytes | None]) -> bytes:
        """Return the body without the fields of these names, and what stays as it is laid out."""
        parts = [self._head]
        for one in self._fields:
            if one.name not in names:
                parts += [one.separator, one.text] if len(parts) > 1 else [one.text]
        return b"".join((*parts, self._tail))

    # --- changes ---------------------------------------------------------------------------------------------

    def remove(self, name: bytes) -> None:
        """Take every field of this name out."""
        if name in self:
            self._fields = [one for one in self._fields if one.name != name]
            self.changed = True

    def rename(self, old: bytes, new: bytes) -> None:
        """Give the fields of a name another one; those that had it make way."""
        if old not in self or old == new:
            return
        self.remove(new)
        self._fields = [self._renamed(one, new) if one.name == old else one for one in self._fields]
        self.changed = True

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a field that is there; of several of the name, the first stays."""
        if name in self:
            place = next(at for at, one in enumerate(self._fields) if one.name == name)
            made = self._valued(self._fields[place], name, value)
            self.remove(name)
            self._fields.insert(place, made)

    def add(self, name: bytes, value: bytes) -> None:
        """Set a field that is not there, as the last."""
        if name not in self:
            self._fields.append(self._valued(None, name, value))
            self.changed = True

    def append(self, name: bytes, value: bytes) -> None:
        """Put a field behind all others."""
        self._fields.append(self._valued(None, name, value))
        self.changed = True

    def _renamed(self, one: Field, name: bytes) -> Field:
        """Make a field of another name of one."""
        raise NotImplementedError

    def _valued(self, one: Field | None, name: bytes, value: bytes) -> Field:
        """Make a field, which takes the place of one if that is given."""
        raise NotImplementedError


def check_count(count: int) -> None:
    """Raise ProtocolError for more fields than ``MAX_FIELDS``."""
    if count > MAX_FIELDS:
        raise ProtocolError("more fields than a plugin reads", 413)
