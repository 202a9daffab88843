"""The verbs that only look: check, routes, explain, schema."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from proxyd.cli import config
from proxyd.cli.output import Output, stderr, stdout
from proxyd.errors import ProtocolError, ProxydError
from proxyd.gateway import pipeline
from proxyd.gateway.paths import compile_joiner
from proxyd.gateway.route import is_https_only
from proxyd.gateway.router import Router
from proxyd.gateway.snapshot import instantiate
from proxyd.http1.headers import Headers, is_field_value
from proxyd.http1.target import parse_host, parse_target
from proxyd.model.schema import json_schema
from proxyd.plugins import BY_NAME
from proxyd.process import assemble
from proxyd.upstream.memory import SCHEME

if TYPE_CHECKING:
    import argparse

    from proxyd.gateway.router import Match
    from proxyd.model.entities import Configuration, Route, Service
    from proxyd.model.load import Loaded

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def check(arguments: argparse.Namespace) -> int:
    """Report every error, or count the entities."""
    loaded = config.read(arguments.config)
    stderr().problems(loaded.warnings, "warning", "yellow")
    stderr().problems(asyncio.run(assemble.rehearse(loaded)), "warning", "yellow")
    counts = []
    for item in dataclasses.fields(loaded.configuration):
        entities = getattr(loaded.configuration, item.name)
        if isinstance(entities, dict) and entities and item.name != "places":
            name = item.name.removesuffix("s") if len(entities) == 1 else item.name
            counts.append(f"{len(entities)} {name.replace('_', ' ')}")
    out = stdout()
    verdict = out.style("ok", "green", "bold")
    out.line(f"{config.find(arguments.config)}: {verdict}: {', '.join(counts) or 'no entities'}")
    return 0


def schema(_arguments: argparse.Namespace) -> int:
    """Print the JSON Schema."""
    document = json_schema(config.plugin_configs())
    stdout().line(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    return 0


def routes(arguments: argparse.Namespace) -> int:
    """List the routes in matching order."""
    loaded = config.read(arguments.config)
    services = loaded.configuration.services
    rows = []
    for number, (route, paths) in enumerate(_router(loaded).order(), 1):
        service = services.get(route.service or "")
        rows.append(
            [
                str(number),
                route.name or route.id,
                ",".join(route.protocols),
                ",".join(route.methods or ("any",)),
                ",".join(route.hosts or ("any",)),
                paths or "any",
                _service_name(service),
            ]
        )
    stdout().table(rows, ["#", "ROUTE", "PROTOCOLS", "METHODS", "HOSTS", "PATHS", "SERVICE"])
    return 0


def explain(arguments: argparse.Namespace) -> int:
    """Tell where a request would go; 1 where no route matches."""
    loaded = config.read(arguments.config)
    scheme, host, path, query, sni = _request(arguments)
    headers = _headers(arguments.header)
    explanation = _router(loaded).explain(scheme, arguments.method.upper(), host, path, headers, sni)
    out = stdout()
    match = explanation.match
    if match is None:
        out.line(f"{_label(out, 'answer')}404 no Route matched with those values")
    else:
        _tell_match(out, loaded, match, (scheme, path, query), arguments.consumer)
    out.line()
    out.table(
        [
            [verdict.route.name or verdict.route.id, verdict.paths or "any", verdict.reason]
            for verdict in explanation.verdicts
        ],
        ["ROUTE", "PATHS", "WHY"],
    )
    return 0 if match is not None else 1


def _router(loaded: Loaded) -> Router[Route]:
    services = loaded.configuration.services
    return Router(
        (route, route)
        for route in loaded.configuration.routes.values()
        if route.service is None or services[route.service].enabled
    )


def _label(out: Output, text: str) -> str:
    return out.style(text.ljust(10), "bold")


def _service_name(service: Service | None) -> str:
    return (service.name or service.id) if service is not None else "-"


def _request(arguments: argparse.Namespace) -> tuple[str, str, str, str, str]:
    url = urlsplit(arguments.url)
    scheme = _SCHEMES.get(url.scheme)
    if scheme is None or not url.netloc:
        raise ProxydError(
            f"'{arguments.url}' is not a URL of a request: http://localhost:8000/path, for example"
        )
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        path, query, _ = parse_target(arguments.method.upper(), target.encode())
        host = parse_host(url.netloc.rpartition("@")[2].encode())
    except ProtocolError as error:
        raise ProxydError(f"the gateway answers {error.status}: {error.reason}") from error
    return scheme, host, path, query, (url.hostname or "") if scheme == "https" else ""


def _headers(given: list[str]) -> Headers:
    headers = Headers()
    for item in given:
        name, colon, value = item.partition(":")
        if not colon or not name.strip() or not is_field_value(value.encode()):
            raise ProxydError(f"'{name}' is not a header: NAME:VALUE is")
        headers.add(name.strip().encode(), value.strip().encode())
    return headers


def _tell_match(
    out: Output, loaded: Loaded, match: Match[Route], target: tuple[str, str, str], consumer: str | None
) -> None:
    scheme, path, query = target
    route = match.payload
    configuration = loaded.configuration
    service = configuration.services.get(route.service or "")
    place = f" ({configuration.places[route.id]})"
    out.line(f"{_label(out, 'route')}{out.style(route.name or route.id, 'green')}{out.style(place, 'dim')}")
    if scheme == "http" and is_https_only(route):
        out.line(f"{_label(out, 'answer')}{route.https_redirect_status_code}: the route is for https only")
        return
    if match.captures:
        captures = ", ".join(f"{name}={text}" for name, text in match.captures.items())
        out.line(f"{_label(out, 'captures')}{captures}")
    if service is None:
        out.line(
            f"{_label(out, 'service')}none: a plugin answers, or it is 503 no Service found with those values"
        )
    else:
        upstream_path = compile_joiner(route, service)(match.prefix, path) + query
        mounted = service.protocol == SCHEME
        balanced = any(one.name == service.host for one in configuration.upstreams.values())
        host = service.host if balanced or mounted else f"{service.host}:{service.port}"
        out.line(f"{_label(out, 'service')}{_service_name(service)}")
        out.line(f"{_label(out, 'upstream')}{service.protocol}://{host}{upstream_path}")
        reference = loaded.settings.apps.get(service.host, "none of that name is mounted")
        for address in [reference] if mounted else _targets(configuration, service):
            out.line(f"{_label(out, 'target')}{address}")
    _tell_plugins(out, loaded, consumer, route)


def _targets(configuration: Configuration, service: Service) -> list[str]:
    upstream = next((one for one in configuration.upstreams.values() if one.name == service.host), None)
    if upstream is None:
        return [f"{service.host}:{service.port}"]
    return [
        f"{target.target} weight {target.weight} ({upstream.algorithm})"
        for target in configuration.targets.values()
        if target.upstream == upstream.id
    ]


def _tell_plugins(out: Output, loaded: Loaded, consumer: str | None, route: Route) -> None:
    identity = None
    if consumer is not None:
        consumers = loaded.configuration.consumers.values()
        identity = next(
            (one.id for one in consumers if consumer in {one.username, one.id, one.custom_id}), None
        )
        if identity is None:
            raise ProxydError(f"there is no consumer '{consumer}'")
    plugins = instantiate(loaded.configuration, loaded.plugin_configs, BY_NAME)
    chosen: list[Any] = [
        plugin
        for chooser in pipeline.build(plugins, route.id, route.service).choosers
        if (plugin := chooser.choose(identity)) is not None
    ]
    for plugin in chosen:
        out.line(f"{_label(out, 'plugin')}{plugin.name} from {plugin.scope} (priority {plugin.priority})")
    if not chosen:
        out.line(f"{_label(out, 'plugins')}none")
