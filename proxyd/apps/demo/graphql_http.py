"""The demo backend's GraphQL endpoint: POST for queries and mutations, a WebSocket for everything."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web
from graphql import ExecutionResult

from proxyd.apps.demo import graphql_ws, schema
from proxyd.apps.demo.orders import ORDERS

RESPONSE_TYPE = "application/graphql-response+json"


async def post(request: web.Request) -> web.Response:
    """Execute a query or a mutation.

    The status follows GraphQL over HTTP: a request that cannot be executed is a 400 for clients that accept
    ``application/graphql-response+json``, and a 200 with errors for older ones.
    """
    modern = RESPONSE_TYPE in request.headers.get("Accept", "")
    content_type = RESPONSE_TYPE if modern else "application/json"
    try:
        payload = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise web.HTTPBadRequest(text="the body must be a JSON object") from None
    try:
        result = await schema.run(schema.Operation.of(payload), request.app[ORDERS])
    except schema.InvalidOperation as invalid:
        errors = [error.formatted for error in invalid.errors]
        status = HTTPStatus.BAD_REQUEST if modern else HTTPStatus.OK
        return web.json_response({"errors": errors}, status=status, content_type=content_type)
    if not isinstance(result, ExecutionResult):
        raise web.HTTPBadRequest(text="a subscription needs a WebSocket")
    return web.json_response(result.formatted, content_type=content_type)


async def get(request: web.Request) -> web.WebSocketResponse:
    """Open a WebSocket for subscriptions."""
    if not graphql_ws.new_socket().can_prepare(request).ok:
        raise web.HTTPMethodNotAllowed("GET", ["POST"])
    return await graphql_ws.serve(request)


def add_to(app: web.Application) -> None:
    """Add the endpoint to an application."""
    app.router.add_post("/graphql", post)
    app.router.add_get("/graphql", get, allow_head=False)
