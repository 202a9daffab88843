"""A query or a form (application/x-www-form-urlencoded): the order stays, and so does how others were written."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxyd.bodies.fields import Field, Fields


class Argument(Field):
    """``name=value``, or a name alone."""

    __slots__ = ()

    @property
    def value(self) -> bytes:
        """Its value, decoded; nothing where there is no ``=``."""
        return _decoded(self.text.partition(b"=")[2])


class Arguments(Fields):
    """The arguments of a query, without its ``?``, or of an urlencoded body. Names and values are bytes, decoded."""

    __slots__ = ()

    def __init__(self, text: bytes) -> None:
        parts = text.split(b"&") if text else ()
        super().__init__(fields=[Argument(_decoded(part.partition(b"=")[0]), part, b"&") for part in parts])

    def extend(self, other: Fields) -> None:
        """Put a form's arguments behind these, written so that they can stand in a query."""
        for one in other._fields:
            self._fields.append(self._renamed(one, one.name or b"", encode=True))
            self.changed = True

    def _renamed(self, one: Field, name: bytes, *, encode: bool = False) -> Field:
        mark, value = one.text.partition(b"=")[1:]
        return Argument(name, _encoded(name) + mark + (_encoded(_decoded(value)) if encode else value), b"&")

    def _valued(self, one: Field | None, name: bytes, value: bytes) -> Field:
        del one
        return Argument(name, b"%b=%b" % (_encoded(name), _encoded(value)), b"&")


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _encoded(text: bytes) -> bytes:
    return quote_from_bytes(text, safe="").encode()
