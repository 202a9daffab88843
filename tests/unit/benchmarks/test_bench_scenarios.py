"""Each scenario, run for a moment with the gateway and one other proxy: it measures something of both."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import machine
from benchmarks.peers import PEERS
from benchmarks.scenarios import SCENARIOS, admin_writes, events, graphql_hostile, graphql_subscriptions
from benchmarks.scenarios import base as scenarios_base
from benchmarks.scenarios.base import Bench

SHORT = ("plain", "many", "connections", "tls", "handshakes", "download", "upload", "messages", "events")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """One round of half a second, with nginx and proxyd."""
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(scenarios_base, "WARM_UP_SECONDS", 0.1)
    monkeypatch.setattr(events, "STREAMS", 20)
    peers = [peer for peer in PEERS if peer.name in {"nginx", "proxyd"}]
    for peer in peers:
        if reason := peer.missing():
            pytest.skip(reason)
    return Bench(1, 0.5, peers, tmp_path, *machine.cores(), lambda _: None)


@pytest.mark.parametrize("name", SHORT)
def test_a_scenario_measures_both(bench, name):
    """Every row has a figure for CPU, and none is invalid."""
    section = SCENARIOS[name](bench)
    assert not [note for note in section.notes if "invalid" in note]
    assert {row[0] for row in section.rows} == {"nginx", "proxyd"}
    assert set(section.figures) == {"nginx", "proxyd"}
    assert all(value > 0 for values in section.figures.values() for value in values.values())


def test_graphql_is_held_to_rest(bench):
    """Every row is measured, and the ratio of the row without the plugin is one."""
    section = SCENARIOS["graphql"](bench)
    assert not [note for note in section.notes if "invalid" in note]
    ratios = {row[0]: row[section.columns.index("CPU ÷ REST")] for row in section.rows}
    assert ratios.keys() == {"pass-through", "REST", "limits", "safelist", "schema", "errors"}
    assert ratios["REST"] == "1.00"


def test_subscriptions_are_counted(bench, monkeypatch):
    """Results reach the subscribers through each kind of route."""
    monkeypatch.setattr(graphql_subscriptions, "CONNECTIONS", 20)
    section = SCENARIOS["graphql-subscriptions"](bench)
    assert not [note for note in section.notes if "invalid" in note]
    assert [row[0] for row in section.rows] == ["spliced", "graphql", "shared"]


def test_each_flood_has_a_line(bench, monkeypatch):
    """An ordinary query is answered, whatever came before; the others have a status, and time and memory that they took."""
    floods = list(graphql_hostile.FLOODS.items())[::10]
    monkeypatch.setattr(graphql_hostile, "FLOODS", dict(floods))
    monkeypatch.setattr(graphql_hostile, "SENT", 1)
    monkeypatch.setattr(graphql_hostile, "DISTINCT", 3)
    section = SCENARIOS["graphql-hostile"](bench)
    assert [row[0] for row in section.rows][:-1] == ["an ordinary query", *dict(floods)]
    assert section.rows[0][2] == "200"
    assert {row[2] for row in section.rows} <= {"200", "400", "403", "413"}


def test_consumers_are_written_under_load(bench, monkeypatch):
    """Requests are measured without a database and with one; while consumers and keys are written, none fails."""
    monkeypatch.setattr(admin_writes, "CONSUMERS", 4)
    monkeypatch.setattr(admin_writes, "WORKERS", 1)
    section = SCENARIOS["admin-writes"](bench)
    assert not section.failed, section.notes
    rows = [dict(zip(section.columns, row, strict=True)) for row in section.rows]
    assert [row["proxyd"] for row in rows] == [
        admin_writes.OFF,
        admin_writes.IDLE,
        admin_writes.OPEN,
        "SQLite, 4 consumers written",
    ]
    assert {row["failed"] for row in rows} == {"0"}
    assert rows[-1]["writes"] == "8"
    assert int(rows[-1]["reloads"]) > 0


def test_latency_is_measured_at_each_load(bench):
    """Three loads each, with policies and without."""
    section = SCENARIOS["latency"](bench)
    names = ("nginx", "proxyd", "nginx-policies", "proxyd-policies")
    assert [row[:2] for row in section.rows] == [
        [name, load] for name in names for load in ("10%", "50%", "80%")
    ], section.notes
    assert set(section.figures) == set(names)
