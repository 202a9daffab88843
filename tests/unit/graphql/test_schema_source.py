"""Where a schema comes from, and what is not one."""

from __future__ import annotations

import gc
import weakref

import orjson
import pytest
from graphql import build_schema, introspection_from_schema
from plugin_case import make
from pydantic import ValidationError
from schema_case import SDL, plugin

from proxyd.errors import ConfigError
from proxyd.graphql.schema.known import SchemaError, from_introspection, from_sdl
from proxyd.graphql.schema.source import Schema
from proxyd.plugins.graphql import GraphQL

ANSWER = {"data": introspection_from_schema(build_schema(SDL))}


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "exactly one"),
        ({"file": "a", "introspection": {}}, "exactly one"),
        ({"introspection": {"path": "graphql"}}, "pattern"),
        ({"introspection": {"path": "/a b"}}, "pattern"),
        ({"introspection": {"path": "/a?b"}}, "pattern"),
        ({"introspection": {"headers": {"a b": "c"}}}, "pattern"),
        ({"introspection": {"headers": {"Host": "c"}}}, "not for the configuration"),
        ({"introspection": {"headers": {"A": "c\r\nB: d"}}}, "value of A cannot stand"),
        ({"introspection": {"interval": 99}}, "greater than"),
    ],
)
def test_what_is_refused(config, complaint):
    """And no value of a header is shown."""
    with pytest.raises(ValidationError, match=complaint):
        GraphQL.Config(schema_from=config)


def test_secrets_are_not_shown():
    """Headers are for the backend."""
    config = GraphQL.Config(schema_from={"introspection": {"headers": {"Authorization": "s3cret"}}})
    assert "s3cret" not in repr(config)


def test_a_plugin_for_everything_has_no_backend_to_ask():
    """It is told so before anything starts."""
    with pytest.raises(ConfigError, match="no backend to ask"):
        make(GraphQL, schema_from={"introspection": {}})


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":{"__schema":{}}}',
        b'{"data":{"__schema":{"types":[]}}}',
        b'{"data":{"__schema":{"types":[{"kind":"OBJECT"}],"queryType":{"name":"Q"},"directives":[]}}}',
        orjson.dumps(ANSWER | {"errors": [{"message": "no"}]}),
    ],
)
def test_an_answer_that_is_no_schema(answer):
    """Nothing but SchemaError comes of it."""
    with pytest.raises(SchemaError):
        from_introspection(answer)


def test_one_schema_is_built_once_while_it_is_used():
    """And its room is free when nobody uses it any more."""
    text = SDL + "# once"
    known = from_sdl(text, "a")
    assert from_sdl(text, "b") is known
    told = from_introspection(orjson.dumps(ANSWER))
    assert from_introspection(orjson.dumps(ANSWER)) is told
    gone = weakref.ref(known)
    del known
    gc.collect()
    assert gone() is None


def test_only_another_schema_takes_the_place(tmp_path):
    """The same one changes nothing for documents."""
    instance = plugin(tmp_path)
    schema = Schema(instance._schema.now)
    heard = []
    schema.changed.append(lambda: heard.append(1))
    assert not schema.take(from_sdl(SDL, "again"))
    assert heard == []
    assert schema.take(from_sdl(SDL + "type Another { id: ID }", "other"))
    assert heard == [1]
