"""The names by which clients ask for documents instead of sending them, and requests with the document in the name's place.

Apollo's protocol has a hash in ``extensions.persistedQuery``; GraphQL over HTTP's appendix on persisted documents has
``documentId``, where ``sha256:`` says how the rest was made; Relay's and other clients send ``doc_id`` or ``id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.graphql.refusal import Refused
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.graphql.request import Asked

MEMBERS: Final = ("documentId", "doc_id", "id")
SHA256: Final = "sha256:"
EXTENSION: Final = "persistedQuery"
VERSION: Final = 1
LONGEST: Final = 1024  # characters of a name

# Answers that depend on what was asked before: no cache may keep them.
_PRIVATE: Final = Headers.of([(b"Cache-Control", b"private, no-cache, must-revalidate")])


def hash_of(asked: Asked) -> str:
    """Return the hash of Apollo's protocol, empty where there is none; raises Refused."""
    given = asked.extensions.get(EXTENSION)
    if given is None:
        return ""
    value = given.get("sha256Hash") if isinstance(given, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        raise _bad(f"extensions.{EXTENSION} must be an object with version and sha256Hash")
    if len({key.upper().casefold() for key in given}) != len(given):
        raise _bad(f"extensions.{EXTENSION} has a name more than once, in other capitals")
    if given.get("version") != VERSION:
        raise _bad(f"extensions.{EXTENSION}.version must be {VERSION}")
    return value


def id_of(asked: Asked) -> str:
    """Return the document's name otherwise, empty where there is none; raises Refused."""
    found = ""
    for member in MEMBERS:
        value = asked.members.get(member)
        if value is not None:
            if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
                raise _bad(f"{member} must be a string of 1 to {LONGEST} characters")
            found = _either(found, value)
    return found


def name_of(asked: Asked) -> str:
    """Return the one document's name, empty where there is none; raises Refused, for two names too."""
    return _either(hash_of(asked), id_of(asked))


def _either(one: str, other: str) -> str:
    """Return the name that there is. Which of two a backend would take, nobody can tell."""
    if one and other and one.removeprefix(SHA256) != other.removeprefix(SHA256):
        raise _bad("The request names more than one document")
    return one or other


def is_named(asked: Asked) -> bool:
    """Tell whether a request means to name a document, beside the one that it sends or without one."""
    members = asked.members
    return "id" in members or "documentId" in members or "doc_id" in members or EXTENSION in asked.extensions


def _bad(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message, well_formed=False)


# In the words that clients of Apollo's protocol know, and with the status that they expect.


def not_supported() -> Refused:
    """Return the refusal of a name where none are known: clients then send no hashes any more."""
    return Refused(
        200, "PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported", headers=_PRIVATE.copy()
    )


def not_found() -> Refused:
    """Return the refusal of a hash that is not known: clients then send the document as well."""
    return Refused(200, "PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound", headers=_PRIVATE.copy())


def have_text_alone(asked: Asked) -> None:
    """Take the names out of a request that sends its document: a backend might look for another document by them."""
    if is_named(asked):
        spell_out(asked, asked.query)


def spell_out(asked: Asked, text: str) -> None:
    """Have the backend asked for a document by its text alone, so that it need not know of names."""
    members: dict[str, Any] = {"query": text}
    for name, value in asked.members.items():
        if name == "extensions" and isinstance(value, dict) and EXTENSION in value:
            rest = {key: one for key, one in value.items() if key != EXTENSION}
            if rest:
                members[name] = rest
        elif name != "query" and name not in MEMBERS:
            members[name] = value
    asked.members = members
    asked.rewritten = True
