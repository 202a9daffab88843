"""The application of ``admin_listen``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from proxyd.admin.about import About
from proxyd.admin.access import callers
from proxyd.admin.answers import refusals
from proxyd.admin.insight import Insight
from proxyd.admin.loading import MAX_SIZE, Loading
from proxyd.admin.reading import READERS, Reading
from proxyd.apps.roles import require_declarations, roles, roles_guard

if TYPE_CHECKING:
    from proxyd.admin.source import AdminSource


def admin_app(source: AdminSource, status: web.Application) -> web.Application:
    """Return the application; ``status`` is that of ``status_listen``, whose paths are here too.

    Raises ValueError where a route does not say who may use it.
    """
    app = web.Application(
        middlewares=[refusals, callers(source.settings.admin_tokens), roles_guard(realm="proxyd admin")],
        client_max_size=MAX_SIZE,
    )
    for part in (About(source), Reading(source), Loading(source), Insight(source)):
        part.add_to(app)
    for route in status.router.routes():
        if route.method == "GET" and route.resource is not None:
            app.router.add_get(route.resource.canonical, roles(*READERS)(route.handler))
    return require_declarations(app)
