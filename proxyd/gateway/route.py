"""A route and its service as requests meet them: what every request looks at, and nothing that has to be looked up.

Plain classes in a module of their own, because a compiled build reads their attributes without asking the interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.gateway.pipeline import Pipeline
from proxyd.overload.ranks import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model import entities
    from proxyd.overload.limit import ConcurrencyLimit
    from proxyd.telemetry.record import RouteMeter
    from proxyd.upstream.balancer import Balancer


class CompiledService:
    """A service, ready to be called; times in seconds."""

    __slots__ = ("balancer", "connect_timeout", "limit", "read_timeout", "retries", "write_timeout")

    def __init__(
        self, service: entities.Service, balancer: Balancer, limit: ConcurrencyLimit | None = None
    ) -> None:
        self.balancer = balancer
        self.limit = limit  # where there is overload control
        self.connect_timeout = service.connect_timeout / 1000
        self.read_timeout = service.read_timeout / 1000
        self.write_timeout = service.write_timeout / 1000
        self.retries = service.retries


class CompiledRoute:
    """A route, ready to be run. ``join(prefix, path)`` gives the upstream's path.

    Of a route without a service, the last request phase answers, and ``service`` is never looked at.
    """

    __slots__ = (
        "entity",
        "https_only",
        "join",
        "meter",
        "pipeline",
        "preserve_host",
        "rank",
        "route",
        "service",
        "strips",
    )

    def __init__(
        self,
        route: entities.Route,
        entity: entities.Service | None,
        service: CompiledService | None,
        pipeline: Pipeline,
        join: Callable[[str, str], str],
        meter: RouteMeter,
        rank: int = ANONYMOUS,
    ) -> None:
        self.route = route
        self.entity = entity
        self.service: CompiledService
        if service is not None:  # without one, a plugin answers, and nobody asks for it
            self.service = service
        self.pipeline = pipeline
        self.join = join
        self.meter = meter
        self.rank = rank
        self.strips = route.strip_path
        self.preserve_host = route.preserve_host
        self.https_only = is_https_only(route)

    def bare(self) -> CompiledRoute:
        """Return the same without plugins, for requests that one of them makes."""
        return CompiledRoute(
            self.route,
            self.entity,
            self.service if self.entity is not None else None,
            Pipeline(),
            self.join,
            self.meter,
            self.rank,
        )

    def __repr__(self) -> str:
        return f"<CompiledRoute {self.route.name or self.route.id}>"


def is_https_only(route: entities.Route) -> bool:
    """Whether plain requests are told to come back over TLS."""
    return not {"http", "ws", "grpc"} & set(route.protocols)
