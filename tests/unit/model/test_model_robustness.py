"""Whatever a file holds, it loads or is refused with places; nothing else comes out."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.model.shapes import SHAPES

SAMPLES = [path.read_text() for path in sorted((Path(__file__).parents[2] / "data" / "kong").glob("*.*"))]
PIECES = [
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "  ",
    "&a ",
    "*a",
    "<<: ",
    "~",
    "'",
    '"',
    "!!int ",
    "null",
    "1",
    "/",
    "${X}",
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["s", "/", "{vault://env/x}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "host", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(text, registry):
    """Load; return the problems, or None if there are none."""
    try:
        load_text(text, "kong.yml", env={}, plugins=registry)
    except ConfigError as error:
        return error.problems
    return None


@settings(max_examples=150, deadline=None)
@given(
    text=st.sampled_from(SAMPLES),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(PIECES)), min_size=1, max_size=4
    ),
)
def test_a_damaged_file_is_refused_or_read(registry_once, text, edits):
    """Pieces put in and taken out anywhere never bring another exception."""
    for where, length, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    assert outcome(text, registry_once) != []


@settings(max_examples=150, deadline=None)
@given(data=st.data(), collection=st.sampled_from(sorted(SHAPES)))
def test_any_value_in_any_field_is_refused_or_read(registry_once, data, collection):
    """Fields may hold anything that YAML can say."""
    fields = data.draw(
        st.dictionaries(st.sampled_from(sorted(SHAPES[collection].entity.model_fields)), values, max_size=5)
    )
    items = ", ".join(f"{name}: {flow(value)}" for name, value in fields.items())
    assert outcome(f"_format_version: '3.0'\n{collection}: [{{{items}}}, {{{items}}}]\n", registry_once) != []


def flow(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(below)}" for key, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return "'" + "".join(letter for letter in value if letter.isprintable()).replace("'", "''") + "'"
    return "null" if value is None else str(value).lower()
