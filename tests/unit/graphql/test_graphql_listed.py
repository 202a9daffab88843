"""Documents of manifests, and what counts as one of them."""

from __future__ import annotations

import json

import pytest
from graphql import parse, print_ast
from hypothesis import given
from hypothesis import strategies as st

from proxyd.errors import ConfigError
from proxyd.graphql.kept import digest_of
from proxyd.graphql.listed import Listed, load, outline, tokens
from proxyd.graphql.manifest import Entry

TEXT = 'query A($a: [Int!] = [1, -2.5e3]) { a(text: "x, # y", more: """b\n # c \\""" "" """) @x { ...F ... on T { b } } }'


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("{", "\n\t{ # brackets\r\n").replace(")", ",,)"),
        "\ufeff" + TEXT + "# end",
        TEXT.replace(": [", ":[").replace("} }", "}}").replace("...F", "... F,"),
    ],
)
def test_the_same_tokens(text):
    """Spaces, commas, comments and a byte order mark make no difference outside of strings."""
    assert tokens(text) == tokens(TEXT)
    assert outline(text) == outline(TEXT)
    listed = Listed([Entry("1", TEXT)], by_tokens=True)
    assert listed.like(text) == TEXT
    assert listed.like(text) == TEXT  # remembered


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("x, #", "x,  #"),
        TEXT.replace("b\n #", "b\n  #"),
        TEXT.replace('"x, # y"', '"x", # y"'),
        TEXT.replace("query A", "queryA"),
        TEXT.replace("-2.5e3", "- 2.5e3"),
        TEXT.replace("}", "}\u00a0", 1),
        TEXT.replace("{ b }", "{ b b }"),
        TEXT + " fragment F on T { a }",
    ],
)
def test_other_tokens(text):
    """Strings differ in every character, and nothing else than what GraphQL ignores is ignored."""
    assert tokens(text) != tokens(TEXT)
    assert Listed([Entry("1", TEXT)], by_tokens=True).like(text) is None


@given(st.lists(st.sampled_from(["{", "}", "a", '"', '""', '"""', "\\", "\n", "#", " ", ",", "...", "1"])))
def test_pieces_of_tokens_are_no_tokens(pieces):
    """Whatever is written, it counts as the listed document only where graphql-core reads the same."""
    text = "".join(pieces)
    listed = '{ a(b: "", c: """ a """) { a } }'
    if Listed([Entry("1", listed)], by_tokens=True).like(text) is not None:
        assert print_ast(parse(text)) == print_ast(parse(listed))


@given(st.text(alphabet='{}"\\\n# ,a1.\u00e9'), st.sampled_from([" ", ",", "\n", "# {\n", "\ufeff"]))
def test_the_same_tokens_have_the_same_outline(text, between):
    """So no document is missed for being written in another way."""
    written = tokens(text)
    again = between.join(written)
    if tokens(again) == written:
        assert outline(again) == outline(text)


def test_exactly():
    """Without comparing tokens, one space is too many."""
    listed = Listed([Entry("1", "{ a }")], by_tokens=False)
    assert listed.like("{ a }") == "{ a }"
    assert listed.like("{ a  }") is None


def test_texts_that_are_much_longer_are_not_read():
    """What comes to more than some times the longest document is none of them."""
    listed = Listed([Entry("1", "{ aaaa }")], by_tokens=True)
    assert listed.like("{ aaaa }" + " " * 20) == "{ aaaa }"
    assert listed.like("{ aaaa }" + " " * 2000) is None


def test_names():
    """The id is one, and so is the hash, whatever the ids are made of; both with and without sha256 before them."""
    listed = Listed(
        [Entry("md5", "{ a }"), Entry("1", "{ mine }", "ios"), Entry("1", "{ b }")], by_tokens=True
    )
    digest = digest_of("{ a }")
    for name in ("md5", digest, f"sha256:{digest}", "sha256:md5"):
        assert listed.named(name) == "{ a }"
    assert listed.named("1") == "{ b }"
    assert listed.named("1", "ios") == "{ mine }"
    assert listed.named("1", "android") == "{ b }"
    assert listed.named("md5", "ios") == "{ a }"
    assert listed.named("2") is None
    assert listed.named("sha256:sha256:") is None
    assert listed.has_clients
    assert repr(listed) == "<Listed 3 documents>"


def test_several_files(tmp_path):
    """Their documents count together; one id for two documents is a problem, and each file is told of."""
    first, second, third = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    first.write_text(json.dumps({"1": "{ a }", "2": "{ b }"}))
    second.write_text(json.dumps({"1": "{ a }", "3": "{ c }"}))
    assert len(load([str(first), str(second)], by_tokens=True)) == 3
    third.write_text(json.dumps({"1": "{ z }"}))
    with pytest.raises(ConfigError) as caught:
        load([str(first), str(third), str(tmp_path / "none")], by_tokens=True)
    assert [str(problem).replace(str(tmp_path), "") for problem in caught.value.problems] == [
        "/c.json: the id 1 is another document's in /a.json",
        "/none: cannot be read: No such file or directory",
    ]
