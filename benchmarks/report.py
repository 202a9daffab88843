"""Turns what the scenarios measured into Markdown, into raw JSON, and into the results of docs/benchmarks.md."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Figures = dict[str, dict[str, dict[str, float]]]  # scenario -> row -> name -> value


@dataclass(slots=True)
class Section:
    """One scenario's result: a table, the sentences under it, and the figures it was made from.

    ``figures`` are the few that pictures and the README are drawn from: row -> name -> value.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: Any = None
    failed: bool = False
    figures: dict[str, dict[str, float]] = field(default_factory=dict)


def median_and_range(values: Sequence[float], form: str = ".1f") -> str:
    """Return ``median (lowest-highest)``, or ``-`` for no value; one value stands alone."""
    if not values:
        return "-"
    middle = format(statistics.median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}}-{max(values):{form}})"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it reads in a terminal too; all but the first column to the right."""
    widths = [max(len(column), 4, *(len(row[at]) for row in rows)) for at, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if at == 0 else ("-" * (width - 1) + ":") for at, width in enumerate(widths)]
    return "\n".join([line(columns), line(rule), *(line(row) for row in rows)])


def section_markdown(section: Section) -> str:
    """Return the heading, the table and the notes of one scenario."""
    parts = [f"### {section.title}"]
    if section.rows:
        parts.append(table(section.columns, section.rows))
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join(parts) + "\n"


def document(facts: dict[str, str], sections: Sequence[Section]) -> str:
    """Return the whole report: the machine and the settings, then every scenario."""
    head = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return f"# Benchmark\n\n{head}\n\n" + "\n".join(section_markdown(section) for section in sections)


def replace_between(text: str, name: str, content: str) -> str:
    """Return ``text`` with what stands between the markers of ``name`` replaced; KeyError when there are none."""
    begin, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise KeyError(f"no {begin} … {end}")
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"


def write(directory: Path, stamp: str, facts: dict[str, str], sections: Sequence[Section]) -> list[Path]:
    """Write ``STAMP.md`` and ``STAMP.raw.json`` into ``directory``; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    report, raw = directory / f"{stamp}.md", directory / f"{stamp}.raw.json"
    report.write_text(document(facts, sections), encoding="utf-8")
    content = {"facts": facts, "scenarios": {section.name: section.raw for section in sections}}
    raw.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return [report, raw]


def update_docs(page: Path, facts: dict[str, str], sections: Sequence[Section]) -> None:
    """Replace the results in ``page``: the machine's facts and each of ``sections``; others stay."""
    text = page.read_text(encoding="utf-8")
    text = replace_between(text, "facts", "\n".join(f"- {name}: {value}" for name, value in facts.items()))
    for section in sections:
        text = replace_between(text, section.name, section_markdown(section))
    page.write_text(text, encoding="utf-8")
