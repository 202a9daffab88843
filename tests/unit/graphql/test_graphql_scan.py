"""Tokens and brackets, counted before a document is parsed."""

from __future__ import annotations

import pytest
from graphql import GraphQLSyntaxError, Lexer, Source, TokenKind
from hypothesis import given
from hypothesis import strategies as st

from proxyd.graphql.scan import scan


def lexed(text):
    """Count tokens and brackets as graphql-core's lexer sees them."""
    lexer = Lexer(Source(text))
    token = lexer.token
    while lexer.advance().kind is not TokenKind.EOF:
        pass
    tokens = depth = deepest = 0
    while (token := token.next).kind is not TokenKind.EOF:  # comments are in this list alone
        tokens += 1
        depth += (token.kind.value in "{[(") - (token.kind.value in "}])")
        deepest = max(deepest, depth)
    return tokens, deepest


PIECES = [
    *"{}[]()!$:=@|&",
    *("...", "name", "_9", "12", "-1.5e+3", '"a {[( b"', '"\\"{"', '""', '"""{ " "" \\""" {"""', '"\\u007b"'),
    *("#{[(\n", " ", ",", "\n", "\r", "\t", "\ufeff", "# \\\r"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_it_sees_what_the_lexer_sees(text):
    """Brackets in strings and comments are none, and nothing ignored is a token."""
    try:
        expected = lexed(text)
    except GraphQLSyntaxError:
        scan(text, 1000, 1000)
        return
    assert scan(text, 1000, 1000) == expected


@given(st.text(alphabet='{}()[]"\\#\n\r ,.a1-\u00e9', max_size=60))
def test_it_never_sees_less_than_the_lexer(text):
    """Whatever stands there: what is parsed was counted."""
    try:
        tokens, deepest = lexed(text)
    except GraphQLSyntaxError:
        scan(text, 1000, 1000)
        return
    found = scan(text, 1000, 1000)
    assert found[0] >= tokens
    assert found[1] >= deepest


def test_it_stops_at_what_is_too_much():
    """One token or one level beyond the maximum, it has seen enough."""
    assert scan("a " * 100, 10, 5) == (11, 0)
    assert scan("{" * 100, 10, 5) == (6, 6)


@pytest.mark.parametrize(
    "piece",
    [
        '"',
        '"""',
        '"\\',
        '""',
        '"""\\"""',
        '"x',
        "#",
        "#\n",
        " ",
        ",",
        "\ufeff",
        "\\",
        '"\n',
        "{",
        "a:b ",
        "1",
        "a",
    ],
)
def test_ten_megabytes_of_anything(piece):
    """Are looked at once, in bounded memory; were it quadratic, this would not end."""
    text = "{ " + piece * (10_000_000 // len(piece))
    tokens, deepest = scan(text, 2000, 50)
    assert tokens <= 2001
    assert deepest <= 51
