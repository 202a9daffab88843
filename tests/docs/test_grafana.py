"""The shipped dashboards: Grafana's model takes them whole, and a person finds their way."""

from __future__ import annotations

import itertools
import json
import re

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from monitoring_case import BOARDS, GUIDE, ROOT, board, known_labels, queries, unknown, variables

register_default_plugins()

PROVISIONING = ROOT / "config/grafana/provisioning"
WIDTH = 24  # columns of Grafana's grid
# What the Prometheus data source adds to an annotation; it is not part of the dashboard's model.
ITS_OWN = {"titleFormat", "textFormat"}
COUNTS = {"none", "short"}
UNITS = {"Bps", "bytes", "cps", "ops", "percentunit", "reqps", "s"} | COUNTS

pytestmark = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def lost(ours, theirs, place=""):
    """Yield where something of ours is missing or different in what was read."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() - ITS_OWN:
            yield from lost(ours[key], theirs.get(key), f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(mine, other, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place}: {ours!r} became {theirs!r}"


def panels(path):
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


def test_grafanas_model_takes_all_of_it(path):
    """Read into Grafana's types and written again, nothing is lost: there is no key that Grafana does not know."""
    ours = board(path)
    written = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert list(lost(ours, written)) == []


def test_panels_stand_in_the_grid_and_do_not_overlap(path):
    """Each has an id and a place of its own."""
    every = board(path)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken = set()
    for panel in every:
        at = panel["gridPos"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert at["x"] + at["w"] <= WIDTH
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_panel_has_a_title_a_unit_and_a_query(path):
    """Titles are told once per row, and no series is named by its raw labels where there are several."""
    for panel in panels(path):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        if panel["type"] in {"timeseries", "state-timeline"}:
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_units_fit_the_metrics(path):
    """Seconds are shown as seconds, bytes as bytes, shares as per cent."""
    for panel in panels(path):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"] if panel["type"] in {"timeseries", "stat"} else ():
            query = target["expr"]
            if "changes(" not in query and re.search(r"histogram_quantile.*_seconds_|_seconds\{", query):
                assert unit == "s", panel["title"]
            if re.match(r"(sum|topk)\b[^/]*bytes[^/]*$", query):
                assert unit in {"Bps", "bytes"}, panel["title"]


def test_queries_read_metrics_and_labels_that_exist(path):
    """Each metric is in the guide, and each label that a query selects by is one of its own."""
    for query in queries(path):
        assert unknown(query.text) == set(), query.place
        for name, selector in re.findall(r"([\w:]+)\{([^}]*)\}", query.text):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selector))
            assert labels <= known_labels(name), (query.place, name)


def test_variables_are_used_and_named(path):
    """A variable that no query uses is none, and one that is used is there."""
    named = set(variables(path)) | {"datasource"}
    used = set(re.findall(r"\$\{?(\w+)", path.read_text()))
    assert used - named == {"__rate_interval", "__range", "__all"} & used
    assert named <= used
    for one in board(path)["templating"]["list"]:
        if one["type"] == "query":
            assert (one["includeAll"], one["multi"], one["allValue"]) == (True, True, ".*")


def test_its_name_is_its_files_and_in_the_guide(path):
    """A link to a dashboard goes on working: its uid is fixed."""
    whole = board(path)
    assert whole["uid"] == f"proxyd-{path.stem}"
    assert whole["title"].lower() == f"proxyd: {path.stem}"
    assert f"| {whole['title']} |" in GUIDE


def test_a_new_grafana_has_it_from_the_start(path):
    """The provider reads the directory that the guide mounts, and the data source is the one they begin with."""
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/proxyd.yml").read_text())["providers"]
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    assert provider["type"] == "file"
    assert f":{provider['options']['path']} " in GUIDE
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    shipped = yaml.safe_load((ROOT / "config/prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == shipped["scrape_interval"]
    variable = board(path)["templating"]["list"][0]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        source["type"],
    )
