"""The verbs that only look: check, routes, explain, schema."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from proxyd.admin.insight.explaining import Explainer, Question
from proxyd.cli import config
from proxyd.cli.output import Output, stderr, stdout
from proxyd.errors import ProxydError
from proxyd.model.schema import json_schema
from proxyd.process import assemble

if TYPE_CHECKING:
    import argparse

    from proxyd.admin.insight.explaining import Explanation
    from proxyd.gateway.router import Match
    from proxyd.model.entities import Route, Service

_SCHEMES = ("http", "https", "ws", "wss")


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
    for number, (route, paths) in enumerate(Explainer(loaded).router.order(), 1):
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
    explainer = Explainer(config.read(arguments.config))
    found = explainer.explain(_question(arguments))
    out = stdout()
    match = found.match
    if match is None:
        out.line(f"{_label(out, 'answer')}{found.answer}")
    else:
        _tell_match(out, explainer, found, match, arguments.consumer)
    out.line()
    out.table(
        [
            [verdict.route.name or verdict.route.id, verdict.paths or "any", verdict.reason]
            for verdict in found.verdicts
        ],
        ["ROUTE", "PATHS", "WHY"],
    )
    return 0 if match is not None else 1


def _label(out: Output, text: str) -> str:
    return out.style(text.ljust(10), "bold")


def _service_name(service: Service | None) -> str:
    return (service.name or service.id) if service is not None else "-"


def _question(arguments: argparse.Namespace) -> Question:
    url = urlsplit(arguments.url)
    if url.scheme not in _SCHEMES or not url.netloc:
        raise ProxydError(
            f"'{arguments.url}' is not a URL of a request: http://localhost:8000/path, for example"
        )
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = [_header(item) for item in arguments.header]
    authority = url.netloc.rpartition("@")[2]
    return Question.of(url.scheme, arguments.method, authority, target, headers, url.hostname or "")


def _header(item: str) -> tuple[str, str]:
    name, colon, value = item.partition(":")
    if not colon:
        raise ProxydError(f"'{name}' is not a header: NAME:VALUE is")
    return name, value


def _tell_match(
    out: Output, explainer: Explainer, found: Explanation, match: Match[Route], consumer: str | None
) -> None:
    route = match.payload
    place = f" ({explainer.configuration.places[route.id]})"
    out.line(f"{_label(out, 'route')}{out.style(route.name or route.id, 'green')}{out.style(place, 'dim')}")
    if match.captures:
        captures = ", ".join(f"{name}={text}" for name, text in match.captures.items())
        out.line(f"{_label(out, 'captures')}{captures}")
    if found.url:
        out.line(f"{_label(out, 'service')}{_service_name(found.service)}")
        out.line(f"{_label(out, 'upstream')}{found.url}")
        for address in found.targets:
            out.line(f"{_label(out, 'target')}{address}")
    else:
        out.line(f"{_label(out, 'answer')}{found.answer}")
    if not found.redirected:
        _tell_plugins(out, explainer, consumer, route)


def _tell_plugins(out: Output, explainer: Explainer, consumer: str | None, route: Route) -> None:
    links = explainer.chain(route, explainer.consumer(consumer) if consumer is not None else None)
    chosen = [(link, link.runs) for link in links if link.runs is not None]
    for link, plugin in chosen:
        out.line(f"{_label(out, 'plugin')}{link.name} from {plugin.scope} (priority {link.priority})")
    if not chosen:
        out.line(f"{_label(out, 'plugins')}none")
