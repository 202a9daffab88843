"""GraphQL requests as they come over HTTP: what is asked, with which variables (GraphQL over HTTP, sections 4 and 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Asked:
    """One operation that a client asks for; ``members`` are the request's, as they came.

    ``query`` is empty where the client names a document instead (persisted queries), until that has been found.
    ``offered`` is what the client wants to have kept, a document with its hash before it. Once ``rewritten``, the members are what the
    backend is to be asked, and no longer what came. ``refused`` is why there is nothing to be examined.
    """

    __slots__ = (
        "extensions",
        "members",
        "name",
        "offered",
        "query",
        "refused",
        "rewritten",
        "variables",
    )

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members
        self.offered: tuple[str, str] | None = None
        self.rewritten = False
        self.refused: Refused | None = None
        self.query: str = members.get("query") or ""
        self.name: str | None = members.get("operationName")
        self.variables: Mapping[str, Any] = members.get("variables") or {}
        self.extensions: Mapping[str, Any] = members.get("extensions") or {}

    def __repr__(self) -> str:
        return f"<Asked {self.name or 'anonymous'} {len(self.query)} characters>"


def write_body(asked: Sequence[Asked], *, batch: bool) -> bytes:
    """Return the body of a POST that asks for the same."""
    return orjson.dumps([one.members for one in asked] if batch else asked[0].members)


def write_query(asked: Asked) -> str:
    """Return the parameters of a GET that asks for the same, without the ``?``."""
    return urlencode(
        [
            (name, value if isinstance(value, str) else orjson.dumps(value).decode())
            for name, value in asked.members.items()
        ],
        quote_via=quote,
    )


def read_body(body: bytes) -> list[Asked]:
    """Read the body of a POST; more than one operation is a batch. Raises Refused."""
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "BAD_REQUEST", "The body is not JSON", well_formed=False) from None
    return [Asked(_checked(one)) for one in (members if isinstance(members, list) else [members])]


def read_query(query: str) -> Asked:
    """Read the parameters of a GET, without the ``?``. Raises Refused."""
    members: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for name in ("variables", "extensions"):
        if members.get(name):
            try:
                members[name] = orjson.loads(members[name])
            except orjson.JSONDecodeError:
                raise Refused(400, "BAD_REQUEST", f"{name} is not JSON", well_formed=False) from None
    return Asked(_checked(members))


_KINDS: dict[str, type] = {"query": str, "operationName": str, "variables": dict, "extensions": dict}


def _checked(members: Any) -> Mapping[str, Any]:
    if not isinstance(members, dict):
        raise Refused(400, "BAD_REQUEST", "A GraphQL request is a JSON object", well_formed=False)
    for name, kind in _KINDS.items():
        value = members.get(name)
        if value is not None and not isinstance(value, kind):
            what = "a string" if kind is str else "an object"
            raise Refused(400, "BAD_REQUEST", f"{name} must be {what}", well_formed=False)
    return members
