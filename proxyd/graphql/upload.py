"""Operations that come with files: the field ``operations`` of a form (the GraphQL multipart request specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.bodies.multipart import Form
from proxyd.errors import ProtocolError
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import read_body, write_body

if TYPE_CHECKING:
    from proxyd.graphql.request import Asked

OPERATIONS: Final = b"operations"


def read_upload(content_type: bytes, body: bytes) -> Asked | list[Asked]:
    """Read what a form asks for. Raises Refused, also for a form that another reader may understand otherwise."""
    form = _form(content_type, body)
    operations = form.named(OPERATIONS)
    if len(operations) != 1 or None in form:
        raise _bad("The form needs one field operations, and a name for each field")
    return read_body(operations[0].value or b"")


def write_upload(content_type: bytes, body: bytes, asked: Asked | list[Asked]) -> bytes:
    """Return a form with other operations, and the same files."""
    form = _form(content_type, body)
    form.replace(OPERATIONS, write_body(asked))
    return form.encode()


def _form(content_type: bytes, body: bytes) -> Form:
    try:
        return Form(content_type, body)
    except ValueError:
        raise _bad("The body is no form as its Content-Type says") from None
    except ProtocolError:
        raise Refused(413, "BAD_REQUEST", "The form has too many fields", well_formed=False) from None


def _bad(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message, well_formed=False)
