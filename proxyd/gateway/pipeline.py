"""Which plugins run on a route, and in what order: the phases of a route as tuples of bound methods.

Kong's rule (``kong/runloop/plugins_iterator.lua``): of each plugin, one instance runs, the most specific one,
and configurations are never merged. Precedence, highest first: route+service+consumer, route+consumer,
service+consumer, route+service, consumer, route, service, global. All but the consumer is known when a
configuration is compiled; where an instance is limited to consumers, a ``Chooser`` stands in its place and
looks at who the consumer turned out to be. Whichever instance's ``access`` has run sees the answer too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proxyd.gateway.stamps import stamped
from proxyd.plugin import HOLD, PHASES, WATCH, Plugin
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers

log: Final = get_logger("gateway")

CHANGE: Final = 1  # how a body filter wants an answer that says no more than that it does

_ORDER: Final[tuple[tuple[str, ...], ...]] = (
    ("route", "service", "consumer"),
    ("route", "consumer"),
    ("service", "consumer"),
    ("route", "service"),
    ("consumer",),
    ("route",),
    ("service",),
    (),
)


def log_failure(exchange: Exchange, error: Exception) -> None:
    """Tell of an exception that a phase let escape."""
    route = exchange.route.name if exchange.route is not None else None
    log.error("plugin failed", request_id=exchange.request_id, route=route, exc_info=error)


def rank(plugin: Plugin[Any]) -> int:
    """Return how specific an instance's scope is: 0 is the most specific."""
    scope = plugin.scope
    return _ORDER.index(tuple(kind for kind in ("route", "service", "consumer") if getattr(scope, kind)))


def defines(plugin: Plugin[Any], phase: str) -> bool:
    """Whether an instance takes part in a phase."""
    if phase == "wants_body":
        return True  # whoever does not say otherwise wants every body
    return getattr(type(plugin), phase) is not getattr(Plugin, phase)


def _method(plugin: Plugin[Any], phase: str) -> Callable[..., Any]:
    """Return what is called in a phase that a plugin defines."""
    direct = plugin.direct.get(phase)
    return direct if direct is not None else getattr(plugin, phase)


class Chooser:
    """The instances of one plugin on one route, of which the consumer decides."""

    __slots__ = ("_by_consumer", "_default")

    def __init__(self, instances: list[Plugin[Any]]) -> None:
        ordered = sorted(instances, key=rank)
        self._default = next((plugin for plugin in ordered if plugin.scope.consumer is None), None)
        self._by_consumer: dict[str, Plugin[Any]] = {}
        for position, plugin in enumerate(ordered):
            consumer = plugin.scope.consumer
            better = self._default is not None and ordered.index(self._default) < position
            if consumer is not None and not better:
                self._by_consumer.setdefault(consumer, plugin)

    def choose(self, consumer_id: str | None) -> Plugin[Any] | None:
        """Return the instance that runs for a consumer."""
        return self._by_consumer.get(consumer_id, self._default) if consumer_id else self._default

    @property
    def name(self) -> str:
        """The plugin's."""
        return self.instances()[0].name

    def instances(self) -> list[Plugin[Any]]:
        """Return every instance that may run."""
        return [*self._by_consumer.values(), *([self._default] if self._default else [])]

    def bind(self, phase: str) -> Callable[..., Any] | None:
        """Return a method that calls the chosen instance's phase, or None where they do not define it."""
        instances = self.instances()
        if not defines(instances[0], phase):
            return None
        default = _method(self._default, phase) if self._default is not None else None
        by_consumer = {consumer: _method(one, phase) for consumer, one in self._by_consumer.items()}
        key = f"chosen:{instances[0].name}"

        def access(exchange: Exchange) -> Any:
            identity = _consumer(exchange)
            exchange.keep(key, identity)  # a later plugin may still find out who the consumer is
            method = by_consumer.get(identity, default)
            return method(exchange) if method is not None else None

        def call(exchange: Exchange, *arguments: Any) -> Any:
            context = exchange.context
            identity = context[key] if context is not None and key in context else _consumer(exchange)
            method = by_consumer.get(identity, default)
            if method is not None:
                return method(exchange, *arguments)
            return arguments[0] if phase == "body_filter" else None

        return access if phase == "access" else call


