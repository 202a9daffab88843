"""proxyd graphql explain: what the gateway would count in a document, and which limits that meets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.cli import config
from proxyd.cli.codes import CommandError
from proxyd.cli.output import stderr, stdout
from proxyd.errors import ConfigError, Place, Problem
from proxyd.graphql.explaining import explain as explain_text
from proxyd.graphql.limits import Limits
from proxyd.graphql.listed import load
from proxyd.graphql.schema.explaining import Judge
from proxyd.graphql.schema.price import MOST

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from proxyd.cli.output import Output
    from proxyd.graphql.explaining import Explained, Explanation, Measure
    from proxyd.graphql.refusal import Refused
    from proxyd.graphql.safelist import Config as Safelist
    from proxyd.model.entities import Route
    from proxyd.model.load import Loaded

STDIN = "-"


def explain(arguments: argparse.Namespace) -> int:
    """Tell everything of a document; 1 where it would be refused."""
    text = _text(arguments.file)
    limits, safelist, judge = _settings(arguments)
    found = explain_text(text, limits, _variables(arguments.variables), judge)
    if found.refused is not None:
        raise ConfigError([_problem(arguments.file, found.refused)])
    operations = _chosen(found, arguments.operation)
    found = found._replace(operations=operations)
    listed = None if safelist is None else _is_listed(text, safelist)
    if arguments.json:
        stdout().line(_json(arguments.file, found, listed))
    else:
        _print(arguments.file, found, listed)
    refused_by_list = listed is False and safelist is not None and safelist.mode == "enforce"
    return 1 if found.exceeded() or refused_by_list else 0


# --- what is given ---------------------------------------------------------------------------------------------------


def _text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: is not UTF-8") from None


def _variables(given: str | None) -> Mapping[str, Any] | None:
    """Return the variables, out of JSON or out of a file that holds it."""
    if given is None:
        return None
    text = given if given.lstrip()[:1] == "{" else _text(given)
    try:
        variables = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CommandError(f"the variables are not JSON: {error.msg}, at {where}") from None
    if not isinstance(variables, dict):
        raise CommandError("the variables must be an object")
    return variables


def _settings(arguments: argparse.Namespace) -> tuple[Limits, Safelist | None, Judge | None]:
    """Return the limits of the route's plugin, its safelist, and who judges by its schema; without a route, the limits that hold by default."""
    if arguments.route is None:
        if arguments.config is not None:
            raise CommandError("--config goes with --route: which route's plugin is meant?")
        return Limits(), None, None
    loaded = config.read(arguments.config)
    route = next(
        (one for one in loaded.configuration.routes.values() if arguments.route in {one.name, one.id}), None
    )
    if route is None:
        raise CommandError(f"there is no route '{arguments.route}'")
    settings = _plugin(loaded, route)
    if settings is None:
        raise CommandError(f"no plugin graphql runs on the route '{arguments.route}'")
    return settings.limits, settings.safelist, Judge(settings)


def _plugin(loaded: Loaded, route: Route) -> Any:
    """Return the settings of the instance that runs on a route for everybody: the most specific one."""
    best, found = -1, None
    for one in loaded.configuration.plugins.values():
        if one.name != "graphql" or not one.enabled or one.consumer is not None:
            continue
        if one.route not in {None, route.id} or one.service not in {None, route.service}:
            continue
        rank = 2 * (one.route is not None) + (one.service is not None)
        if rank > best:
            best, found = rank, loaded.plugin_configs[one.id]
    return found


def _chosen(found: Explanation, name: str | None) -> tuple[Explained, ...]:
    if name is None:
        return found.operations
    chosen = tuple(one for one in found.operations if one.name == name)
    if not chosen:
        raise CommandError(f"there is no operation '{name}'")
    return chosen


def _is_listed(text: str, safelist: Safelist) -> bool:
    listed = load(safelist.manifests, by_tokens=safelist.match == "tokens")
    return listed.like(text) is not None or listed.like(text.strip()) is not None


def _problem(name: str, refused: Refused) -> Problem:
    places = refused.extensions.get("locations")
    place = Place(name, places[0]["line"], places[0]["column"]) if places else Place(name)
    return Problem(place, "", refused.message.removeprefix("Syntax Error: ").rstrip("."))


# --- what is told ----------------------------------------------------------------------------------------------------


def _print(name: str, found: Explanation, listed: bool | None) -> None:
    out = stdout()
    out.line(f"{out.style(name, 'bold')} sha256 {found.digest}")
    _table(out, found.measures)
    if listed is not None:
        verdict = out.style("listed", "green") if listed else out.style("not listed", "red")
        out.line(f"  safelist: {verdict}")
    for operation in found.operations:
        out.line()
        out.line(out.style(f"{operation.type} {operation.name or '(anonymous)'}", "bold"))
        _table(out, operation.measures)
    if not found.operations:
        stderr().line(f"{name}: too large to be looked at any further")


def _table(out: Output, measures: tuple[Measure, ...]) -> None:
    width = max(len(one.name) for one in measures)
    for one in measures:
        line = f"  {one.name.replace('_', ' ').ljust(width)}  {one.found:>9}"
        if one.maximum < MOST:
            line += f" of {one.maximum:>9}"
        if one.beyond:
            what = "refused" if one.enforced else "measured only"
            line += out.style(f"  {one.beyond} beyond: {what}", "red" if one.enforced else "yellow")
        out.line(line)


def _json(name: str, found: Explanation, listed: bool | None) -> str:
    document: dict[str, Any] = {
        "file": name,
        "digest": found.digest,
        "measures": _measures(found.measures),
        "operations": [
            {"name": one.name, "type": one.type, "measures": _measures(one.measures)}
            for one in found.operations
        ],
        "refused_by": [one.name for one in found.exceeded()],
    }
    if listed is not None:
        document["listed"] = listed
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _measures(measures: tuple[Measure, ...]) -> dict[str, Any]:
    return {
        one.name: {
            "found": one.found,
            "maximum": one.maximum if one.maximum < MOST else None,
            "beyond": one.beyond,
            "enforced": one.enforced,
        }
        for one in measures
    }
