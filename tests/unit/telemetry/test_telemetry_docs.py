"""docs/monitoring.md tells what there is."""

from __future__ import annotations

import json
from pathlib import Path

from proxyd.errors import Kind
from proxyd.telemetry.access_line import access_line
from proxyd.telemetry.events import LEVELS
from proxyd.telemetry.histogram import EDGES
from proxyd.telemetry.redact import Redactor

MONITORING = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()


def test_the_fields_of_a_line_are_documented_in_their_order(exchange_of):
    """The table of fields is the line, field by field."""
    rows = [line.split("`")[1] for line in MONITORING.splitlines() if line.startswith("| `")]
    fields = list(json.loads(access_line(exchange_of(), 0.0, Redactor())))
    assert [row for row in rows if not row.startswith(("proxyd_", "kong_"))] == fields


def test_kinds_levels_and_buckets_are_documented():
    """Every kind of failure, every level and every edge stands there."""
    assert all(f"`{kind.value}`" in MONITORING for kind in Kind)
    assert " ".join(f"`{level}`" for level in LEVELS) in MONITORING
    buckets = MONITORING.partition("Buckets, in seconds:")[2].partition(".\n")[0].replace("*", "")
    assert tuple(float(edge) for edge in buckets.split(",")) == EDGES
