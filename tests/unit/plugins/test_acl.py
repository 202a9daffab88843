"""acl: groups and roles."""

from __future__ import annotations

import pytest
from plugin_case import exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.identity import identify
from proxyd.model.base import Stored
from proxyd.plugins.acl import Acl

CONSUMERS = ({"username": "ann", "acls": [{"group": "staff"}, {"group": "beta"}]}, {"username": "bob"})


CONSUMERS = (*CONSUMERS, {"username": "odd", "acls": [{"group": "a, b"}, {"group": "50%"}, {"group": " x"}]})


def outcome(who=None, groups=None, claims=None, anonymous=False, **config):
    lent = kit(*CONSUMERS)
    one = exchange()
    consumer = lent.consumers.find(who) if who else None
    identify(one, consumer, Stored(id="c") if who and not anonymous else None, anonymous=anonymous)
    one.headers.lines.clear()
    one.groups, one.claims = groups, claims
    reply = make(Acl, lent, **config).access(one)
    return (reply.status, reply.message) if reply else sent(one)


ADMIN = {"x-authenticated-groups": "admin"}
ODD = "admin, a%2Cb, x%0A, %ED%A0%80"
UNKNOWN, REFUSED = (401, "Unauthorized"), (403, "You cannot consume this service")


@pytest.mark.parametrize("config", [{}, {"allow": ["a"], "deny": ["b"]}, {"allow": []}])
def test_one_list_is_needed(config):
    """Not none, not both, not an empty one."""
    with pytest.raises(ValidationError):
        Acl.Config(**config)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"allow": ["staff"]}, UNKNOWN),
        ({"deny": ["staff"]}, UNKNOWN),
        ({"who": "ann", "allow": ["x", "staff"]}, {"x-consumer-groups": "staff, beta"}),
        ({"who": "ann", "allow": ["staff"], "hide_groups_header": True}, {}),
        ({"who": "ann", "allow": ["x"]}, REFUSED),
        ({"who": "ann", "deny": ["beta"]}, REFUSED),
        ({"who": "ann", "deny": ["x"]}, {"x-consumer-groups": "staff, beta"}),
        ({"who": "bob", "allow": ["staff"]}, REFUSED),
        ({"who": "bob", "deny": ["staff"]}, {}),
        ({"groups": ("a", "b"), "allow": ["b"]}, {"x-authenticated-groups": "a, b"}),
        ({"who": "ann", "groups": ("a",), "allow": ["a"]}, REFUSED),
        ({"who": "bob", "groups": ("a",), "allow": ["a"]}, REFUSED),
        (
            {"who": "ann", "anonymous": True, "groups": ("a",), "allow": ["a"]},
            {"x-authenticated-groups": "a"},
        ),
        ({"who": "ann", "anonymous": True, "groups": ("a",), "allow": ["staff"]}, REFUSED),
        ({"who": "ann", "anonymous": True, "allow": ["staff"]}, {"x-consumer-groups": "staff, beta"}),
        ({"who": "odd", "deny": ["a"]}, {"x-consumer-groups": "a%2C b, 50%25, %20x"}),
        ({"who": "odd", "allow": ["b", "x"]}, REFUSED),
        ({"who": "odd", "deny": ["a, b"]}, REFUSED),
        (
            {"who": "ann", "groups": ("a",), "allow": ["a"], "always_use_authenticated_groups": True},
            {"x-authenticated-groups": "a"},
        ),
    ],
)
def test_groups(given, expected):
    """Vouched ones count for who has shown no credential, or where asked for; 401 is for who is not known at all."""
    assert outcome(**given) == expected


@pytest.mark.parametrize(
    ("claims", "path", "expected"),
    [
        ({"roles": ["admin", 3]}, "roles", {"x-authenticated-groups": "admin"}),
        ({"scope": "read admin"}, "scope", {"x-authenticated-groups": "read, admin"}),
        ({"realm": {"roles": ["admin"]}}, "realm.roles", {"x-authenticated-groups": "admin"}),
        ({"realm": ["admin"]}, "realm.roles", REFUSED),
        ({"roles": {"admin": True}}, "roles", REFUSED),
        ({"roles": [["admin"]]}, "roles", REFUSED),
        ({"roles": True}, "roles", REFUSED),
        ({"roles": None}, "roles.admin", REFUSED),
        ({"roles": "admin"}, "roles.admin", REFUSED),
        ({"roles": ["admin,root"]}, "roles", REFUSED),
        ({"roles": ["", "admin", "a,b", "x\n", "\ud800"]}, "roles", {"x-authenticated-groups": ODD}),
        ({"https://example.com/roles": ["admin"]}, "https://example.com/roles", ADMIN),
        ({"access": {"my.app": {"roles": ["admin"]}}}, "access.my.app.roles", ADMIN),
        ({"a": {"b": ["admin"]}, "a.b": ["user"]}, "a.b", REFUSED),
        ({}, "roles", REFUSED),
        ({"roles": ["admin"]}, None, REFUSED),
    ],
)
def test_roles_of_a_token(claims, path, expected):
    """Count like groups, where the path leads to texts."""
    assert outcome(claims=claims, allow=["admin"], roles_claim=path) == expected


def test_roles_and_groups_count_together():
    """One line says who may call, whichever way they are known; the upstream is told each name once."""
    claims = {"roles": ["admin", "staff"]}
    given = {"who": "ann", "claims": claims, "roles_claim": "roles"}
    assert outcome(**given, allow=["admin"]) == {"x-consumer-groups": "staff, beta, admin"}
    assert outcome(**given, deny=["admin"]) == REFUSED
    assert outcome(who="ann", roles_claim="roles", allow=["admin"]) == REFUSED


def test_older_names_are_read():
    """Kong's before 3.0, and lists that an export leaves empty."""
    assert Acl.Config(whitelist=["a"], deny=[]).allow == ("a",)
    assert outcome(who="ann", blacklist=["staff"]) == REFUSED
