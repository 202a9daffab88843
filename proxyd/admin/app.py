"""The application of ``admin_listen``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from proxyd.admin.about import About
from proxyd.admin.answers import refusals
from proxyd.admin.audit.copying import copying
from proxyd.admin.audit.noting import AUDITOR
from proxyd.admin.audit.serving import Audit
from proxyd.admin.audit.undoing import Undoing
from proxyd.admin.callers.access import Access
from proxyd.admin.callers.browsers import add_headers, allow_origins
from proxyd.admin.callers.login import Login
from proxyd.admin.dashboard.data import Data
from proxyd.admin.dashboard.files import Files, front_page
from proxyd.admin.entities.reading import READERS, Reading
from proxyd.admin.entities.writing import Writing
from proxyd.admin.health import TargetHealth
from proxyd.admin.insight.serving import Insight
from proxyd.admin.insight.tailing import Tailing
from proxyd.admin.keys.serving import Keys
from proxyd.admin.loading import MAX_SIZE, Loading
from proxyd.admin.openapi.described import described, require_descriptions
from proxyd.admin.openapi.serving import OpenAPI
from proxyd.apps.roles import require_declarations, roles, roles_guard
from proxyd.clock import Clock

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from proxyd.admin.source import AdminSource

# What the status listener's own docstrings do not say: its package knows of no documents.
_SAYS: Final = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}
_HEALTH: Final = {
    "type": "object",
    "required": ["status", "info", "error", "details"],
    "properties": {
        "status": {"enum": ["ok", "error", "shutting_down"]},
        **{name: {"type": "object"} for name in ("info", "error", "details")},
    },
}
STATUS: Final = {
    "/metrics": described(
        "Return what Prometheus collects.", answers={200: {"type": "string"}}, media="text/plain"
    ),
    "/status/live": described("Tell that the process answers.", answers={200: _HEALTH}),
    "/status/health": described(
        "Tell how the gateway and its dependencies are.", answers={200: _HEALTH, 503: _HEALTH}
    ),
    "/status/ready": described("Tell whether traffic should come here.", answers={200: _SAYS, 503: _SAYS}),
}


def admin_app(source: AdminSource, status: web.Application, clock: Clock | None = None) -> web.Application:
    """Return the application; ``status`` is that of ``status_listen``, whose paths are here too.

    Raises ValueError where a route does not say who may use it, or what it is for.
    """
    clock = clock or Clock()
    access = Access(source.settings, source.admin_counts, source.auditor, clock)
    pages = Files()
    app = web.Application(
        middlewares=[
            refusals,
            front_page(pages),
            access.middleware(),
            roles_guard(realm="proxyd admin"),
            copying(source, clock.time),
        ],
        client_max_size=MAX_SIZE,
    )
    app[AUDITOR] = source.auditor
    app.on_response_prepare.append(add_headers)
    for part in (
        Login(access, source.admin_counts, source.auditor),
        About(source),
        Reading(source),
        Writing(source),
        Keys(source, clock),
        Loading(source),
        TargetHealth(source),
        Insight(source),
        Tailing(source),
        Data(source, clock),
        OpenAPI(app),
        Audit(source),
        Undoing(source),
        pages,
    ):
        part.add_to(app)
    for route in status.router.routes():
        if route.method == "GET" and route.resource is not None:
            path = route.resource.canonical
            app.router.add_get(path, STATUS.get(path, _as_it_says)(roles(*READERS)(route.handler)))
    allow_origins(app, source.settings.admin_gui_url)
    return require_descriptions(require_declarations(app))


def _as_it_says(handler: Handler) -> Handler:
    return handler
