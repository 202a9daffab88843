"""What rules, dashboards and the guide to monitoring share: names of metrics, and where they are told of."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/monitoring.md").read_text()
RULES = sorted((ROOT / "config/rules").glob("*.yml"))

# Metrics that rules and dashboards are written for, and that the gateway does not tell of yet.
AWAITED = {
    "proxyd_concurrency_in_flight",
    "proxyd_concurrency_limit",
    "proxyd_connections_limit",
    "proxyd_queue_seconds",
    "proxyd_shed_requests_total",
    "proxyd_slow_requests_total",
    "proxyd_upstream_circuit_rejected_total",
    "proxyd_upstream_circuit_state",
    "proxyd_upstream_ejected",
    "proxyd_upstream_ejections_total",
    "proxyd_upstream_retry_budget_exhausted_total",
    "proxyd_worker_replacements_total",
    "proxyd_worker_restarts_total",
    "proxyd_workers",
}
# What a scrape and prometheus_client add.
THEIRS = {
    "up",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}


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


def known():
    """Return every name that a query may use: those of the guide's tables, a histogram's three series, recorded ones."""
    kinds = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", GUIDE, re.MULTILINE))
    series = [
        f"{name}{end}"
        for name, kind in (dict.fromkeys(AWAITED, "") | kinds).items()
        for end in (("_bucket", "_count", "_sum") if kind == "histogram" or name in AWAITED else ("",))
    ]
    return THEIRS | AWAITED | set(series) | {rule["record"] for rule in rules() if "record" in rule}


def unknown(query):
    """Return the names in a query that nobody tells of."""
    return names_in(query) - known()
