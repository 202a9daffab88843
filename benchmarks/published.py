"""What of the results stands in the documents: the page's tables, the README's, the picture, and the figures of both.

The figures are kept beside the picture, so that a run of one scenario renews its part and leaves the others.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from benchmarks import chart, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.report import Figures, Section

PAGE, README, PICTURE, FIGURES = (
    "docs/benchmarks.md",
    "README.md",
    "docs/images/benchmarks.png",
    "docs/images/benchmarks.json",
)
ROWS = {
    "nginx": "nginx",
    "proxyd": "**proxyd**",
    "haproxy": "HAProxy",
    "envoy": "Envoy",
    "caddy": "Caddy",
    "aiohttp": "aiohttp, server and client",
    "fastify": "@fastify/http-proxy",
    "nextjs": "Next.js route handler",
}
HALF = "50%"


def update(root: Path, facts: dict[str, str], sections: Sequence[Section]) -> list[Path]:
    """Renew what ``sections`` tell of in the documents under ``root``; return what was written."""
    report.update_docs(root / PAGE, facts, sections)
    kept = root / FIGURES
    kept.parent.mkdir(parents=True, exist_ok=True)
    figures: Figures = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    figures |= {section.name: section.figures for section in sections if section.figures}
    kept.write_text(json.dumps(_rounded(figures), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    written = [root / PAGE, kept]
    picture = root / PICTURE
    if chart.missing() is None:
        chart.draw(figures, picture)
        written.append(picture)
    _replace(root / README, "summary", [summary(figures), _where(facts), *_shown(root, README)])
    _replace(root / PAGE, "picture", _shown(root, PAGE))
    return [*written, root / README]


def _replace(page: Path, name: str, parts: list[str]) -> None:
    text = report.replace_between(page.read_text(encoding="utf-8"), name, "\n\n".join(filter(None, parts)))
    page.write_text(text, encoding="utf-8")


def _where(facts: dict[str, str]) -> str:
    told = [facts[name] for name in ("CPU", "Python", "measured", "load") if name in facts]
    return f"{'; '.join(told)}. Added: at half of each proxy's most." if told else ""


def _shown(root: Path, page: str) -> list[str]:
    if not (root / PICTURE).exists():
        return []
    link = os.path.relpath(root / PICTURE, (root / page).parent)
    return [f"![CPU per request, and what is added to latency]({link})"]


def summary(figures: Figures) -> str:
    """Return the README's table: what a request costs, and what is added to its latency at half load."""
    plain, policies, latency = (figures.get(name, {}) for name in ("plain", "policies", "latency"))
    rows = []
    for name, title in ROWS.items():
        if name not in plain:
            continue
        added = latency.get(name, {})
        reference = plain.get("nginx", {}).get("cpu_us")
        rows.append(
            [
                title,
                f"{plain[name]['cpu_us']:,.0f}",
                f"{plain[name]['cpu_us'] / reference:,.1f}" if reference else "-",
                f"{policies[name]['cpu_us']:,.0f}" if name in policies else "-",
                *(_milliseconds(added.get(f"{quantile} at {HALF}")) for quantile in ("p50", "p99")),
            ]
        )
    columns = ["", "CPU µs per request", "÷ nginx", "with policies", "added p50 ms", "added p99 ms"]
    return report.table(columns, rows)


def _milliseconds(microseconds: float | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.2f}"


def _rounded(figures: Figures) -> Figures:
    return {
        scenario: {
            row: {name: round(value, 2) for name, value in values.items()} for row, values in rows.items()
        }
        for scenario, rows in figures.items()
    }
