"""GraphQL requests as they come over HTTP: what is asked, with which variables (GraphQL over HTTP, sections 4 and 5).

What is examined must be what the backend will execute. So whatever two readers could read in two ways is refused: a name that is
there twice, or once more with other capitals, which some frameworks take for the same.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote_plus, urlencode

import orjson

from proxyd.graphql.naming import MEMBERS
from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ARGUMENTS: Final = 100  # of a query string

_KINDS: Final[dict[str, type]] = {"query": str, "operationName": str, "variables": dict, "extensions": dict}
_EXACT: Final = frozenset((*_KINDS, *MEMBERS))
_FOLDED: Final = frozenset(name.lower() for name in _EXACT)

# What some readers of query strings see before, within or behind a name: spaces and dots, brackets for members, a NUL as its end.
_NAME: Final = re.compile(r"[^A-Za-z]*([^\[\].:\s\0]*)")


class Asked:
    """One operation that a client asks for; ``members`` are the request's, as they came.

    ``query`` is empty where the client names a document instead (persisted queries), until that has been found.
    ``offered`` is what the client wants to have kept, a document with its hash before it. Once ``rewritten``, the members are what the
    backend is to be asked, and no longer what came. ``refused`` is why there is nothing to be examined. ``size`` is that of the
    whole body or query that it came in: no part of it is larger.
    """

    __slots__ = (
        "extensions",
        "listed",
        "members",
        "name",
        "offered",
        "query",
        "refused",
        "rewritten",
        "size",
        "variables",
    )

    def __init__(self, members: dict[str, Any], size: int = 0) -> None:
        self.members = members
        self.size = size
        self.offered: tuple[str, str] | None = None
        self.rewritten = False
        self.listed = False
        self.refused: Refused | None = None
        self.query: str = members.get("query") or ""
        self.name: str | None = members.get("operationName")
        self.variables: dict[str, Any] = members.get("variables") or {}
        self.extensions: dict[str, Any] = members.get("extensions") or {}

    def __repr__(self) -> str:
        return f"<Asked {self.name or 'anonymous'} {len(self.query)} characters>"


NOTHING: Final = Asked({})
"""Stands for what was asked once it has been passed on, so that no operation keeps its request for as long as it lasts."""


def read_members(members: Any, size: int) -> Asked:
    """Read one request that is decoded already, as a ``subscribe`` message holds one. Raises Refused."""
    if not isinstance(members, dict):
        raise _bad("A GraphQL request is a JSON object")
    for name, value in members.items():
        kind = _KINDS.get(name)
        if kind is None:
            if _fold(name) in _FOLDED and name not in _EXACT:
                raise _bad("The names of parameters are written as the specification has them")
        elif value is not None and type(value) is not kind:
            raise _bad(f"{name} must be {'a string' if kind is str else 'an object'}")
    return Asked(members, size)


def read_body(body: bytes) -> Asked | list[Asked]:
    """Read the body of a POST; a list is a batch. Raises Refused."""
    decoded = decode(body, "The body")
    size = len(body)
    if isinstance(decoded, list):
        return [read_members(one, size) for one in decoded]
    return read_members(decoded, size)


def decode(text: bytes, what: str) -> Any:
    """Return what a JSON text says, if it says that to every reader; raises Refused."""
    try:
        decoded = orjson.loads(text)
        if orjson.dumps(decoded) != text:  # most clients write it like that, and then no name is there twice
            json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError, TypeError):
        raise _bad(f"{what} is not JSON, or ambiguous, or nested too deeply") from None
    return decoded


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name that is there twice")
    return members


def _fold(name: str) -> str:
    """Return what is the same for names that some reader takes for one: Go's also lets a long s stand for an s."""
    return name.upper().casefold()


def parameters_in(text: str) -> list[str]:
    """Return the names in a query string that any reader takes for a parameter of GraphQL, as they are written.

    Some end a parameter at a semicolon too, and take ``query[]`` for ``query``.
    """
    found = []
    for pair in text.replace(";", "&").split("&"):
        name = unquote_plus(pair.partition("=")[0])
        match = _NAME.match(name)
        if match is not None and _fold(match[1]) in _FOLDED:
            found.append(name)
    return found


def read_query(query: str) -> Asked:
    """Read the parameters of a GET, without the ``?``. Raises Refused."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_ARGUMENTS)
    except ValueError:
        raise _bad("The query string has too many arguments, or is not UTF-8") from None
    members: dict[str, Any] = dict(pairs)
    if len(members) != len(pairs):
        raise _bad("The query string has an argument more than once")
    if ";" in query:
        raise _bad("A semicolon is written as %3B, since it ends an argument for some servers")
    if not _EXACT.issuperset(parameters_in(query)):
        raise _bad("The names of parameters are written as the specification has them")
    for name in ("variables", "extensions"):
        if members.get(name):
            members[name] = decode(members[name].encode(), name)
        else:
            members.pop(name, None)
    return read_members(members, len(query))


def write_body(asked: Asked | Sequence[Asked]) -> bytes:
    """Return the body of a POST that asks for the same."""
    return orjson.dumps(asked.members if isinstance(asked, Asked) else [one.members for one in asked])


def write_query(asked: Asked) -> str:
    """Return the parameters of a GET that asks for the same, without the ``?``."""
    return urlencode(
        [
            (name, value if isinstance(value, str) else orjson.dumps(value).decode())
            for name, value in asked.members.items()
        ],
        quote_via=quote,
    )


def _bad(message: str) -> Refused:
    return Refused(400, "BAD_REQUEST", message, well_formed=False)