def _consumer(exchange: Exchange) -> str:
    return exchange.consumer.id if exchange.consumer is not None else ""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A route's phases, in the order in which they run; ``request`` is rewrite and then access."""

    request: tuple[Callable[..., Any], ...] = ()
    header_filter: tuple[Callable[..., Any], ...] = ()
    body_filter: tuple[Callable[..., Any], ...] = ()
    wants_body: tuple[Callable[..., Any], ...] = ()  # one for each body_filter
    holds_answer: tuple[bool, ...] = ()  # the same
    log: tuple[Callable[..., Any], ...] = ()
    choosers: tuple[Chooser, ...] = ()

    def filters(
        self, exchange: Exchange, status: int, headers: Headers
    ) -> tuple[tuple[Callable[..., Any], ...], int]:
        """Return the body filters that want this answer, and how: HOLD or WATCH, or 1 where they may change pieces of it."""
        phases: list[Callable[..., Any]] = []
        how = WATCH
        for phase, wants, holds in zip(self.body_filter, self.wants_body, self.holds_answer, strict=True):
            wanted = wants(exchange, status, headers)
            if wanted:
                phases.append(phase)
                if holds or wanted == HOLD:
                    how = HOLD
                elif wanted != WATCH and how != HOLD:
                    how = CHANGE
        return tuple(phases), how


def applicable(
    plugins: Iterable[Plugin[Any]], route: str | None, service: str | None
) -> list[list[Plugin[Any]]]:
    """Return the instances that apply to a route of a service, by id: those of each plugin, in the order in which they run."""
    by_name: dict[str, list[Plugin[Any]]] = {}
    for plugin in plugins:
        scope = plugin.scope
        if scope.route in {None, route} and scope.service in {None, service}:
            by_name.setdefault(plugin.name, []).append(plugin)
    # Higher priority first; of equals, the name that is later in the alphabet (kong/db/dao/plugins.lua).
    return sorted(
        by_name.values(), key=lambda instances: (instances[0].priority, instances[0].name), reverse=True
    )


def build(
    plugins: Iterable[Plugin[Any]],
    route: str | None,
    service: str | None,
    now: Callable[[], float] | None = None,
) -> Pipeline:
    """Choose among all instances those that apply to a route of a service, by id, and bind their phases.

    With ``now``, the time that each of them takes is kept.
    """
    ordered = applicable(plugins, route, service)
    if not ordered:
        return Pipeline()
    choosers = tuple(Chooser(instances) for instances in ordered)
    named = {
        phase: [(one.name, method) for one in choosers if (method := _bind(one, phase)) is not None]
        for phase in PHASES
    }
    if now is not None:
        named = stamped(named, now)
    bound = {phase: tuple(method for _, method in methods) for phase, methods in named.items()}
    filtering = [one for one in choosers if _bind(one, "body_filter") is not None]
    return Pipeline(
        request=bound["rewrite"] + bound["access"],
        header_filter=bound["header_filter"],
        body_filter=bound["body_filter"],
        wants_body=tuple(filter(None, (_bind(one, "wants_body") for one in filtering))),
        holds_answer=tuple(one.instances()[0].holds_answer for one in filtering),
        log=bound["log"],
        choosers=choosers,
    )


def _bind(chooser: Chooser, phase: str) -> Callable[..., Any] | None:
    instances = chooser.instances()
    if len(instances) == 1 and instances[0].scope.consumer is None:
        only = instances[0]
        return _method(only, phase) if phase not in only.idle and defines(only, phase) else None
    return chooser.bind(phase)
