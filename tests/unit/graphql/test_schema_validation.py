"""Documents against the schema: what is wrong is refused, and tells nothing of the schema."""

from __future__ import annotations

import re

import pytest
from graphql import build_schema
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from schema_case import SDL, examine, plugin

from proxyd.graphql.document import Document, Operation
from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema.validation import CODE, INCOMPLETE, problems
from proxyd.plugins.graphql import GraphQL

GRAPH = build_schema(SDL)
NAMES = {
    name
    for kind in GRAPH.type_map.values()
    if not kind.name.startswith("__")
    for name in (kind.name, *getattr(kind, "fields", ()), *getattr(kind, "values", ()))
}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{me{emai}}", "There is no field 'emai' here"),
        ("{m: usr{id}}", "There is no field 'usr' here"),
        ("{me}", "The field 'me' must have a selection of fields, or must have none"),
        ("{user{id}}", "An argument that 'user' requires is missing"),
        ("{user(id:1,name:2){id}}", "There is no argument 'name' here"),
        ('{users(first:"x"){id}}', "A value is not of the type that is expected"),
        ("{users(filter:{stat:OPEN}){id}}", "A value is not of the type that is expected 'stat'"),
        (
            "query($x:String){users(first:$x){id}}",
            "The variable '$x' is not of the type that is expected where it stands",
        ),
        ("query($x:Int){me{id}}", "The variable '$x' is not used"),
        ("{users(first:$x){id}}", "The variable '$x' is not defined"),
        ("{me{...on Usr{id}}}", "There is no type 'Usr'"),
        ("{me{...f}}", "Unknown fragment f"),
        ("{me{...f}} fragment f on User{...f}", "Fragment f is spread within itself"),
        ("{me{...on Post{id}}}", "The fragment can never apply here"),
        ("{me{id @nope}}", "There is no directive 'nope' here"),
        (
            "{me{a:id a:name}}",
            "Two fields 'id' of the same selection cannot be merged: use different aliases",
        ),
        ("query A{me{id}} query A{me{id}}", "Each of several operations needs a name of its own"),
    ],
)
def test_a_client_is_told_what_is_wrong_in_its_own_words(tmp_path, query, message):
    """With 400 and the code, and neither what it may have meant nor where it would belong."""
    refused = examine(plugin(tmp_path), query)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.code) == (400, CODE)
    assert refused.errors[0] == {"message": message, "extensions": {"code": CODE}}


def test_what_is_valid_passes(tmp_path):
    """A query with a fragment, variables and a union."""
    query = 'query Q($n:Int=3){users(first:$n){...u} search(text:"a"){__typename ...on Post{title}}} fragment u on User{id}'
    assert isinstance(examine(plugin(tmp_path), query), Operation)


WORDS = st.sampled_from(
    [*sorted(NAMES), "$v", "{", "}", "(", ")", ":", "...", "on", "fragment", "query", "@skip", "@x", "1"]
)


@given(
    st.lists(WORDS, max_size=12).map(" ".join),
    st.sampled_from(["{me{%s}}", "query($v:Int){%s}", "{search(text:%s){id}}"]),
)
def test_no_name_of_the_schema_is_told_that_was_not_asked(words, frame):
    """Whatever the document, names in messages are the client's."""
    text = frame % words
    try:
        document = Document(text)
    except Refused:
        return
    written = set(re.findall(r"\w+", text))
    for problem in problems(GRAPH, document, 10):
        quoted = set(re.findall(r"'\$?(\w+)'", problem["message"]))
        assert quoted <= written, problem
        assert "mean" not in problem["message"]


FLOODS = {
    "one field": "{" + "me{id} " * 480 + "}",
    "nested": "{" + "me{friends{id}} " * 280 + "}",
    "wrong fields": "{" + "x " * 1900 + "}",
    "fragments": "{me{"
    + " ".join(f"...f{i}" for i in range(90))
    + "}} "
    + " ".join(f"fragment f{i} on User{{friends{{id friends{{id}}}} x{i}:id}}" for i in range(90)),
    "chain": "{me{...f0}} "
    + " ".join(f"fragment f{i} on User{{...f{i + 1} ...f{i + 1}}}" for i in range(150))
    + " fragment f150 on User{id}",
    "variables": "query(" + " ".join(f"$v{i}:Int" for i in range(480)) + "){me{id}}",
    "directives": "{me{id " + "@skip(if:true) " * 250 + "}}",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_work_is_bounded(flood):
    """A document that is made for it is given up, in few words."""
    found = [problem["message"] for problem in problems(GRAPH, Document(FLOODS[flood]), 10)]
    assert bool(found) == (flood != "chain")  # that one is valid, and long only for who follows each spread
    assert len(found) <= 10
    assert len(str(found)) < 1000
    assert flood not in {"one field", "nested", "fragments"} or found == [INCOMPLETE]


@pytest.mark.parametrize(
    ("sdl", "complaint"),
    [
        ("type Query {\n  a: Foo\n}", r"schema.graphql:2:6: Unknown type 'Foo'"),
        ("type Query {\n  a: Int", r"schema.graphql:2:9: Expected Name"),
        ("type A { a: Int }", r"schema.graphql: Query root type must be provided"),
        (
            "type Query implements X { b: Int }\ninterface X { a: Int }",
            r"schema.graphql:2:15: Interface field X.a",
        ),
        ("", r"schema.graphql:1:1: Unexpected <EOF>"),
    ],
)
def test_a_file_that_is_no_schema_is_refused_with_its_place(tmp_path, sdl, complaint):
    """File, line and column, as soon as the configuration is loaded."""
    with pytest.raises(ValidationError, match=complaint):
        plugin(tmp_path, sdl)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """By its name and the reason."""
    latin = tmp_path / "latin"
    latin.write_bytes(b"\xff")
    for name, complaint in (
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "x", "cannot be read: No such file"),
        (latin, "is not UTF-8: byte 0"),
    ):
        with pytest.raises(ValidationError, match=complaint):
            GraphQL.Config(schema_from={"file": str(name)})
