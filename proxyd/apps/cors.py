"""Which pages of other origins may read the answers of an application that the gateway itself serves.

The settings are those of the plugin ``cors``, and so is the verdict on an origin; aiohttp-cors applies them to the
application's resources. Of the fields, private_network, preflight_continue and allow_origin_absent have no meaning here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import aiohttp_cors
from aiohttp import hdrs
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter

from proxyd.apps.roles import public
from proxyd.plugin import Scope
from proxyd.plugins.cors import Config, Cors

if TYPE_CHECKING:
    from aiohttp import web


class _Origins(Mapping[str, aiohttp_cors.ResourceOptions]):
    """The same options for every origin that the policy lets in, where aiohttp-cors expects a table of origins."""

    def __init__(self, config: Config) -> None:
        self._admits = Cors(config, "cors", Scope()).admits
        self._options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
            allow_credentials=config.credentials,
            expose_headers=config.exposed_headers or (),
            allow_headers="*" if config.headers is None or "*" in config.headers else config.headers,
            max_age=config.max_age,
            allow_methods=config.methods,
        )

    def __getitem__(self, origin: str) -> aiohttp_cors.ResourceOptions:
        if not self._admits(origin):
            raise KeyError(origin)
        return self._options

    def __iter__(self) -> Iterator[str]:
        return iter(())  # nobody could list them

    def __len__(self) -> int:
        return 1  # which is to say: there are some


def apply_cors(app: web.Application, config: Config) -> None:
    """Let pages of other origins read what an application answers; call it when all of its routes are there.

    Views must derive from ``aiohttp_cors.CorsViewMixin``, and an application within gets a call of its own. Preflights
    need no role. Raises ValueError for a resource that answers OPTIONS itself.
    """
    origins = _Origins(config)
    adapter = ResourcesUrlDispatcherRouterAdapter(app.router, origins)
    cors = aiohttp_cors.CorsConfig(app, router_adapter=adapter)
    cors.defaults = origins  # which views ask
    app[aiohttp_cors.APP_CONFIG_KEY] = cors
    routes = set(app.router.routes())
    for resource in app.router.resources():
        cors.add(resource)
    for route in app.router.routes():
        if route not in routes:  # made by aiohttp-cors
            public(route)
    app.on_response_prepare.append(_vary)


async def _vary(_request: web.Request, response: web.StreamResponse) -> None:
    """Tell caches that answers differ by origin, which aiohttp-cors leaves out."""
    told = {name.strip().lower() for name in response.headers.get(hdrs.VARY, "").split(",")}
    if not told & {"origin", "*"}:
        response.headers.add(hdrs.VARY, "Origin")
