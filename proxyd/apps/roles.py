"""Who may call which handler of a mounted application: declared at the handler, held by one middleware.

    @roles("admin", "auditor")
    async def report(request): ...

    app = web.Application(middlewares=[roles_guard(claim="realm_access.roles")])

The identity is that of the plugin ``acl``: a consumer's groups, or what a verified token says. Nobody authenticated is
401, somebody without the role is 403, and so is every handler of which nothing has been declared;
``require_declarations`` finds those when the application starts.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import hdrs, web

from proxyd.apps.caller import CALLER, NOBODY
from proxyd.identity import challenge

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

T = TypeVar("T")

_ATTRIBUTE: Final = "__proxyd_access__"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call: everybody, or who has one of the roles; without any, who is authenticated."""

    roles: frozenset[str] = frozenset()
    public: bool = False


def roles(*names: str) -> Callable[[T], T]:
    """Let only callers with one of these roles in: to a handler, a method of a view, or all of a view."""
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("roles() needs the names of roles; authenticated asks for none")
    return functools.partial(_declare, Access(frozenset(names)))


def authenticated(handler: T) -> T:
    """Let every caller in who has proved who it is."""
    return _declare(Access(), handler)


def public(handler: T) -> T:
    """Let everybody in, and say so; takes routes and resources too, such as what ``add_static`` returns."""
    return _declare(Access(public=True), handler)


def _declare(access: Access, what: T) -> T:
    setattr(what, _ATTRIBUTE, access)
    return what


def declared(route: web.AbstractRoute, method: str) -> Access | None:
    """Return what has been declared of a route: of itself, its handler, its view's method or view, its resource."""
    handler: Any = route.handler
    while isinstance(handler, functools.partial):
        handler = handler.func
    places = [route, handler, route.resource]
    if inspect.isclass(handler):
        places.insert(1, getattr(handler, method.lower(), None))
    return next((found for place in places if (found := getattr(place, _ATTRIBUTE, None))), None)


def roles_guard(*, claim: str | None = None, realm: str | None = None) -> Middleware:
    """Return the middleware that holds callers to what is declared.

    ``claim`` is the path into a token's claims whose values count as roles too, as ``roles_claim`` of acl;
    ``realm`` is that of the challenge.
    """
    asked = challenge("Bearer", realm).decode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        match = request.match_info
        if match.http_exception is not None:  # no such path, or not by this method
            return await handler(request)
        access = declared(match.route, request.method)
        caller = request.get(CALLER, NOBODY)
        if access is not None:
            if access.public or (not access.roles and caller.known):
                return await handler(request)
            if access.roles and not access.roles.isdisjoint(caller.roles(claim)):
                return await handler(request)
        if not caller.known:
            headers = {hdrs.WWW_AUTHENTICATE: asked}
            return web.json_response({"message": "Unauthorized"}, status=401, headers=headers)
        return web.json_response({"message": "You cannot consume this service"}, status=403)

    return guard


def undeclared(app: web.Application) -> list[str]:
    """List the routes of which nothing has been declared, as ``GET /path``."""
    missing: dict[str, None] = {}
    for route in app.router.routes():
        where = route.resource.canonical if route.resource is not None else "?"
        for method in _methods(route):
            if declared(route, method) is None:
                missing[f"{method} {where}"] = None
    return list(missing)


def require_declarations(app: web.Application) -> web.Application:
    """Return the application; raises ValueError where something has been declared of not every route."""
    missing = undeclared(app)
    if missing:
        raise ValueError(f"neither roles nor public is declared for {', '.join(missing)}")
    return app


def _methods(route: web.AbstractRoute) -> list[str]:
    """Return the methods that a route answers: of a view, those that it defines."""
    if inspect.isclass(route.handler):
        return sorted(method for method in hdrs.METH_ALL if hasattr(route.handler, method.lower()))
    return [route.method]
