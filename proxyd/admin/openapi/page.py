"""The document as a page for people: plain HTML, one script that searches, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SEARCH: Final = (
    '<label class="search">Search <input type="search" id="search" placeholder="path, field or word" '
    'autocomplete="off"></label><p id="count" role="status"></p>'
)


def page(document: Mapping[str, Any]) -> str:
    """Return the HTML of an OpenAPI document as ``openapi`` makes it."""
    found = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    groups = [
        (tag, list(several))
        for tag, several in groupby(
            sorted(found, key=lambda one: one[2]["tags"]), lambda one: one[2]["tags"][0]
        )
    ]
    info = document["info"]
    title = escape(info["title"])
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            '<link rel="stylesheet" href="docs/page.css"><script src="docs/page.js" defer></script></head><body>',
            f"<header><h1>{title} <small>{escape(info['version'])}</small></h1>",
            _SEARCH,
            '<a href="openapi.json">openapi.json</a> <a href="openapi.yaml">openapi.yaml</a></header>',
            '<nav aria-label="Contents"><ul>',
            *(f'<li><a href="#group-{tag}">{escape(tag)}</a></li>' for tag, _ in groups),
            '<li><a href="#schemas">Schemas</a></li></ul></nav><main>',
            f"<p>{_text(info['description'])}</p>",
            *(_group(tag, several) for tag, several in groups),
            '<section class="group" id="schemas"><h2>Schemas</h2>',
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
            '</section><p id="nothing" hidden>Nothing is called that.</p></main></body></html>',
        )
    )


def _text(text: str) -> str:
    """Return a text as HTML; what stands between backticks is code."""
    parts = escape(text.replace("``", "`")).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _group(tag: str, several: Iterable[tuple[str, str, Mapping[str, Any]]]) -> str:
    inner = "".join(_operation(*one) for one in several)
    return f'<section class="group" id="group-{tag}"><h2>{escape(tag)}</h2>{inner}</section>'


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    roles = operation.get("x-roles")
    who = "everybody" if {} in operation["security"] and roles is None else ", ".join(roles or ())
    query = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    placed = [one for one in operation.get("parameters", ()) if one["in"] == "path"]
    body = operation.get("requestBody", {}).get("content", {})
    return (
        f'<details class="item" id="{operation["operationId"]}"><summary><span class="method {method}">'
        f"{method.upper()}</span> <code>{escape(path)}</code> <span>{_text(operation['summary'])}</span></summary>"
        f"<p>For {escape(who)}.</p>"
        f"{_rows('In the path', ((one['name'], one['schema'], one.get('description', '')) for one in placed))}"
        f"{_rows('In the query', ((one['name'], one['schema'], one.get('description', '')) for one in query))}"
        f"{_rows('Body', ((media, told['schema'], '') for media, told in body.items()))}"
        f"{_rows('Answers', _answers(operation['responses']))}</details>"
    )


def _answers(responses: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any] | None, str]]:
    for status, answer in responses.items():
        contents = answer.get("content", {})
        for media, told in contents.items():
            yield status, told["schema"], f"{answer['description']}, {media}"
        if not contents:
            yield status, None, answer["description"]


def _rows(title: str, rows: Iterable[tuple[str, Mapping[str, Any] | None, str]]) -> str:
    made = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td>{_type(schema)}</td><td>{_told(schema, text)}</td></tr>'
        for name, schema, text in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("name", "type", "meaning"))
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead>{made}</table>" if made else ""


def _told(schema: Mapping[str, Any] | None, text: str = "") -> str:
    """Return the description of a value, and its bounds and default."""
    schema = schema or {}
    said = [_text(text or str(schema.get("description", ""))).removesuffix(".")]
    plain = [schema, *schema.get("anyOf", ())]
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    for key, word in bounds.items():
        said += [f"{word} {one[key]}" for one in plain if key in one]
    said += [f"matches <code>{escape(one['pattern'])}</code>" for one in plain if "pattern" in one]
    if schema.get("default") is not None:
        said.append(f"default <code>{escape(str(schema['default']))}</code>")
    return "; ".join(one for one in said if one)


def _type(schema: Mapping[str, Any] | None) -> str:
    """Return the type of a value in a few words, with links to what has a name."""
    if schema is None:
        return "nothing"
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[key]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kind = schema.get("type", "anything")
    kinds = kind if isinstance(kind, list) else [kind]
    listed = f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    names = [listed if one == "array" else "mapping" if one == "object" else escape(one) for one in kinds]
    return " or ".join(names)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = (
        (f"{field}{' *' if field in required else ''}", told, "")
        for field, told in schema.get("properties", {}).items()
    )
    table = _rows("Fields (* always there)", rows)
    variants = "".join(
        f"<li><code>{escape(one['title'])}</code>: {_type(one['properties']['config']['anyOf'][0])}</li>"
        for one in schema.get("anyOf", ())
        if "title" in one
    )
    return (
        f'<details class="item" id="schema-{escape(name)}"><summary><code>{escape(name)}</code> '
        f"<span>{_text(str(schema.get('description', '')).partition(chr(10))[0])}</span></summary>"
        f"{table or f'<p>{_type(schema)}</p>'}{f'<p>Settings by plugin:</p><ul>{variants}</ul>' if variants else ''}"
        "</details>"
    )
