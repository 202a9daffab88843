"""What is read of a request: exactly what any other reader would read, or nothing."""

from __future__ import annotations

import orjson
import pytest

from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked, read_body, read_members, read_query


def refusal(read, *arguments):
    """Return the message of what refuses to be read; as a request that is none, by a 400 for everybody."""
    with pytest.raises(Refused) as caught:
        read(*arguments)
    assert (caught.value.status, caught.value.code, caught.value.well_formed) == (400, "BAD_REQUEST", False)
    return caught.value.message


def test_a_request():
    """Its parameters are at hand, and members that nobody knows are kept."""
    body = orjson.dumps(
        {"query": "{ a }", "operationName": "A", "variables": {"query": 1}, "extensions": {"b": 2}, "id": "x"}
    )
    asked = read_body(body)
    assert (asked.query, asked.name, asked.variables, asked.extensions) == (
        "{ a }",
        "A",
        {"query": 1},
        {"b": 2},
    )
    assert (asked.members["id"], asked.size) == ("x", len(body))
    assert repr(asked) == "<Asked A 5 characters>"


def test_what_is_null_is_as_what_is_not_there():
    """As the specification has it."""
    asked = read_body(b'{"query":null,"operationName":null,"variables":null,"extensions":null}')
    assert (asked.query, asked.name, asked.variables, asked.extensions) == ("", None, {}, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"query": "\xff"}', "not JSON"),
        (b'{"query": NaN}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"extensions":' + b'{"a":' * 300 + b"1" + b"}" * 301, "nested too deeply"),
        (b"1", "is a JSON object"),
        (b"null", "is a JSON object"),
        (b"[[]]", "is a JSON object"),
        (b'{"query": {}}', "query must be a string"),
        (b'{"query": ["{ a }"]}', "query must be a string"),
        (b'{"operationName": 1}', "operationName must be a string"),
        (b'{"variables": "{}"}', "variables must be an object"),
        (b'{"variables": []}', "variables must be an object"),
        (b'{"extensions": true}', "extensions must be an object"),
    ],
)
def test_bodies_that_are_no_request(body, message):
    """Whatever is wrong with them."""
    assert message in refusal(read_body, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":"{ a }","query":"{ b }"}',
        b'{"query":"{ a }","qu\\u0065ry":"{ b }"}',
        b'{"operationName":"A","query":"{ a }","operationName":"B"}',
        b'{"variables":{},"query":"{ a }","variables":{"a":1}}',
        b'{"extensions":{},"query":"{ a }","extensions":{}}',
        b'[{"query":"{ a }","query":"{ b }"}]',
        b'{"query":"{ a }","variables":{"first":1,"first":1000}}',
        b'{"query":"{ a }","variables":{"a":[{"b":1,"\\u0062":2}]}}',
    ],
)
def test_a_name_that_is_there_twice(body):
    """Readers take one or the other, so neither is taken."""
    assert "ambiguous" in refusal(read_body, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Query":"{ a }"}',
        b'{"query":"{ a }","QUERY":"{ b }"}',
        b'{"operationname":"A"}',
        b'{"query":"{ a }","DocumentID":"1"}',
        b'{"query":"{ a }","Doc_Id":"1"}',
        '{"query":"{ a }","variables":{"a":1},"variable\N{LATIN SMALL LETTER LONG S}":{"a":1000}}'.encode(),
        '{"query":"{ a }","exten\N{LATIN SMALL LETTER LONG S}ions":{"persistedQuery":1}}'.encode(),
        '{"query":"{ a }","document\N{LATIN SMALL LETTER DOTLESS I}d":"1"}'.encode(),
    ],
)
def test_a_name_with_other_capitals(body):
    """Some readers take it for the parameter, this one knows it by sight only."""
    assert "names of parameters" in refusal(read_body, body)


def test_names_of_parameters_may_be_in_variables_and_texts():
    """They are nobody's parameters there."""
    body = b'{"query":"{ a(b: \\"\\\\\\"query\\\\\\"\\") }","variables":{"query":"\\u0041","variables":{"query":1}}}'
    assert read_body(body).variables["query"] == "A"


def test_a_batch():
    """Is a list, one of one among them."""
    assert [one.query for one in read_body(b' [{"query":"{ a }"},{"query":"{ b }"}]')] == ["{ a }", "{ b }"]
    assert len(read_body(b'[{"query":"{ a }"}]')) == 1
    assert read_body(b"[]") == []


def test_a_message_s_payload():
    """Is read the same way."""
    assert isinstance(read_members({"query": "{ a }"}, 15), Asked)
    assert "JSON object" in refusal(read_members, "{ a }", 5)


def test_a_query_string():
    """Objects are JSON in it, and empty where they are."""
    asked = read_query("query=%7B+a+%7D&operationName=A&variables=%7B%22b%22%3A1%7D&extensions=&key=k")
    assert (asked.query, asked.name, asked.variables, asked.extensions) == ("{ a }", "A", {"b": 1}, {})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query=a&query=b", "more than once"),
        ("query=a&Query=b", "names of parameters"),
        ("query=a&documentID=b", "names of parameters"),
        ("query=a&query[]=b", "names of parameters"),
        ("query=a&%20query=b", "names of parameters"),
        ("query=a&query%00=b", "names of parameters"),
        ("query=a&variables[a]=b", "names of parameters"),
        ("query=a&extensions.persistedQuery=b", "names of parameters"),
        ("query=a&key=k;query=b", "semicolon"),
        ("query=%ff", "not UTF-8"),
        ("&".join(f"a{i}=1" for i in range(101)), "too many"),
        ("variables=%7B", "variables is not JSON"),
        ("variables=1", "variables must be an object"),
        ("extensions=[]", "extensions must be an object"),
        ("variables=%7B%22a%22%3A1%2C%22a%22%3A2%7D", "variables is not JSON, or ambiguous"),
        ("extensions=" + "[" * 500 + "]" * 500, "nested too deeply"),
    ],
)
def test_query_strings_that_are_no_request(query, message):
    """Whatever is wrong with them, a name that is there twice first of all."""
    assert message in refusal(read_query, query)
