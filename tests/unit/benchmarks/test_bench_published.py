"""What of the results is put into the documents, and the picture."""

from __future__ import annotations

import io
import json

import pytest

from benchmarks import chart, published
from benchmarks.progress import Progress
from benchmarks.report import Section

FIGURES = {
    "plain": {"nginx": {"cpu_us": 20.0}, "proxyd": {"cpu_us": 25.0}, "nextjs": {"cpu_us": 4491.0}},
    "policies": {"nginx": {"cpu_us": 24.0}, "proxyd": {"cpu_us": 30.0}, "envoy-plain": {"cpu_us": 60.0}},
    "latency": {
        name: {
            f"{quantile} at {level}%": 100.0 + level for quantile in ("p50", "p99") for level in (10, 50, 80)
        }
        for name in ("nginx", "proxyd", "proxyd-policies")
    },
}
NAMES = ("facts", "picture", "plain", "policies", "latency")


@pytest.fixture
def tree(tmp_path):
    """Documents with a place for each."""
    marks = "".join(f"<!-- results:{name} -->\n<!-- /results:{name} -->\n" for name in NAMES)
    (tmp_path / "docs").mkdir()
    (tmp_path / published.PAGE).write_text(marks)
    (tmp_path / published.README).write_text("<!-- results:summary -->\n<!-- /results:summary -->\n")
    return tmp_path


def test_the_readme_shows_cost_beside_the_others_and_what_is_added():
    """A proxy that was not measured somewhere has a dash there."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in published.summary(FIGURES).splitlines()
    ]
    assert lines[2:] == [
        ["nginx", "20", "1.0", "24", "0.15", "0.15"],
        ["**proxyd**", "25", "1.2", "30", "0.15", "0.15"],
        ["Next.js route handler", "4,491", "224.6", "-", "-", "-"],
    ]


def test_a_run_of_one_scenario_renews_its_part_and_leaves_the_others(tree):
    """Its figures are kept beside the picture."""
    for name in ("plain", "policies"):
        published.update(tree, {"CPU": "one"}, [Section(name, name, [], figures=FIGURES[name])])
    assert json.loads((tree / published.FIGURES).read_text()) == {
        name: FIGURES[name] for name in ("plain", "policies")
    }
    assert "| **proxyd** " in (tree / published.README).read_text()


def test_the_picture_is_drawn_and_shown(tree):
    """A picture of four panels; the bar of one that is far beyond the others is cut."""
    if reason := chart.missing():
        pytest.skip(reason)
    sections = [Section(name, name, [], figures=figures) for name, figures in FIGURES.items()]
    written = published.update(tree, {"CPU": "a fast one"}, sections)
    assert "a fast one. Added: at half" in (tree / published.README).read_text()
    picture = tree / published.PICTURE
    assert picture in written
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "](docs/images/benchmarks.png)" in (tree / published.README).read_text()
    assert "](images/benchmarks.png)" in (tree / published.PAGE).read_text()


def test_without_figures_there_is_no_picture(tmp_path):
    """A run of other scenarios leaves no empty one."""
    if reason := chart.missing():
        pytest.skip(reason)
    assert chart.draw({}, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_only():
    """In a file, only what stays is written."""
    for out, shown in ((Terminal(), True), (io.StringIO(), False)):
        progress = Progress(out)
        progress.say("plain: round 1")
        progress.tell("wrote it")
        assert ("round 1" in out.getvalue()) is shown
        assert out.getvalue().endswith("wrote it\n")
