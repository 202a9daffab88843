"""Every way to be wrong, with the line that is shown for it: the cases are in tests/data/kong/errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

HEAD = '_format_version: "3.0"\n'
FILES = sorted((Path(__file__).parents[2] / "data" / "kong" / "errors").iterdir())
CASES = {f"{file.stem}: {case['name']}": case for file in FILES for case in yaml.safe_load(file.read_text())}


def text_of(case):
    return case["text"] if case.get("whole") else HEAD + case["text"]


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(problems, name):
    """Each mistake gives exactly these lines, in the order of the file."""
    case = CASES[name]
    assert problems(text_of(case), case.get("env")) == case["problems"]


def test_no_message_holds_a_secret(problems):
    """Values of secret fields and of the environment are in no line, however wrong they are."""
    lines = [line for case in CASES.values() for line in problems(text_of(case), case.get("env"))]
    assert any("hidden" in text_of(case) for case in CASES.values())
    assert not [line for line in lines if "hidden" in line]


def test_the_names_of_cases_are_unique():
    """No case is lost under the name of another."""
    assert len(CASES) == sum(len(yaml.safe_load(file.read_text())) for file in FILES) >= 60
