"""What the Admin API answers: documents, and Kong's errors with their names, codes and fields.

Kong's ``kong/db/errors.lua``: the codes are part of what its clients know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from aiohttp import web

from proxyd.database.entries import DatabaseError
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

log = get_logger("admin")

_SAID: Final = {404: "Not found", 413: "Payload too large"}


class Refusal(Exception):  # noqa: N818  # what is asked for is at fault
    """A request that is not done, with the document that says why."""

    def __init__(
        self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(document.get("message", ""))
        self.status = status
        self.document = document
        self.headers = headers or {}

    @classmethod
    def schema(cls, field: str, message: str) -> Self:
        """Refuse for one field that is wrong."""
        return cls.fields({field: message})

    @classmethod
    def fields(cls, fields: Mapping[str, Any]) -> Self:
        """Refuse for fields that are wrong, as a tree of messages."""
        count = "" if len(fields) == 1 else f"{len(fields)} "
        said = "; ".join(f"{name}: {told}" for name, told in fields.items())
        message = f"{count}schema violation{'s' if count else ''} ({said})"
        return cls(400, {"name": "schema violation", "code": 2, "message": message, "fields": dict(fields)})

    @classmethod
    def primary_key(cls, identity: str) -> Self:
        """Refuse a new entity whose id there is already."""
        message = f"primary key violation on key '{{id=\"{identity}\"}}'"
        return cls(
            400, {"name": "primary key violation", "code": 3, "message": message, "fields": {"id": identity}}
        )

    @classmethod
    def foreign(cls, field: str, given: Mapping[str, Any], collection: str) -> Self:
        """Refuse a reference that leads nowhere."""
        message = f"the foreign key '{_lua(given)}' does not reference an existing '{collection}' entity."
        document = {"name": "foreign key violation", "code": 4, "message": message}
        return cls(400, {**document, "fields": {field: dict(given)}})

    @classmethod
    def referenced(cls, by: str, collection: str) -> Self:
        """Refuse to delete what others refer to."""
        message = f"an existing '{by}' entity references this '{collection}' entity"
        document = {"name": "foreign key violation", "code": 4, "message": message}
        return cls(400, {**document, "fields": {"@referenced_by": by}})

    @classmethod
    def used_by(cls, certificate: str, collection: str, identity: str) -> Self:
        """Refuse to delete a CA certificate that an entity lists."""
        message = f"ca certificate {certificate} is still referenced by {collection} (id = {identity})"
        return cls(400, {"name": "referenced by others", "code": 19, "message": message})

    @classmethod
    def unique(cls, fields: Mapping[str, Any]) -> Self:
        """Refuse what another entity has already."""
        message = f"UNIQUE violation detected on '{_lua(fields)}'"
        document = {"name": "unique constraint violation", "code": 5, "message": message}
        return cls(409, {**document, "fields": dict(fields)})

    @classmethod
    def unreachable(cls, reason: str) -> Self:
        """Refuse for want of the database."""
        document = {"name": "database error", "code": 8, "message": reason}
        return cls(503, document, {"Retry-After": "5"})

    @classmethod
    def not_found(cls) -> Self:
        """Refuse for want of an entity."""
        return cls(404, {"message": "Not found"})

    @classmethod
    def read_only(cls, noun: str) -> Self:
        """Refuse a change of an entity where the file is the truth."""
        message = f"cannot create, update or delete '{noun}' entities when not using a database"
        return cls(405, {"name": "operation unsupported", "code": 12, "message": message})


def _lua(value: Any) -> str:
    """Write fields as Kong's messages have them: ``{name="shop"}``."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}={_lua(value[name])}" for name in sorted(value)) + "}"
    return orjson.dumps(value).decode()


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a document that nobody keeps."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals, ours and the router's, in Kong's form."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer(refusal.document, refusal.status, refusal.headers)
    except DatabaseError as error:
        away = Refusal.unreachable(str(error))
        return answer(away.document, away.status, away.headers)
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted(error.allowed_methods))
        return answer({"message": "Method not allowed"}, error.status, {"Allow": allow})
    except web.HTTPError as error:
        return answer({"message": _SAID.get(error.status, error.reason)}, error.status)
    except Exception as error:  # whatever it is, the client is told no more
        if request.writer.output_size > 0:  # the answer has begun: it is cut
            raise
        log.crit("admin request failed", path=request.path, exc_info=error)
        return answer({"message": "An unexpected error occurred"}, 500)
