"""Plans for people and for programs, without secrets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.cli.config import plugin_configs
from proxyd.database.masking import Masking
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxyd.cli.output import Output
    from proxyd.cli.sync.planning import Step

_STYLES: Final = {"create": ("green", "+"), "update": ("yellow", "~"), "delete": ("red", "-")}
_DONE: Final = {"create": "created", "update": "updated", "delete": "deleted"}


def show(steps: Sequence[Step], out: Output) -> None:
    """Write one line for each entity, and under one that changes, its fields before and after."""
    mask = Masking(plugin_configs())
    for step in steps:
        colour, sign = _STYLES[step.action]
        noun = SHAPES[step.collection].noun
        label = _printable(step.label)
        out.line(f"{out.style(sign, colour, 'bold')} {step.action} {noun} {out.style(label, 'bold')}")
        if step.action == "update":
            for field, before, after in _changes(step, mask):
                if before == after:
                    out.line(f"    {out.style('~', 'yellow')} {field}: {before} (another one)")
                    continue
                if before is not None:
                    out.line(out.style(f"    - {field}: {before}", "red"))
                if after is not None:
                    out.line(out.style(f"    + {field}: {after}", "green"))
    out.line(summary(steps))


def summary(steps: Sequence[Step], *, done: bool = False) -> str:
    """Return how many there are of each kind."""
    count = Counter(step.action for step in steps)
    if not steps:
        return "nothing to change"
    return ", ".join(
        f"{count[action]} {word if done else f'to be {word}'}"
        for action, word in _DONE.items()
        if count[action]
    )


def as_json(steps: Sequence[Step]) -> str:
    """Return a document of the plan."""
    mask = Masking(plugin_configs())
    count = Counter(step.action for step in steps)
    changes = [
        {
            "action": step.action,
            "collection": step.collection,
            "id": step.id,
            "name": step.label,
            "before": None if step.before is None else mask(step.collection, step.before),
            "after": None if step.after is None else mask(step.collection, step.after),
        }
        for step in steps
    ]
    document = {"changes": changes, "summary": {action: count[action] for action in _DONE}}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _changes(step: Step, mask: Masking) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the fields that differ, as they may be shown."""
    before, after = step.before or {}, step.after or {}
    shown = mask(step.collection, before), mask(step.collection, after)
    for field in sorted({*before, *after}):
        if before.get(field) != after.get(field):
            told = [_text(one[field]) if field in one else None for one in shown]
            yield field, told[0], told[1]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _printable(value)
    return _printable(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
