"""What a configuration makes of a request: which route wins, where it leads, and which plugins run on the way.

For ``proxyd explain`` and the dashboard, never for requests. The router and the pipelines are those that carry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from proxyd.errors import ProtocolError, ProxydError
from proxyd.gateway.paths import compile_joiner
from proxyd.gateway.pipeline import Chooser, applicable
from proxyd.gateway.route import is_https_only
from proxyd.gateway.router import Router
from proxyd.gateway.router.conditions import split_port
from proxyd.gateway.snapshot import instantiate
from proxyd.http1.headers import Headers, is_field_value
from proxyd.http1.target import parse_host, parse_target
from proxyd.plugins import BY_NAME
from proxyd.upstream.memory import SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.gateway.router import Match
    from proxyd.gateway.router.explain import Verdict
    from proxyd.model.entities import Configuration, Consumer, Route, Service
    from proxyd.model.entities import Plugin as PluginEntity
    from proxyd.model.load import Loaded
    from proxyd.plugin import Plugin

SCHEMES: Final = {
    "http": "http",
    "https": "https",
    "ws": "http",
    "wss": "https",
    "grpc": "http",
    "grpcs": "https",
}


class QuestionError(ProxydError):
    """What is asked about is no request; ``field`` is the part that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Question:
    """A request as the router sees it."""

    scheme: str
    method: str
    host: str
    path: str
    query: str
    headers: Headers
    sni: str

    @classmethod
    def of(
        cls,
        protocol: str,
        method: str,
        authority: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        sni: str | None = None,
    ) -> Self:
        """Read a request as the gateway would; the server name is the host where none is given. Raises QuestionError."""
        scheme = SCHEMES.get(protocol)
        if scheme is None:
            raise QuestionError("protocol", f"'{protocol}' is not one of {', '.join(SCHEMES)}")
        where = "path"
        try:
            path, query, _ = parse_target(method.upper(), target.encode())
            where = "host"
            host = parse_host(authority.encode())
        except ProtocolError as error:
            raise QuestionError(where, f"the gateway answers {error.status}: {error.reason}") from error
        if scheme == "http":
            sni = ""
        elif sni is None:
            sni = split_port(host)[0]
        return cls(scheme, method.upper(), host, path, query, _fields(headers), sni)


def _fields(given: Iterable[tuple[str, str]]) -> Headers:
    headers = Headers()
    for name, value in given:
        if not name.strip() or not is_field_value(value.encode()):
            raise QuestionError("headers", f"'{name}' is not a header: NAME:VALUE is")
        headers.add(name.strip().encode(), value.strip().encode())
    return headers


@dataclass(frozen=True, slots=True)
class Link:
    """One plugin on a route: ``runs`` is the instance that does, None for nobody in particular.

    ``others`` apply to the route as well, each with why it is not the one.
    """

    name: str
    priority: int
    runs: Plugin[Any] | None
    others: tuple[tuple[Plugin[Any], str], ...]
    instance: Plugin[Any]
    """One of them, to ask about the class."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """``match`` is the route that wins, None for none, and ``verdicts`` are those on every rule, best first."""

    question: Question
    match: Match[Route] | None
    verdicts: list[Verdict]
    service: Service | None
    url: str
    """The upstream's, empty where no service is asked."""
    targets: list[str]
    answer: str
    """What the gateway answers itself, empty where it does not."""

    @property
    def redirected(self) -> bool:
        """Whether the client is told to come back over TLS."""
        return self.match is not None and self.question.scheme == "http" and is_https_only(self.match.payload)


