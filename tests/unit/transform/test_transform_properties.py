"""Templates against Lua itself, and against texts that mean nothing."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from template_case import in_lua, ours, render

from proxyd.transform.template import RenderError, Template, TemplateError

HEADERS = {
    b"empty": b"",
    b"word": b"Bearer abc",
    b"number": b"0x10",
    b"digits": b"12.50",
    b"high": b"\xff\x00A",
}

numbers = st.sampled_from(["0", "1", "2", "3", "-1", "-2", "10", "1e2", "0.5", ".25", "0x1F"])
texts = st.sampled_from(
    [r"''", r"'abc'", r"'\104\0\255'", '"a\'b"', "'3'", "' 4 '", "' 0x1F '", "'1e1'", "'-'"]
)
atoms = st.one_of(
    numbers,
    texts,
    st.sampled_from(["nil", "true", "false"]),
    st.sampled_from([f"headers.{name.decode()}" for name in HEADERS] + ["headers.none", "headers['word']"]),
)
# Lua leaves open what becomes of a position that is no whole number of 32 bits.
places = st.sampled_from(
    ["0", "1", "2", "-1", "-2", "5", "1.5", "99", "-99", "nil", "'2'", "true", "headers.digits"]
)
binary = st.sampled_from(["and", "or", "..", "==", "~=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"])


def deeper(inner):
    """Make an expression of simpler ones, with and without the parentheses that it would need."""
    return st.one_of(
        st.tuples(inner, binary, inner).map(" ".join),
        st.tuples(inner, binary, inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map("not {}".format),
        inner.map("-({})".format),
        inner.map("#({})".format),
        inner.map("type({})".format),
        st.tuples(inner, st.sampled_from(["lower", "upper", "len", "reverse"])).map(
            lambda parts: f"({parts[0]}):{parts[1]}()"
        ),
        st.tuples(inner, places, places).map(lambda parts: "({}):sub(({}), ({}))".format(*parts)),
        st.tuples(inner, places).map(lambda parts: "({}):sub(({}))".format(*parts)),
        st.tuples(inner, inner, places).map(lambda parts: "(({}):find(({}), ({}), true))".format(*parts)),
    )


expressions = st.recursive(atoms, deeper, max_leaves=8)


@given(expressions)
@example("'x' < 'X' or headers.high > 'a'")
@example("7 % -3 .. -7 % 3 .. 5 % 0")
@example("2 - 3 - 4 .. 2 / 4 / 8")
@example("not nil == true")
@example("1 < 2 == true")
def test_an_expression_is_what_it_is_in_lua(expression):
    """The same text for every expression of the grammar, and a failure where Lua fails."""
    try:
        found = ours(expression.encode(), HEADERS)
    except TemplateError as error:
        if "always fails" not in str(error):
            raise
        found = None
    assert found == in_lua(expression.encode(), HEADERS)


pieces = st.sampled_from(
    [
        "$(",
        ")",
        "(",
        "[",
        "]",
        ".",
        ":",
        "..",
        ",",
        "=",
        "==",
        "~",
        "{",
        "}",
        "'",
        '"',
        "\\",
        "headers",
        "query_params",
        "x",
        "sub",
        "and",
        "or",
        "not",
        "nil",
        "1",
        "1.5",
        "#",
        "-",
        "--",
        "[[",
        "é",
        "\n",
    ]
)


@given(st.lists(pieces, max_size=30).map("".join) | st.text(max_size=60))
def test_no_text_does_anything_but_render_or_fail(text):
    """Whatever a file holds: TemplateError at load, RenderError for a request, or bytes."""
    try:
        template = Template(text)
    except TemplateError as error:
        position = error.position
    else:
        position = -1
    if position >= 0:
        assert position <= len(text)
        return
    assert "$(" in text or template.literal == text.encode()
    try:
        assert isinstance(render(text, (b"x", b"1")), bytes)
    except RenderError:
        assert "$(" in text
