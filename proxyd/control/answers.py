"""Documents that the status listener answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler


def json_answer(document: dict[str, Any], status: int = 200) -> web.Response:
    """Return a document that nobody keeps."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-store"},
    )


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what the router refuses in the form of everything else."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        answer = json_answer({"message": "Method not allowed"}, error.status)
        answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return answer
    except web.HTTPNotFound as error:
        return json_answer({"message": "Not found"}, error.status)
