"""Introspection by clients: who may, whatever way they ask."""

from __future__ import annotations

import pytest
from graphql import get_introspection_query
from plugin_case import make
from pydantic import ValidationError
from schema_case import caller, examine, plugin

from proxyd.graphql.document import Operation
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked
from proxyd.plugins.graphql import GraphQL

ASKING = [
    "{__schema{types{name}}}",
    "{__schema{queryType{name}}}",
    '{__type(name:"User"){name}}',
    '{me:__type(name:"User"){name}}',
    "{...{__schema{types{name}}}}",
    "{...on Query{__schema{types{name}}}}",
    "{...a} fragment a on Query{...b} fragment b on Query{x:__schema{types{name}}}",
    "{me{id} ...b} fragment b on Query{__schema{types{name}}}",
    "{__schema @skip(if:true){types{name}}}",
    "query Q{__schema{types{name}}}",
    get_introspection_query(),
]


@pytest.mark.parametrize("query", ASKING)
def test_nobody_may_unless_it_is_said(tmp_path, query):
    """With a schema and without one."""
    for instance in (plugin(tmp_path), make(GraphQL)):
        refused = examine(instance, query)
        assert isinstance(refused, Refused)
        assert (refused.status, refused.code) == (403, "INTROSPECTION_FORBIDDEN")


@pytest.mark.parametrize("query", ["{__typename}", "{me{__typename x:__typename}}", "{me{id}}"])
def test_typename_is_for_everybody(tmp_path, query):
    """Clients add it by themselves."""
    for instance in (plugin(tmp_path), make(GraphQL)):
        assert isinstance(examine(instance, query), Operation)


@pytest.mark.parametrize("query", ASKING)
def test_roles_decide(query):
    """Those named, anonymous among them, and no others."""
    instance = make(GraphQL, introspection={"allow": "roles", "roles": ["dev"]})
    assert isinstance(examine(instance, query, caller("dev")), Operation)
    assert isinstance(examine(instance, query, caller("other")), Refused)
    assert isinstance(examine(instance, query, caller(anonymous=True)), Refused)
    instance = make(GraphQL, introspection={"allow": "roles", "roles": ["anonymous"]})
    assert isinstance(examine(instance, query, caller(anonymous=True)), Operation)
    assert isinstance(examine(instance, query, caller("dev")), Refused)


def test_only_the_operation_that_asks_is_refused():
    """Another one of the same document passes."""
    instance = make(GraphQL)
    text = "query A{me{id}} query B{...f} fragment f on Query{__schema{types{name}}}"
    asked = Asked({"query": text, "operationName": "A"})
    assert instance._examiner.examine(caller(), asked).name == "A"
    with pytest.raises(Refused):
        instance._examiner.examine(caller(), Asked({"query": text, "operationName": "B"}))


def test_roles_come_from_a_token_too():
    """From the claim that is configured."""
    instance = make(GraphQL, introspection={"allow": "roles", "roles": ["dev"]}, roles_claim="realm.roles")
    who = caller()
    who.claims = {"realm": {"roles": ["dev"]}}
    assert isinstance(examine(instance, ASKING[0], who), Operation)
    who.claims = {"realm": {"roles": ["other"]}, "roles": ["dev"]}
    assert isinstance(examine(instance, ASKING[0], who), Refused)


def test_always_is_for_everybody(tmp_path):
    """For development."""
    instance = plugin(tmp_path, introspection={"allow": "always"})
    assert isinstance(examine(instance, get_introspection_query(), caller(anonymous=True)), Operation)


@pytest.mark.parametrize("config", [{"allow": "roles"}, {"roles": ["a"]}, {"allow": "sometimes"}])
def test_settings_go_together(config):
    """Roles are for allow: roles."""
    with pytest.raises(ValidationError):
        make(GraphQL, introspection=config)
