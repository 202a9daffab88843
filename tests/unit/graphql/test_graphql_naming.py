"""Names of documents in requests, and requests with the document in the name's place."""

from __future__ import annotations

import orjson
import pytest

from proxyd.graphql.naming import hash_of, id_of, is_named, name_of, spell_out
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked, read_body, read_query, write_body, write_query

HASH = "a" * 64


def hashed(**more):
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH, **more}}}


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"documentId": "sha256:" + HASH}, "sha256:" + HASH),
        ({"doc_id": "123"}, "123"),
        ({"id": "123"}, "123"),
        ({"documentId": None, "id": "3"}, "3"),
        ({"query": "{ a }"}, ""),
    ],
)
def test_ids(members, name):
    """The appendix's member counts before those of older clients."""
    assert id_of(Asked(members)) == name


@pytest.mark.parametrize("value", [1, "", [], True, "x" * 1025])
def test_ids_that_are_none(value):
    """A name is a string of bounded length."""
    with pytest.raises(Refused, match="documentId must be a string"):
        id_of(Asked({"documentId": value}))


def test_a_hash():
    """Apollo's protocol has it in an extension, of version 1."""
    assert hash_of(Asked(hashed())) == HASH
    assert hash_of(Asked({"query": "{ a }", "extensions": {"other": 1}})) == ""


@pytest.mark.parametrize(
    "extension",
    ["x", [], {}, {"sha256Hash": HASH}, {"version": 2, "sha256Hash": HASH}, {"version": 1, "sha256Hash": 5}],
)
def test_hashes_that_are_none(extension):
    """What is no object of version 1 with a hash is told so."""
    with pytest.raises(Refused, match="persistedQuery"):
        hash_of(Asked({"extensions": {"persistedQuery": extension}}))


@pytest.mark.parametrize(
    ("members", "named"),
    [(hashed(), True), ({"id": "1"}, True), ({"documentId": 5}, True), ({"variables": {}}, False)],
)
def test_whether_a_document_is_named(members, named):
    """However wrong the name is, the client means to give one."""
    assert is_named(Asked(members)) is named


def test_a_document_in_the_place_of_its_name():
    """The backend is asked as by a client that knows no names; other extensions stay."""
    asked = Asked(
        {"documentId": "1", "variables": {"a": 1}, "extensions": {**hashed()["extensions"], "x": 2}}
    )
    spell_out(asked, "{ a }")
    assert asked.rewritten
    assert asked.members == {"query": "{ a }", "variables": {"a": 1}, "extensions": {"x": 2}}
    alone = Asked({"id": "1", "operationName": "A", **hashed()})
    spell_out(alone, "query A { a }")
    assert alone.members == {"query": "query A { a }", "operationName": "A"}


def test_a_body_is_written_as_it_is_read():
    """A batch of one stays a batch."""
    body = orjson.dumps([{"query": "{ ä }", "variables": {"a": [1, None]}}])
    asked = read_body(body)
    assert write_body(asked) == body
    assert orjson.loads(write_body(asked[0])) == orjson.loads(body)[0]


def test_parameters_are_written_as_they_are_read():
    """What was decoded is encoded again, and objects are JSON."""
    asked = read_query(
        "query=%7B%20%C3%A4%20%7D&variables=%7B%22a%22%3A%22%26%22%7D&operationName=A%2BB&more=1"
    )
    again = read_query(write_query(asked))
    assert again.members == asked.members
    assert asked.members["query"] == "{ ä }"
    assert " " not in write_query(asked)


@pytest.mark.parametrize(
    "members",
    [
        {"documentId": "1", "doc_id": "2"},
        {"doc_id": "2", "id": "3"},
        {"id": "1", **hashed()},
    ],
)
def test_two_names(members):
    """Nobody can tell which of them a backend would take."""
    with pytest.raises(Refused, match="more than one document"):
        name_of(Asked(members))


def test_one_name_twice():
    """Is one name, with or without what says how it was made."""
    assert name_of(Asked({"documentId": "sha256:" + HASH, **hashed()})) == HASH
    assert name_of(Asked({"documentId": "1", "id": "1"})) == "1"


def test_a_hash_in_two_spellings():
    """Readers that do not mind capitals may take the other one."""
    with pytest.raises(Refused, match="more than once"):
        hash_of(Asked(hashed(SHA256HASH="b" * 64)))
