"""ip-restriction: which addresses are let in."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.plugins.ip_restriction import IpRestriction

LAN = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "allow or deny is needed"),
        ({"allow": ["10.0.0.300"]}, "'10.0.0.300' is neither"),
        ({"deny": ["example.com"]}, "neither"),
        ({"allow": []}, "allow or deny is needed"),
        ({"allow": "10.0.0.1"}, "valid tuple"),
        ({"deny": ["::ffff:10.0.0.1/24"]}, "write it as IPv4"),
    ],
)
def test_what_is_refused(config, message):
    """A list that says nothing, or holds no address."""
    with pytest.raises(ValidationError, match=message):
        IpRestriction.Config(**config)


@pytest.mark.parametrize(
    ("config", "address", "passes"),
    [
        ({"allow": LAN}, "10.1.2.3", True),
        ({"allow": LAN}, "::ffff:10.1.2.3", True),
        ({"allow": LAN}, "2001:db8::1", True),
        ({"allow": LAN}, "2001:db9::1", False),
        ({"allow": LAN}, "11.0.0.1", False),
        ({"allow": ["192.0.2.7"]}, "192.0.2.7", True),
        ({"allow": ["192.0.2.7/24"]}, "192.0.2.99", True),
        ({"deny": LAN}, "11.0.0.1", True),
        ({"deny": LAN}, "10.0.0.1", False),
        ({"allow": LAN, "deny": ["10.0.0.1"]}, "10.0.0.1", False),
        ({"deny": ["::ffff:10.0.0.1"]}, "10.0.0.1", False),
        ({"deny": ["::ffff:10.0.0.1"]}, "::ffff:10.0.0.1", False),
        ({"deny": ["::ffff:10.0.0.1"]}, "10.0.0.2", True),
        ({"deny": ["::ffff:0:0/96"]}, "203.0.113.9", False),
        ({"deny": ["::ffff:0:0/96"]}, "2001:db8::1", True),
        ({"deny": ["::ffff:10.1.2.3/104"]}, "10.9.9.9", False),
        ({"allow": ["::ffff:10.0.0.0/104"]}, "11.0.0.1", False),
        ({"deny": ["::/0"]}, "10.0.0.1", True),
        ({"allow": LAN}, "unix:", False),
        ({"deny": LAN}, "unix:", False),
    ],
)
def test_addresses(config, address, passes):
    """Deny wins over allow, IPv4 counts as such however written, and what has no address passes no list."""
    plugin = make(IpRestriction, **config)
    for _ in range(2):  # the second time, it is remembered
        reply = plugin.access(exchange(peer=address))
        assert (reply is None) == passes


def test_a_refusal_says_whom_it_refuses():
    """Unless told otherwise."""
    reply = make(IpRestriction, deny=["192.0.2.1"]).access(exchange())
    assert (reply.status, reply.message) == (403, "IP address not allowed: 192.0.2.1")
    reply = make(IpRestriction, deny=["192.0.2.1"], status=404, message="Gone").access(exchange())
    assert (reply.status, reply.message) == (404, "Gone")


def test_remembered_addresses_are_bounded():
    """A whole network of clients does not fill the memory."""
    plugin = make(IpRestriction, deny=LAN)
    for number in range(10_000):
        plugin.access(exchange(peer=f"192.{number // 62_500}.{number // 250}.{number % 250}"))
    assert plugin._allows.cache_info().currsize <= 4096


def test_older_names_are_read():
    """Kong's before 3.0; today's win, and an empty list is none."""
    config = IpRestriction.Config(whitelist=["10.0.0.1"], blacklist=["10.0.0.2"], deny=["10.0.0.3"])
    assert (config.allow, config.deny) == (("10.0.0.1",), ("10.0.0.3",))
    assert IpRestriction.Config(blacklist=["10.0.0.2"], deny=None).deny == ("10.0.0.2",)
    assert IpRestriction.Config(allow=[], deny=["10.0.0.2"]).allow is None
    with pytest.raises(ValidationError, match="neither an address"):
        IpRestriction.Config(whitelist=["x"])
