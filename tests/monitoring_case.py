"""What rules, dashboards and the guide to monitoring share: names of metrics, and where they are told of."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/monitoring.md").read_text()
RULES = sorted((ROOT / "config/rules").glob("*.yml"))
BOARDS = sorted((ROOT / "config/grafana/dashboards").glob("*.json"))

# What a scrape and prometheus_client add.
THEIRS = {
    "up",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}


@cache
def rules():
    """Return every rule of every file."""
    return [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def names_in(query):
    """Return the names of metrics that a query reads: recorded ones have a colon."""
    bare = re.sub(r'"[^"]*"', "", query)
    return set(re.findall(r"\b(?:proxyd|kong|process|python)[_:][\w:]+|\bup\b", bare))


@cache
def known():
    """Return every name that a query may use: those of the guide's tables, a histogram's three series, recorded ones."""
    kinds = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", GUIDE, re.MULTILINE))
    series = {
        f"{name}{end}"
        for name, kind in kinds.items()
        for end in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }
    return THEIRS | series | {rule["record"] for rule in rules() if "record" in rule}


def unknown(query):
    """Return the names in a query that nobody tells of."""
    return names_in(query) - known()


class Query(NamedTuple):
    """What a panel, an annotation or a variable of a dashboard asks; ``legend`` is how its series are named."""

    place: str
    text: str
    legend: str = ""


def board(path):
    return json.loads(path.read_text())


def queries(path):
    """Return what a dashboard asks of Prometheus, but for the values of its variables."""
    whole = board(path)
    asked = [
        Query(f"{path.stem}: {panel['title']} {target['refId']}", target["expr"], target["legendFormat"])
        for panel in whole["panels"]
        for target in panel.get("targets", ())
    ]
    return asked + [
        Query(f"{path.stem}: annotation {one['name']}", one["expr"]) for one in whole["annotations"]["list"]
    ]


def variables(path):
    """Return the label and the selector of each variable's ``label_values``."""
    asked = [one for one in board(path)["templating"]["list"] if one["type"] == "query"]
    found = {}
    for one in asked:
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"]).groups()
        found[one["name"]] = (label, selector)
    return found


def known_labels(name):
    """Return the labels that a metric has: those of the guide, and what a scrape adds."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    rows = dict(re.findall(r"^\| `(\w+)` \| \w+ \|([^|]*)\|", GUIDE, re.MULTILINE))
    own = set(re.findall(r"`(\w+)`", rows.get(name) or rows.get(base) or ""))
    if name == "ALERTS":
        own = {"alertname", "alertstate", "severity"}
    elif ":" in name:
        own = {"slo"}
    return own | {"instance", "job", "le"}
