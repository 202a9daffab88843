"""acl: groups and roles."""

from __future__ import annotations

import pytest
from plugin_case import exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.plugins.acl import Acl

CONSUMERS = ({"username": "ann", "acls": [{"group": "staff"}, {"group": "beta"}]}, {"username": "bob"})


def outcome(who=None, groups=None, claims=None, **config):
    lent = kit(*CONSUMERS)
    one = exchange()
    one.consumer = lent.consumers.find(who) if who else None
    one.groups, one.claims = groups, claims
    reply = make(Acl, lent, **config).access(one)
    return (reply.status, reply.message) if reply else sent(one)


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
        (
            {"who": "ann", "groups": ("a",), "allow": ["a"], "always_use_authenticated_groups": True},
            {"x-authenticated-groups": "a"},
        ),
    ],
)
def test_groups(given, expected):
    """A consumer's own count before those that a plugin vouches for; 401 is for who is not known at all."""
    assert outcome(**given) == expected


@pytest.mark.parametrize(
    ("claims", "path", "expected"),
    [
        ({"roles": ["admin", 3]}, "roles", {"x-consumer-groups": "admin"}),
        ({"scope": "read admin"}, "scope", {"x-consumer-groups": "read, admin"}),
        ({"realm": {"roles": ["admin"]}}, "realm.roles", {"x-consumer-groups": "admin"}),
        ({"realm": ["admin"]}, "realm.roles", REFUSED),
        ({"roles": {"admin": True}}, "roles", REFUSED),
        ({}, "roles", REFUSED),
        ({"roles": ["admin"]}, None, REFUSED),
    ],
)
def test_roles_of_a_token(claims, path, expected):
    """Count like groups, where the path leads to texts."""
    assert outcome(claims=claims, allow=["admin"], roles_claim=path) == expected
