"""The named fields of a form or a JSON object: found, cut out, and changed one by one.

For plugins that look for something in a request's body or change a message's. What is not touched stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.bodies.fields import Fields, check_count
from proxyd.bodies.form import Arguments
from proxyd.bodies.members import Members
from proxyd.bodies.multipart import Form

if TYPE_CHECKING:
    from collections.abc import Callable

FORM, JSON, MULTIPART = b"application/x-www-form-urlencoded", b"application/json", b"multipart/form-data"


def media_type(content_type: bytes) -> bytes:
    """Return the type that a Content-Type names, in lower case and without its parameters."""
    return content_type.partition(b";")[0].strip().lower()


def read(content_type: bytes, body: bytes) -> Fields:
    """Take a body apart, to be changed.

    Raises:
        ValueError: it is of none of the three types, or not what its type says.
        TypeError: it is JSON, and no object.
        ProtocolError: 413, for a body with more than ``MAX_FIELDS``.
    """
    reader = READERS.get(media_type(content_type))
    if reader is None:
        raise ValueError("there are no fields in this type")
    return reader(content_type, body)


def find(content_type: bytes, body: bytes) -> Fields:
    """Take a body apart, to be looked through; what cannot be read to its last field has none.

    Raises ProtocolError as ``read`` does.
    """
    try:
        fields = read(content_type, body)
    except (ValueError, TypeError):
        return Fields()
    return Fields() if None in fields else fields


def _form(_: bytes, body: bytes) -> Fields:
    check_count(body.count(b"&"))
    return Arguments(body)


READERS: Final[dict[bytes, Callable[[bytes, bytes], Fields]]] = {
    FORM: _form,
    JSON: lambda _, body: Members(body),
    MULTIPART: Form,
}
