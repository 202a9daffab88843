"""What commands print: styles, problems and tables."""

from __future__ import annotations

import io

import pytest

from proxyd.cli.output import Output
from proxyd.errors import Place, Problem

PROBLEM = Problem(Place("kong.yml", 3, 5), "services[0].hots", "unknown field", "did you mean 'host'?")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_problem_is_one_line_with_all_its_parts():
    """Place, path, the word, the message and the hint, in this order."""
    stream = io.StringIO()
    Output(stream).problems([PROBLEM], "error", "red")
    assert (
        stream.getvalue() == "kong.yml:3:5: services[0].hots: error: unknown field (did you mean 'host'?)\n"
    )


def test_a_problem_without_a_path_has_no_gap():
    """A file that cannot be read has no path in it."""
    stream = io.StringIO()
    Output(stream).problems([Problem(Place("kong.yml"), "", "cannot be read")], "error", "red")
    assert stream.getvalue() == "kong.yml: error: cannot be read\n"


def test_columns_are_as_wide_as_their_widest_cell():
    """Cells are aligned under their header, without blanks at the end of lines."""
    stream = io.StringIO()
    Output(stream).table([["long cell", "b"], ["a", ""]], ["ONE", "TWO"])
    assert stream.getvalue().splitlines() == ["ONE        TWO", "long cell  b", "a"]


def test_a_table_without_rows_is_its_header():
    """No routes: the header alone."""
    stream = io.StringIO()
    Output(stream).table([], ["ONE", "TWO"])
    assert stream.getvalue() == "ONE  TWO\n"


@pytest.mark.parametrize(("no_color", "styled"), [(None, True), ("", True), ("1", False)])
def test_styles_are_for_terminals_without_no_color(monkeypatch, no_color, styled):
    """NO_COLOR counts when it is not empty; a stream that is no terminal is never styled."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert Output(Terminal()).style("x", "red", "bold") == ("\x1b[31;1mx\x1b[0m" if styled else "x")
    assert Output(io.StringIO()).style("x", "red") == "x"