class Explainer:
    """Explains one configuration; what it takes is compiled when it is first asked for, and may take a second."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._router: Router[Route] | None = None
        self._plugins: list[Plugin[Any]] | None = None

    def __repr__(self) -> str:
        return f"<Explainer {self.loaded.hash[:8]}>"

    @property
    def configuration(self) -> Configuration:
        """What is explained."""
        return self.loaded.configuration

    @property
    def router(self) -> Router[Route]:
        """The router over all routes that answer."""
        if self._router is None:
            services = self.configuration.services
            self._router = Router(
                (route, route)
                for route in self.configuration.routes.values()
                if route.service is None or services[route.service].enabled
            )
        return self._router

    # --- requests --------------------------------------------------------------------------------------------

    def explain(self, asked: Question) -> Explanation:
        """Tell what becomes of a request."""
        found = self.router.explain(
            asked.scheme, asked.method, asked.host, asked.path, asked.headers, asked.sni
        )
        match = found.match
        if match is None:
            answer = "404 no Route matched with those values"
            return Explanation(asked, None, found.verdicts, None, "", [], answer)
        route = match.payload
        service = self.configuration.services.get(route.service or "")
        answer, url, targets = "", "", []
        if asked.scheme == "http" and is_https_only(route):
            answer = f"{route.https_redirect_status_code}: the route is for https only"
        elif service is None:
            answer = "a plugin's, or 503 no Service found with those values"
        else:
            path = compile_joiner(route, service)(match.prefix, asked.path) + asked.query
            url = f"{service.protocol}://{self._host(service)}{path}"
            targets = self._targets(service)
        return Explanation(asked, match, found.verdicts, service, url, targets, answer)

    def _host(self, service: Service) -> str:
        balanced = any(one.name == service.host for one in self.configuration.upstreams.values())
        return service.host if balanced or service.protocol == SCHEME else f"{service.host}:{service.port}"

    def _targets(self, service: Service) -> list[str]:
        if service.protocol == SCHEME:
            return [self.loaded.settings.apps.get(service.host, "none of that name is mounted")]
        upstream = next(
            (one for one in self.configuration.upstreams.values() if one.name == service.host), None
        )
        if upstream is None:
            return [f"{service.host}:{service.port}"]
        return [
            f"{target.target} weight {target.weight} ({upstream.algorithm})"
            for target in self.configuration.targets.values()
            if target.upstream == upstream.id
        ]

    # --- plugins ---------------------------------------------------------------------------------------------

    def consumer(self, wanted: str) -> Consumer:
        """Return the consumer with a name or id; raises QuestionError."""
        for one in self.configuration.consumers.values():
            if wanted in {one.id, one.username, one.custom_id}:
                return one
        raise QuestionError("consumer", f"there is no consumer '{wanted}'")

    def chain(self, route: Route, consumer: Consumer | None = None) -> list[Link]:
        """Return the plugins on a route in the order in which they run, for a consumer, or for nobody in particular."""
        if self._plugins is None:
            self._plugins = instantiate(self.configuration, self.loaded.plugin_configs, BY_NAME)
        links = []
        for instances in applicable(self._plugins, route.id, route.service):
            runs = Chooser(instances).choose(consumer.id if consumer is not None else None)
            others = tuple((one, self._why_not(one, runs, consumer)) for one in instances if one is not runs)
            links.append(Link(instances[0].name, instances[0].priority, runs, others, instances[0]))
        return links

    def _why_not(self, one: Plugin[Any], runs: Plugin[Any] | None, consumer: Consumer | None) -> str:
        meant = one.scope.consumer
        if meant is not None and (consumer is None or consumer.id != meant):
            known = self.configuration.consumers.get(meant)
            return f"for consumer {known.label if known is not None else meant} alone"
        return f"{one.scope} gives way to {runs.scope}" if runs is not None else ""

    def switched_off(self, route: Route) -> list[tuple[PluginEntity, str]]:
        """Return the plugins that would apply to a route and never run, with why not."""
        return [
            (one, "is not enabled" if one.for_requests else "is for streams alone")
            for one in self.configuration.plugins.values()
            if not (one.enabled and one.for_requests)
            and one.route in {None, route.id}
            and one.service in {None, route.service}
        ]
