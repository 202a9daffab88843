"""One compiled generation of the configuration: everything that can be decided before a request comes.

A snapshot is made aside and swapped in by one assignment; exchanges keep the one that they began with.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from proxyd.exchange import Reply
from proxyd.gateway import pipeline
from proxyd.gateway.paths import compile_joiner
from proxyd.gateway.route import CompiledRoute, CompiledService
from proxyd.gateway.router import Router
from proxyd.overload.ranks import ANONYMOUS, rank_of
from proxyd.plugin import Scope
from proxyd.store.consumers import Consumers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel

    from proxyd.exchange import Exchange
    from proxyd.gateway.asking import Services
    from proxyd.gateway.pipeline import Pipeline
    from proxyd.model import entities
    from proxyd.model.entities import Configuration
    from proxyd.overload.control import Overload
    from proxyd.overload.limit import ConcurrencyLimit
    from proxyd.plugin import Kit, Plugin
    from proxyd.telemetry.record import Telemetry
    from proxyd.upstream.factory import Balancers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A generation. ``plugins`` are the instances that it started and will stop.

    ``ranked`` tells whether some of its routes are refused earlier or later than others in an overload.
    """

    generation: int
    digest: str
    router: Router[CompiledRoute]
    routes: tuple[CompiledRoute, ...]
    plugins: tuple[Plugin[Any], ...]
    balancers: Balancers
    consumers: Consumers = field(default_factory=Consumers)
    ranked: bool = False

    def __repr__(self) -> str:
        return f"<Snapshot {self.generation} routes={len(self.routes)} plugins={len(self.plugins)}>"

    def limits(self) -> Iterator[ConcurrencyLimit]:
        """Iterate over the limits of services that routes lead to; some come more than once."""
        for route in self.routes:
            if route.entity is not None and (limit := route.service.limit) is not None:
                yield limit

    async def start(self) -> None:
        """Begin what runs beside requests: names, probes, plugins."""
        await self.balancers.start()
        for plugin in self.plugins:
            await plugin.start()

    async def stop(self) -> None:
        """End it, all of it even if a plugin fails; works after a half start."""
        async with contextlib.AsyncExitStack() as ending:
            ending.push_async_callback(self.balancers.stop)
            for plugin in self.plugins:
                ending.push_async_callback(plugin.stop)


def instantiate(
    configuration: Configuration,
    configs: Mapping[str, BaseModel],
    classes: Mapping[str, type[Plugin[Any]]],
    kit: Kit | None = None,
) -> list[Plugin[Any]]:
    """Make an instance of every enabled plugin entity; ``configs`` are their parsed settings, by id.

    As in Kong, ``protocols`` chooses between HTTP and streams, and not between http and https: a lock that
    names https alone keeps plain requests out too (``kong/runloop/plugins_iterator.lua``).
    """
    return [
        classes[entity.name](
            configs[entity.id], entity.id, Scope(entity.route, entity.service, entity.consumer), kit
        )
        for entity in configuration.plugins.values()
        if entity.enabled and entity.for_requests and entity.name in classes
    ]


def compile_snapshot(
    configuration: Configuration,
    plugins: list[Plugin[Any]],
    balancers: Balancers,
    telemetry: Telemetry,
    consumers: Consumers | None = None,
    *,
    generation: int,
    digest: str,
    now: Callable[[], float] | None = None,
    overload: Overload | None = None,
    asked: Services | None = None,
) -> Snapshot:
    """Compile a configuration that has been checked; nothing runs yet.

    With ``now``, plugins are timed; ``asked`` is told of every service that plugins may ask.
    """
    services = {
        identity: CompiledService(
            service,
            balancers.for_service(service),
            _limit(service, overload),
        )
        for identity, service in configuration.services.items()
        if service.enabled
    }
    shared = _PluginsByScope(plugins, now)
    compiled: list[CompiledRoute] = []
    for route in configuration.routes.values():
        entity = configuration.services.get(route.service or "")
        if entity is not None and not entity.enabled:
            continue
        compiled.append(
            CompiledRoute(
                route=route,
                entity=entity,
                service=services.get(route.service or ""),
                pipeline=shared.pipeline(route.id, route.service),
                join=compile_joiner(route, entity),
                meter=telemetry.meter(route, entity),
                rank=rank_of(route.tags, entity.tags if entity is not None else None),
            )
        )
    if asked is not None:
        asked.know(compiled)
    router = Router((route.route, route) for route in compiled)
    return Snapshot(
        generation,
        digest,
        router,
        tuple(compiled),
        tuple(plugins),
        balancers,
        consumers or Consumers(),
        ranked=any(route.rank != ANONYMOUS for route in compiled),
    )


def _no_service(_exchange: Exchange) -> Reply:
    return Reply(503, "no Service found with those values")


def _limit(service: entities.Service, overload: Overload | None) -> ConcurrencyLimit | None:
    """Return how many requests may wait for a service; a mounted application is as quick as the gateway's own loop."""
    if overload is None or service.protocol == "memory":
        return None
    return overload.limit(service.name or service.id)


class _PluginsByScope:
    """Builds pipelines; routes without plugins of their own share their service's."""

    def __init__(self, plugins: list[Plugin[Any]], now: Callable[[], float] | None) -> None:
        self._now = now
        self._global = [one for one in plugins if one.scope.route is None and one.scope.service is None]
        self._by_route: dict[str, list[Plugin[Any]]] = {}
        self._by_service: dict[str, list[Plugin[Any]]] = {}
        for plugin in plugins:
            if plugin.scope.route is not None:
                self._by_route.setdefault(plugin.scope.route, []).append(plugin)
            elif plugin.scope.service is not None:
                self._by_service.setdefault(plugin.scope.service, []).append(plugin)
        self._shared: dict[str | None, Pipeline] = {}

    def pipeline(self, route: str, service: str | None) -> Pipeline:
        own = self._by_route.get(route, [])
        if not own and service in self._shared:
            return self._shared[service]
        built = pipeline.build(
            [*self._global, *self._by_service.get(service or "", []), *own], route, service, self._now
        )
        if service is None:
            built = dataclasses.replace(built, request=(*built.request, _no_service))
        if not own:
            self._shared[service] = built
        return built
