"""A backend for a frontend, mounted in the gateway: PYTHONPATH=docs/examples/applications proxyd run -c ..."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from proxyd.apps.caller import CALLER
from proxyd.apps.cors import apply_cors
from proxyd.apps.roles import authenticated, public, require_declarations, roles, roles_guard
from proxyd.plugins.cors import Config as Cors

routes = web.RouteTableDef()


@routes.get("/")
@public
async def index(_request: web.Request) -> web.Response:
    """Anybody may look."""
    return web.json_response({"name": "storefront"})


@routes.get("/me")
@authenticated
async def me(request: web.Request) -> web.Response:
    """Tell the caller who it is: a consumer of the gateway, or the subject of a token."""
    caller = request[CALLER]
    return web.json_response({"name": caller.username or caller.credential, "groups": sorted(caller.groups)})


@routes.view("/orders/{id}")
@roles("clerk", "manager")
class Order(web.View):
    """An order; only a manager may delete it."""

    async def get(self) -> web.Response:
        """Show it."""
        return web.json_response({"id": self.request.match_info["id"]})

    @roles("manager")
    async def delete(self) -> web.Response:
        """Delete it."""
        return web.Response(status=204)


@routes.get("/events")
@authenticated
async def events(request: web.Request) -> web.StreamResponse:
    """Stream Server-Sent Events."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(3):
        await response.write(f"data: {number}\n\n".encode())
        await asyncio.sleep(0)
    return response


@routes.get("/chat")
@authenticated
async def chat(request: web.Request) -> web.WebSocketResponse:
    """Answer each message with the caller's name before it."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"{request[CALLER].username}: {message.data}")
    return socket


def make_app() -> web.Application:
    """Make the application; the gateway calls this once, as it starts."""
    app = web.Application(middlewares=[roles_guard(claim="realm_access.roles")])
    app.router.add_routes(routes)
    return require_declarations(app)


def make_shared_app() -> web.Application:
    """Make one that pages of another origin may read too."""
    app = web.Application(middlewares=[roles_guard()])
    app.router.add_get("/catalogue", index)
    apply_cors(app, Cors(origins=("https://shop.example.com",)))
    return require_declarations(app)
