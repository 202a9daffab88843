"""The parser: values, places, bounds."""

from __future__ import annotations

import pytest

from proxyd.errors import ConfigError
from proxyd.model import document
from proxyd.model.element import descend, find, render
from proxyd.model.scalars import resolve


def parse(text):
    return document.parse(text, "kong.yml")


def plain(element):
    if isinstance(element.value, dict):
        return {key: plain(below) for key, below in element.value.items()}
    if isinstance(element.value, list):
        return [plain(below) for below in element.value]
    return element.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("Off", False),
        ("yes", True),
        ("0", 0),
        ("-12", -12),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("010", "010"),
        ("10:30", "10:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("1.2.3", "1.2.3"),
        (".", "."),
        ("-", "-"),
        ("9" * 500, "9" * 500),
        ("NaN", "NaN"),
    ],
)
def test_an_unquoted_word_is_what_it_looks_like(text, value):
    """Numbers, booleans and null are recognised; what YAML 1.1 would surprise with stays text."""
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_quotes_and_tags_make_text():
    """A quoted number is a text, and so is one tagged as such."""
    assert plain(parse('["1", \'2\', !!str 3, ! 4, !!int "5"]')) == ["1", "2", "3", "4", 5]


def test_keys_are_text_whatever_they_look_like():
    """A key that looks like a number or a boolean is the word that was written."""
    assert plain(parse("{1: a, on: b, ~: c}")) == {"1": "a", "on": "b", "~": "c"}


def test_places_count_from_one():
    """Elements and keys know their line and column."""
    root = parse("a:\n  - b: 1\n    c: [x, y]\n")
    element, taken = descend(root, ("a", 0, "c", 1))
    assert (element.value, element.line, element.column) == ("y", 3, 12)
    assert render(taken) == "a[0].c[1]"
    assert str(root.value["a"].value[0].key_place("f", "c")) == "f:3:5"
    assert find(root, element) == ["a", 0, "c", 1]
    assert repr(element) == "<Element str at 3:12>"


def test_steps_that_lead_nowhere_are_passed_over():
    """A location that holds more than the file does still ends at what there is."""
    element, taken = descend(parse("a: {b: 1}"), ("a", "union-tag", "b", 3))
    assert (element.value, taken) == (1, ["a", "b"])


def test_aliases_share_their_element_and_merges_can_be_chained():
    """An alias is the element that it names; a merged mapping may itself be merged."""
    root = parse("x: &x {a: 1, b: 2}\ny: &y {<<: *x, b: 3}\nz: {<<: [*y, *x], c: 4}\nw: *x\n")
    assert root.value["w"] is root.value["x"]
    assert plain(root)["z"] == {"c": 4, "b": 3, "a": 1}


def test_a_quoted_merge_key_is_a_key():
    """Only a plain ``<<`` merges."""
    assert plain(parse('{"<<": 1}')) == {"<<": 1}


def test_a_small_file_cannot_become_a_large_one():
    """Aliases of aliases are counted as what they expand to, and refused past a bound."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ConfigError, match="more than 5,000,000 values with its aliases written out"):
        parse("\n".join(lines))


def test_depth_is_bounded():
    """A file of brackets is refused before it costs anything."""
    with pytest.raises(ConfigError, match=r"kong.yml:1:101: .*nested deeper than 100 levels"):
        parse("[" * 5000)


def test_every_duplicate_key_is_told():
    """One duplicate does not hide the next."""
    with pytest.raises(ConfigError) as caught:
        parse("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [str(problem.place) for problem in caught.value.problems] == ["kong.yml:2:1", "kong.yml:3:11"]
