"""Fields, types and input by role: whatever way there is to them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from schema_case import caller, examine, plugin

from proxyd.graphql.refusal import Refused


def allowed(tmp_path, rules, query, *groups, anonymous=False, **variables):
    instance = plugin(tmp_path, permissions=rules)
    found = examine(instance, query, caller(*groups, anonymous=anonymous), **variables)
    if isinstance(found, Refused):
        assert (found.status, found.code) == (403, "FORBIDDEN"), found.message
        return False
    return True


STAFF = {"allow": ["staff"]}

WAYS = [
    # rule, operation that uses what it is about
    ("User.email", "{me{email}}"),
    ("User.email", "{me{id: email}}"),
    ("User.email", "{me{...f}} fragment f on User{email}"),
    ("User.email", "{me{...g}} fragment g on User{...f} fragment f on User{friends{email}}"),
    ("User.email", "{me{...{email}}}"),
    ("User.email", "{me{... on Actor{email}}}"),
    ("User.email", "{actor{email}}"),
    ("User.email", "{actor{...f}} fragment f on Actor{email}"),
    ("User.email", "{node(id:1){...on Actor{email}}}"),
    ("User.email", '{search(text:""){...on Actor{email}}}'),
    ("User.email", '{search(text:""){...on User{friends{friends{email}}}}}'),
    ("User.email", 'mutation{login(name:""){email}}'),
    ("User.email", "subscription{changed{email}}"),
    ("User.email", "{me{email @skip(if:true)}}"),
    ("User.*", "{me{name}}"),
    ("User.*", "{node(id:1){id}}"),
    ("Actor.email", "{me{email}}"),
    ("Actor.email", "{actor{...on Bot{email}}}"),
    ("Node.id", "{secret{id}}"),
    ("Node", "{secret{code}}"),
    ("Secret.id", "{node(id:1){id}}"),
    ("Secret.id", '{search(text:""){...on Node{id}}}'),
    ("Secret", "{secret{__typename}}"),
    ("Secret", "{node(id:1){...on Secret{x:__typename}}}"),
    ("Secret", "{node(id:1){id}}"),
    ("Secret", '{search(text:""){...on Secret{code}}}'),
    ("Result", '{search(text:""){__typename}}'),
    ("Actor", "{me{name}}"),
    ("Query.users", "{users{id}}"),
    ("Query.*", "{me{id}}"),
    ("Query", "{__typename}"),
    ("Mutation.*", "mutation{remove(id:1)}"),
    ("Mutation", "mutation{remove(id:1)}"),
    ("Subscription.changed", "subscription{changed{id}}"),
    ("Query.user(filter:)", "{user(id:1,filter:{}){id}}"),
    ("Query.user(filter:)", "query($f:Filter){user(id:1,filter:$f){id}}"),
    ("Filter", "{user(id:1,filter:{}){id}}"),
    ("Filter", "query($f:Filter){user(id:1,filter:$f){id}}"),
    ("Filter.secret", '{user(id:1,filter:{secret:""}){id}}'),
    ("Filter.secret", "{user(id:1,filter:{and:[{and:{secret:null}}]}){id}}"),
    ("Filter.secret", "query($s:String){user(id:1,filter:{secret:$s}){id}}"),
    ("Filter.secret", 'query($f:Filter={secret:""}){user(id:1,filter:$f){id}}'),
    ("Filter.*", '{user(id:1,filter:{name:""}){id}}'),
    ("Status.HIDDEN", "{users(filter:{status:HIDDEN}){id}}"),
    ("Status.HIDDEN", "subscription{changed(status:HIDDEN){id}}"),
    ("Status.*", "subscription{changed(status:OPEN){id}}"),
    ("Status", "{status}"),
    ("SSN", "{ssn}"),
]


@pytest.mark.parametrize(("rule", "operation"), WAYS)
def test_no_way_leads_around_a_rule(tmp_path, rule, operation):
    """A field counts by what it may be, through interfaces, unions, fragments, aliases and arguments."""
    assert not allowed(tmp_path, {rule: STAFF}, operation)
    assert not allowed(tmp_path, {rule: STAFF}, operation, anonymous=True)
    assert not allowed(tmp_path, {rule: {"deny": ["guest"]}}, operation, "staff", "guest")
    assert allowed(tmp_path, {rule: STAFF}, operation, "other", "staff")
    assert allowed(tmp_path, {rule: {"deny": ["guest"]}}, operation, "staff")


@pytest.mark.parametrize(
    ("rule", "operation"),
    [
        ("User.email", "{me{name}}"),
        ("User.email", "{me{email: name}}"),
        ("User.email", "{actor{...on Bot{email}}}"),
        ("Secret", '{search(text:""){__typename ...on Post{title}}}'),
        ("Secret", "{node(id:1){__typename ...on User{id}}}"),
        ("User.*", "{me{__typename}}"),
        ("Query.*", "{__typename}"),
        ("Filter.secret", "query($f:Filter){user(id:1,filter:$f){id}}"),
        ("Filter.secret", '{user(id:1,filter:{name:"secret"}){id}}'),
        ("Status.HIDDEN", "{users(filter:{status:OPEN}){id}}"),
        ("Query.user(filter:)", "{user(id:1){id}}"),
    ],
)
def test_what_is_not_used_is_not_asked_about(tmp_path, rule, operation):
    """Everybody may use what lies beside."""
    assert allowed(tmp_path, {rule: STAFF}, operation)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("Filter.secret", {"secret": "x"}, False),
        ("Filter.secret", {"secret": None}, False),
        ("Filter.secret", {"and": [{"name": "x"}, {"and": {"secret": "x"}}]}, False),
        ("Filter.secret", {"and": [None, 3, [{"secret": 1}]]}, False),
        ("Filter.secret", {"name": "secret", "nope": {"secret": 1}}, True),
        ("Filter.secret", None, True),
        ("Status.HIDDEN", {"status": "HIDDEN"}, False),
        ("Status.HIDDEN", {"and": {"status": "HIDDEN"}}, False),
        ("Status.HIDDEN", {"status": "OPEN", "name": "HIDDEN"}, True),
        ("Status.HIDDEN", {"status": ["HIDDEN"]}, False),
    ],
)
def test_variables_are_looked_through(tmp_path, rule, value, expected):
    """Where a type may hold what is guarded, it depends on the value, which may be anything."""
    query = "query($f:Filter){user(id:1,filter:$f){id}}"
    assert allowed(tmp_path, {rule: STAFF}, query, f=value) == expected
    assert allowed(tmp_path, {rule: STAFF}, query, "staff", f=value)


def test_a_name_goes_before_a_star(tmp_path):
    """What is said of one field is not also what is said of all others."""
    rules = {"Mutation.*": STAFF, "Mutation.login": {"allow": ["anonymous"]}}
    assert allowed(tmp_path, rules, 'mutation{login(name:"a"){id}}', anonymous=True)
    assert not allowed(tmp_path, rules, "mutation{remove(id:1)}", anonymous=True)
    assert not allowed(tmp_path, rules, 'mutation{login(name:"a"){id} remove(id:1)}', anonymous=True)
    assert not allowed(tmp_path, rules, 'mutation{login(name:"a"){id}}', "staff")


def test_a_refusal_names_what_the_client_wrote(tmp_path):
    """And not the type, nor the rule."""
    instance = plugin(tmp_path, permissions={"User.email": STAFF})
    refused = examine(instance, "{actor{mail: email}}")
    assert refused.message == "The field 'email' is not allowed as it is used"


def test_what_was_decided_for_some_roles_holds_for_them_alone(tmp_path):
    """One document, asked for by different callers in turn."""
    instance = plugin(tmp_path, permissions={"User.email": STAFF})
    for who, passes in [
        (("a",), False),
        (("staff",), True),
        (("b",), False),
        (("staff", "x"), True),
        ((), False),
    ]:
        assert isinstance(examine(instance, "{me{email}}", caller(*who)), Refused) != passes


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"User.mail": STAFF}, "no User.mail"),
        ({"Usr": STAFF}, "no Usr"),
        ({"Query.user(ids:)": STAFF}, r"no Query.user\(ids:\)"),
        ({"Status.GONE": STAFF}, "no Status.GONE"),
        ({"User.email": {}}, "exactly one"),
        ({"User.email": {"allow": ["a"], "deny": ["b"]}}, "exactly one"),
        ({"User email": STAFF}, "pattern"),
    ],
)
def test_rules_are_checked(tmp_path, rules, complaint):
    """A rule for what there is not would leave open what was meant."""
    with pytest.raises(ValidationError, match=complaint):
        plugin(tmp_path, permissions=rules)
