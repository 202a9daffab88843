"""Manifests as files: both formats, and every error with its place."""

from __future__ import annotations

import json

import pytest

from proxyd.errors import ConfigError
from proxyd.graphql.manifest import Entry, read_manifest


def apollo(*operations, **more):
    return {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": list(operations),
        **more,
    }


def operation(name="A", **more):
    return {"id": f"id of {name}", "body": f"query {name} {{ a }}", "name": name, "type": "query", **more}


@pytest.fixture
def file(tmp_path):
    """Give what writes a file, of an object or of bytes, and returns its name."""

    def write(document):
        path = tmp_path / "manifest.json"
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return str(path)

    return write


def problems(name):
    """Return what is wrong with a file, without its name."""
    with pytest.raises(ConfigError) as caught:
        read_manifest(name)
    return [str(problem).replace(name, "FILE") for problem in caught.value.problems]


def test_apollos_format(file):
    """The body is the document; a client's name goes with it."""
    name = file(apollo(operation(), operation("B", clientName="ios")))
    assert read_manifest(name) == [
        Entry("id of A", "query A { a }"),
        Entry("id of B", "query B { a }", "ios"),
    ]


def test_relays_format(file):
    """It is documents by their ids."""
    assert read_manifest(file({"1": "{ a }", "2": "{ b }"})) == [Entry("1", "{ a }"), Entry("2", "{ b }")]
    assert read_manifest(file({})) == []


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (b'{"a": "{ a }",\n "b" "{ b }"}', ["FILE:2:6: is not JSON"]),
        (b"\xff", ["FILE:1:1: is not JSON"]),
        (
            [],
            [
                "FILE: must be an object ('format': 'apollo-persisted-query-manifest', or documents by their ids)"
            ],
        ),
        (
            {"format": "other", "operations": []},
            ["FILE: format: must be 'apollo-persisted-query-manifest'"],
        ),
        (apollo(version=2), ["FILE: version: must be 1"]),
        (apollo(operations={}), ["FILE: operations: must be a list"]),
        (
            apollo(operation(id=5), operation(), 7, operation("C", body="", type="none")),
            [
                "FILE: operations[0].id: must be a string that is not empty",
                "FILE: operations[2]: must be an object",
                "FILE: operations[3].body: must be a string that is not empty",
            ],
        ),
        (
            apollo(operation(type="none"), operation("B") | {"name": 1}, operation("C", clientName=[1])),
            [
                "FILE: operations[0].type: must be one of query, mutation, subscription",
                "FILE: operations[1].name: must be a string",
                "FILE: operations[2].clientName: must be a string",
            ],
        ),
        (
            apollo(operation(), operation("B"), operation(body="query A { b }")),
            ["FILE: operations[2].id: is that of operations[0], whose body is another one"],
        ),
        (
            {"1": "{ a }", "2": {"body": "{ b }"}, "": "{ c }"},
            [
                "FILE: 2: must be a document, as a string ({id: body}, or Apollo's format)",
                "FILE: has an id that is empty",
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file, document, wrong):
    """All of it at once, by the way through the JSON."""
    found = problems(file(document))
    if wrong[0].endswith("is not JSON"):  # the rest is the parser's
        found = [one[: len(wrong[0])] for one in found]
    assert found == wrong


def test_only_so_many_problems_are_told(file):
    """A file of another kind is not told of line by line."""
    assert len(problems(file({str(number): 5 for number in range(100)}))) == 20


def test_a_file_that_is_not_there(tmp_path):
    """The reason is the system's."""
    name = str(tmp_path / "none.json")
    assert problems(name) == ["FILE: cannot be read: No such file or directory"]
    assert problems("\0") == ["FILE: cannot be read: embedded null byte"]
