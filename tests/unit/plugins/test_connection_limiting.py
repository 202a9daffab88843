"""connection-limiting: who is counted, when, and what lets go."""

from __future__ import annotations

import pytest
from plugin_case import exchange, kit, make
from pydantic import ValidationError

from proxyd.model.entities import Consumer, KeyAuthCredential
from proxyd.plugin import Scope
from proxyd.plugins.connection_limiting import ConnectionLimiting


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "at least one of"),
        ({"per_ip": 0}, "greater than or equal to 1"),
        ({"per_ip": 1, "error_code": 500}, "429"),
        ({"per_ip": 1, "ipv6_prefix": 129}, "128"),
    ],
)
def test_what_is_refused(config, message):
    """Limits that are none, and statuses that mean something else."""
    with pytest.raises(ValidationError, match=message):
        ConnectionLimiting.Config(**config)


def came(plugin, one):
    """Run both phases, and return the refusal or None."""
    return plugin.rewrite(one) or plugin.access(one)


def of(consumer, peer="192.0.2.1"):
    one = exchange(peer=peer)
    one.consumer = Consumer(id=consumer)
    return one


def test_as_many_as_the_limit_are_under_way():
    """One that ends makes room for one more; nothing is kept of who is gone."""
    plugin = make(ConnectionLimiting, per_ip=2)
    first, second, third = exchange(), exchange(), exchange()
    assert [came(plugin, one) for one in (first, second)] == [None, None]
    reply = came(plugin, third)
    assert (reply.status, reply.message) == (429, "Too many connections")
    assert reply.headers.get(b"retry-after") == b"1"
    plugin.log(third)  # it held nothing
    assert came(plugin, exchange()) is not None
    plugin.log(first)
    plugin.log(first)  # once is all
    assert came(plugin, exchange()) is None
    assert came(plugin, exchange()) is not None
    assert list(plugin.kit.counting.under_way.counts.values()) == [2]
    plugin.log(second)
    assert list(plugin.kit.counting.under_way.counts.values()) == [1]


def test_the_refusal_is_as_configured():
    """503, another text, and no promise."""
    plugin = make(ConnectionLimiting, per_ip=1, error_code=503, error_message="Full", retry_after=0)
    came(plugin, exchange())
    reply = came(plugin, exchange())
    assert (reply.status, reply.message, reply.headers) == (503, "Full", None)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ],
)
def test_what_is_one_address(first, second, same):
    """Of IPv6, whatever one household can choose from."""
    plugin = make(ConnectionLimiting, per_ip=1)
    assert came(plugin, exchange(peer=first)) is None
    assert (came(plugin, exchange(peer=second)) is not None) == same


def test_a_unix_socket_is_one_address():
    """Its peers have none of their own: whoever stands in front of the gateway there is one client, until it says whose."""
    plugin = make(ConnectionLimiting, per_ip=1)
    assert came(plugin, exchange(peer="unix:")) is None
    assert came(plugin, exchange(peer="unix:")).status == 429


def test_an_instance_for_one_consumer_counts_addresses_too():
    """As soon as it is known who calls, and for itself: the one for all may have counted the same request."""
    lent = kit()
    for_all = ConnectionLimiting(ConnectionLimiting.Config(per_ip=9), "a", Scope(), lent)
    for_one = ConnectionLimiting(ConnectionLimiting.Config(per_ip=1), "b", Scope(consumer="c"), lent)
    outcomes = []
    for one in (of("c"), of("c"), of("c", "192.0.2.2")):
        assert for_all.rewrite(one) is None
        outcomes.append(for_one.access(one))
    assert [outcome is None for outcome in outcomes] == [True, False, True]


def test_consumers():
    """Wherever they come from; who is nobody is not counted as one, and a credential stands in for a consumer."""
    plugin = make(ConnectionLimiting, per_consumer=1)
    assert came(plugin, of("a")) is None
    assert came(plugin, of("a", "192.0.2.9")) is not None
    assert came(plugin, of("b")) is None
    assert [came(plugin, exchange()) for _ in range(3)] == [None] * 3
    for expected in (True, False):
        one = exchange()
        one.credential = KeyAuthCredential(id="k", key="k", consumer="")
        assert (came(plugin, one) is None) == expected


def test_a_consumer_that_is_refused_lets_go_of_the_address():
    """What is held is held until the end, and no longer."""
    plugin = make(ConnectionLimiting, per_ip=9, per_consumer=1)
    came(plugin, of("a"))
    one = of("a")
    assert came(plugin, one) is not None
    assert sorted(plugin.kit.counting.under_way.counts.values()) == [1, 2]
    plugin.log(one)
    assert sorted(plugin.kit.counting.under_way.counts.values()) == [1, 1]


def test_another_instance_may_let_go():
    """The one of a consumer sees the end of a request that the one for all saw the beginning of."""
    lent = kit()
    for_all = ConnectionLimiting(ConnectionLimiting.Config(per_ip=1), "a", Scope(), lent)
    for_one = ConnectionLimiting(ConnectionLimiting.Config(per_consumer=1), "b", Scope(consumer="c"), lent)
    one = of("c")
    assert for_all.rewrite(one) is None
    assert for_one.access(one) is None
    for_one.log(one)
    assert lent.counting.under_way.counts == {}
