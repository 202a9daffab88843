"""The reference of all plugins as Markdown, out of their classes; ``docs/plugins.md`` holds it."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from proxyd.plugin import PHASES, Plugin
from proxyd.plugins import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


def reference() -> str:
    """Return an index, and a section for each plugin: what it does, when it runs, its settings with their defaults, its statuses."""
    return "\n".join([index(), *(section(plugin) for plugin in PLUGINS)])


def index() -> str:
    """Return a table of all plugins, in the order in which they run."""
    rows = [
        f"| [`{plugin.name}`](#{plugin.name}) | {plugin.priority} | {_sentence(plugin)} |"
        for plugin in PLUGINS
    ]
    return "\n".join(["| Plugin | Priority | What it does |", "|---|---|---|", *rows]) + "\n"


def _sentence(plugin: type[Plugin[Any]]) -> str:
    """Return the first sentence of a plugin's description."""
    first = " ".join(inspect.cleandoc(plugin.__doc__ or "").partition("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".") + "."


def section(plugin: type[Plugin[Any]]) -> str:
    """Return the section of one plugin."""
    phases = [phase for phase in PHASES if getattr(plugin, phase) is not getattr(Plugin, phase)]
    lines = [
        f"### `{plugin.name}`",
        "",
        inspect.cleandoc(plugin.__doc__ or ""),
        "",
        f"Priority {plugin.priority}; phases {', '.join(phases)}.",
        "",
        "| Setting | Type | Default | Meaning |",
        "|---|---|---|---|",
    ]
    lines += _rows(plugin.Config)
    if plugin.answers:
        lines += ["", "| Answers itself with | When |", "|---|---|"]
        lines += [f"| `{status}` | {when} |" for status, when in plugin.answers]
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return a row for each setting; those of a record stand below it, by their way from the top."""
    rows: list[str] = []
    properties = model.model_json_schema()["properties"]
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        kind = _type(properties[name])
        rows.append(f"| `{prefix}{name}` | {kind} | {_default(field)} | {field.description} |")
        for record in _records(field.annotation):
            rows += _rows(record, f"{prefix}{name}{'[]' if kind.startswith('list') else ''}.")
    return rows


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records(inner)


def _type(schema: dict[str, Any]) -> str:
    """Write a JSON Schema's type in a few words."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    kind = "record" if "$ref" in schema else str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} {schema['minimum']} to {schema['maximum']}"
    return kind


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, BaseModel):
        return "`{}`"
    return "none" if default is None else f"`{json.dumps(default, default=str)}`"


def rewrite(guide: Path) -> None:
    """Put the reference between the marks of a guide."""
    text = guide.read_text()
    guide.write_text(
        re.sub(
            r"(<!-- plugins: .*? -->\n).*(<!-- end of plugins -->)",
            lambda marks: marks[1] + reference() + marks[2],
            text,
            flags=re.DOTALL,
        )
    )


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
