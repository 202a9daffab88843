"""The report's text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.scenarios import SCENARIOS

FACTS = {"CPU": "a fast one", "kernel": "6.1"}


def section(**more):
    return report.Section(
        "plain", "plain: small", ["proxy", "CPU"], [["nginx", "25.0"], ["proxyd", "30.0"]], **more
    )


def test_a_table_is_padded_and_its_figures_stand_to_the_right():
    """It reads in a terminal as in a browser."""
    assert report.table(["proxy", "CPU"], [["nginx", "25.0"], ["proxyd", "130.0"]]) == (
        "| proxy  |   CPU |\n| ------ | ----: |\n| nginx  |  25.0 |\n| proxyd | 130.0 |"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "-"), ([2.0], "2.0"), ([3.0, 1.0, 2.0], "2.0 (1.0-3.0)"), ([1.0, 2.0], "1.5 (1.0-2.0)")],
)
def test_the_median_is_quoted_with_its_range(values, text):
    """One value has no range, and none is a dash."""
    assert report.median_and_range(values) == text


def test_a_document_tells_the_facts_before_the_scenarios():
    """Figures without their machine are not published."""
    text = report.document(FACTS, [section(notes=["one core was shared"])])
    assert (
        text.index("- CPU: a fast one") < text.index("### plain: small") < text.index("- one core was shared")
    )


def test_a_scenario_without_rows_shows_its_notes_only():
    """A skipped scenario says why, and no empty table."""
    text = report.section_markdown(report.Section("plain", "plain", ["a"], notes=["skipped: no proxyd"]))
    assert text == "### plain\n\n- skipped: no proxyd\n"


def test_results_are_replaced_between_their_markers_only():
    """The page around them is written by hand."""
    page = "above\n<!-- results:plain -->\nold\n<!-- /results:plain -->\nbelow\n"
    assert report.replace_between(page, "plain", "new") == (
        "above\n<!-- results:plain -->\nnew\n<!-- /results:plain -->\nbelow\n"
    )


@pytest.mark.parametrize("page", ["", "<!-- results:plain -->", "<!-- /results:plain -->"])
def test_a_page_without_both_markers_is_an_error(page):
    """Results are never appended somewhere by guess."""
    with pytest.raises(KeyError, match="results:plain"):
        report.replace_between(page, "plain", "new")


def test_report_and_raw_figures_are_written_side_by_side(tmp_path):
    """The table can be recomputed from the raw file."""
    paths = report.write(tmp_path / "results", "stamp", FACTS, [section(raw={"samples": [1, 2]})])
    assert [path.name for path in paths] == ["stamp.md", "stamp.raw.json"]
    assert "### plain: small" in paths[0].read_text()
    assert json.loads(paths[1].read_text()) == {"facts": FACTS, "scenarios": {"plain": {"samples": [1, 2]}}}


def test_updating_the_page_leaves_other_scenarios_alone(tmp_path):
    """A partial run does not wipe the rest."""
    page = tmp_path / "page.md"
    marks = "".join(
        f"<!-- results:{name} -->\nold\n<!-- /results:{name} -->\n" for name in ("facts", "plain", "other")
    )
    page.write_text(marks)
    report.update_docs(page, FACTS, [section()])
    text = page.read_text()
    assert "- kernel: 6.1" in text
    assert "| proxyd | 30.0 |" in text
    assert "<!-- results:other -->\nold\n" in text


def test_the_page_has_a_place_for_every_scenario():
    """`bench.py --docs` finds where each section goes."""
    page = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text()
    for name in ("facts", *SCENARIOS):
        assert report.replace_between(page, name, "here").count("here\n<!-- /results:") == 1
