"""rate-limiting: what may be asked for, what passes, and what clients are told."""

from __future__ import annotations

import json

import pytest
from conversation import FakeClock
from plugin_case import exchange, kit, make
from pydantic import ValidationError

from proxyd.exchange import Operated
from proxyd.http1.headers import Headers
from proxyd.model.entities import Consumer, KeyAuthCredential, Service
from proxyd.model.load import load_text
from proxyd.plugin import Kit, Scope
from proxyd.plugins.rate_limiting import RateLimiting
from proxyd.store.counters import CountersAway, LocalCounters
from proxyd.store.counting import Counting


class Given(FakeClock):
    """A clock of a certain time of day."""

    def __init__(self, moment):
        super().__init__()
        self.moment = moment

    def time(self):
        return self.moment


NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC


def told(plugin, one, reply):
    headers = reply.headers.copy() if reply is not None and reply.headers else Headers()
    plugin.header_filter(one, reply.status if reply else 200, headers)
    return {name.decode(): value.decode() for name, value in headers}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "at least one of"),
        ({"minute": 0}, "greater than 0"),
        ({"minute": 10, "hour": 5}, "lower than the one for minute"),
        ({"minute": 1, "limit_by": "header"}, "needs header_name"),
        ({"minute": 1, "limit_by": "path"}, "needs path"),
        ({"minute": 1, "policy": "cluster"}, "local"),
        ({"minute": 1, "policy": "redis"}, "needs redis.host"),
        ({"minute": 1, "policy": "redis", "redis": {"sentinel_master": "m"}}, "go together"),
        (
            {"minute": 1, "redis": {"cluster_nodes": [{}], "sentinel_master": "m", "sentinel_nodes": [{}]}},
            "exclude",
        ),
        ({"minute": 1, "redis": {"cluster_nodes": [{}], "database": 1}}, "only the database 0"),
        ({"minute": 1, "redis": {"hosts": "a"}}, "Extra inputs"),
        ({"minute": 1, "sync_rate": 1}, "for policy: redis"),
        ({"minute": 1, "policy": "redis", "redis_host": "a", "sync_rate": 0.01}, "0.02 at least"),
    ],
)
def test_what_is_refused(config, message):
    """Limits that contradict one another, and what would be counted nowhere."""
    with pytest.raises(ValidationError, match=message):
        RateLimiting.Config(**config)


@pytest.mark.parametrize(
    ("config", "place", "patience"),
    [
        ({"redis": {"host": "new"}}, "new:6379/0", 2.0),
        (
            {"redis_host": "old", "redis_port": 7000, "redis_database": 2, "redis_timeout": 50},
            "old:7000/2",
            0.05,
        ),
        (
            {"redis_host": "old", "redis_port": 7000, "redis": {"host": "new", "timeout": 70}},
            "new:7000/0",
            0.07,
        ),
        ({"redis": {"host": "new", "connect_timeout": 10, "read_timeout": 30}}, "new:6379/0", 0.03),
        ({"redis": {"host": "new", "timeout": 20, "read_timeout": 30}}, "new:6379/0", 0.02),
        ({"redis": {"sentinel_master": "m", "sentinel_nodes": [{"host": "s"}]}}, "sentinel:m/0", 2.0),
        ({"redis": {"cluster_nodes": [{"ip": "n"}]}}, "cluster:n:6379", 2.0),
    ],
)
def test_which_redis_is_meant(config, place, patience):
    """Kong's fields, those of Enterprise, and the older flat ones, over which the newer win one by one."""
    endpoint = RateLimiting.Config(minute=1, policy="redis", **config).endpoint
    assert (str(endpoint), endpoint.patience) == (place, patience)


def test_a_password_is_shown_nowhere():
    """Given in either form, or in the environment."""
    plugin = {
        "name": "rate-limiting",
        "config": {
            "minute": 1,
            "policy": "redis",
            "redis_host": "h",
            "redis_password": "s3cret-old",
            "redis": {"password": "{vault://env/redis-password}", "sentinel_password": None},
        },
    }
    text = json.dumps({"_format_version": "3.0", "plugins": [plugin]})
    registry = {"rate-limiting": RateLimiting.Config}
    (config,) = load_text(
        text, env={"REDIS_PASSWORD": "s3cret-new"}, plugins=registry
    ).plugin_configs.values()
    assert config.endpoint.password == "s3cret-new"
    assert "s3cret" not in repr(config) + str(config) + repr(config.endpoint) + str(config.endpoint)


async def test_redis_that_is_away_from_the_start():
    """Requests wait for it once, and are then counted here, or fail; none passes uncounted."""
    where = {"policy": "redis", "redis": {"host": "127.0.0.1", "port": 1, "timeout": 1000}}
    for tolerant, expected in ((True, [None, 429, 429]), (False, [500, 500, 500])):
        lent = kit()
        plugin = make(RateLimiting, lent, year=1, fault_tolerant=tolerant, **where)
        await plugin.start()
        replies = [await plugin.access(exchange())]
        replies += [plugin.access(exchange()) for _ in range(2)]  # without an awaitable
        assert [reply and reply.status for reply in replies] == expected
        assert lent.counting.fallbacks["redis"] == (3 if tolerant else 0)
        await plugin.stop()
        await plugin.stop()


def test_an_instance_that_was_not_started_counts_here():
    """As in a rehearsal: nothing is opened."""
    plugin = make(RateLimiting, year=1, policy="redis", redis_host="h")
    assert [plugin.access(exchange()) is None for _ in range(2)] == [True, False]


def test_what_clients_are_told():
    """Kong's headers: each window, and the tightest of them; a refusal says when to come again."""
    clock = Given(NOON + 10)
    plugin = make(RateLimiting, kit(clock=clock), minute=2, hour=100)
    one = exchange()
    assert plugin.access(one) is None
    assert told(plugin, one, None) == {
        "x-ratelimit-limit-minute": "2",
        "x-ratelimit-remaining-minute": "1",
        "x-ratelimit-limit-hour": "100",
        "x-ratelimit-remaining-hour": "99",
        "ratelimit-limit": "2",
        "ratelimit-remaining": "1",
        "ratelimit-reset": "50",
    }
    plugin.access(exchange())
    clock.moment += 20.5
    last = exchange()
    reply = plugin.access(last)
    assert (reply.status, reply.message) == (429, "API rate limit exceeded")
    heard = told(plugin, last, reply)
    assert (heard["retry-after"], heard["ratelimit-reset"], heard["ratelimit-remaining"]) == ("30", "30", "0")
    assert heard["x-ratelimit-remaining-hour"] == "98"
    clock.moment = NOON + 60
    assert plugin.access(exchange()) is None


def test_one_window_is_told_as_several_are():
    """The lines of the common case are kept, and are the same as those made for the occasion."""
    clock = Given(NOON + 10)
    one = make(RateLimiting, kit(clock=clock), minute=3)
    for moment, left, reset in (
        (10, "2", "50"),
        (10.5, "1", "50"),
        (12, "0", "48"),
        (12, "0", "48"),
        (61, "2", "59"),
    ):
        clock.moment = NOON + moment
        ours = exchange()
        assert told(one, ours, one.access(ours)) | {"retry-after": ""} == {
            "x-ratelimit-limit-minute": "3",
            "x-ratelimit-remaining-minute": left,
            "ratelimit-limit": "3",
            "ratelimit-remaining": left,
            "ratelimit-reset": reset,
            "retry-after": "",
        }


def test_what_an_upstream_says_of_limits_is_replaced():
    """Two answers to one question would help nobody."""
    plugin = make(RateLimiting, minute=3)
    ours = exchange()
    plugin.access(ours)
    headers = Headers.of([(b"RateLimit-Remaining", b"99"), (b"X-Other", b"1")])
    plugin.header_filter(ours, 200, headers)
    assert (headers.get_all(b"ratelimit-remaining"), headers.get(b"x-other")) == ([b"2"], b"1")


@pytest.mark.parametrize("style", ["ietf", "both"])
def test_the_fields_of_the_draft(style):
    """Structured fields: each window's policy, and what is left of it until when; a refusal still says Retry-After."""
    clock = Given(NOON + 10)
    plugin = make(RateLimiting, kit(clock=clock), minute=2, hour=100, header_style=style)
    ours = exchange()
    heard = told(plugin, ours, plugin.access(ours))
    assert heard["ratelimit-policy"] == '"minute";q=2;w=60, "hour";q=100;w=3600'
    assert heard["ratelimit"] == '"minute";r=1;t=50, "hour";r=99;t=3590'
    assert ("x-ratelimit-limit-minute" in heard) == ("ratelimit-reset" in heard) == (style == "both")
    plugin.access(exchange())
    last = exchange()
    heard = told(plugin, last, plugin.access(last))
    assert (heard["ratelimit"], heard["retry-after"]) == ('"minute";r=0;t=50, "hour";r=98;t=3590', "50")


class Away(LocalCounters):
    def take(self, key, windows, now, amount=1):
        raise CountersAway


def test_counters_that_are_away():
    """Either this process counts alone, and says so in a metric, or the request fails; it never just passes."""
    lent = Kit(clock=Given(NOON), counting=Counting(Away()))
    strict = make(RateLimiting, lent, minute=1, fault_tolerant=False)
    assert strict.access(exchange()).status == 500
    assert lent.counting.fallbacks["file"] == 0
    tolerant = make(RateLimiting, lent, minute=1)
    assert [one and one.status for one in (tolerant.access(exchange()), tolerant.access(exchange()))] == [
        None,
        429,
    ]
    assert lent.counting.fallbacks["file"] == 2


def test_clients_are_told_nothing_if_asked():
    """Neither limits nor when to come again."""
    plugin = make(RateLimiting, minute=1, hide_client_headers=True, error_code=503, error_message="Later")
    plugin.access(exchange())
    one = exchange()
    reply = plugin.access(one)
    assert (reply.status, reply.message, told(plugin, one, reply)) == (503, "Later", {})


def with_consumer(name):
    one = exchange()
    one.consumer = Consumer(id=name)
    return one


def with_credential(name):
    one = with_consumer("same")
    one.credential = KeyAuthCredential(id=name, key="k", consumer="same")
    return one


def with_service(name):
    one = exchange(peer=f"192.0.2.{len(name)}")
    one.service = Service(id=name, host="h")
    return one


@pytest.mark.parametrize(
    ("config", "first", "second", "same"),
    [
        ({}, exchange(), exchange(peer="192.0.2.2"), False),
        ({}, with_consumer("a"), with_consumer("b"), False),
        ({"limit_by": "ip"}, with_consumer("a"), with_consumer("b"), True),
        ({"limit_by": "credential"}, with_credential("a"), with_credential("b"), False),
        ({"limit_by": "consumer"}, with_credential("a"), with_credential("b"), True),
        ({"limit_by": "service"}, with_service("a"), with_service("bb"), False),
        ({"limit_by": "service"}, with_service("a"), with_service("a"), True),
        (
            {"limit_by": "header", "header_name": "X-T"},
            exchange((b"x-t", b"1")),
            exchange((b"X-T", b"2")),
            False,
        ),
        (
            {"limit_by": "header", "header_name": "X-T"},
            exchange((b"x-t", b"1")),
            exchange((b"X-T", b"1"), peer="192.0.2.9"),
            True,
        ),
        ({"limit_by": "path", "path": "/a"}, exchange(), exchange(peer="192.0.2.9"), True),
        ({"limit_by": "path", "path": "/b"}, exchange(), exchange(peer="192.0.2.9"), False),
    ],
)
def test_what_is_counted_for_itself(config, first, second, same):
    """And by address, where a request does not have it."""
    plugin = make(RateLimiting, hour=1, **config)
    assert plugin.access(first) is None
    assert (plugin.access(second) is not None) == same


def test_long_values_are_told_apart_and_not_kept():
    """Of a header as long as a client likes, a digest is counted by."""
    lent = kit()
    plugin = make(RateLimiting, lent, year=1, limit_by="header", header_name="X-T")
    values = [b"v" * 8000 + b"%d" % number for number in (1, 2, 1)]
    assert [plugin.access(exchange((b"X-T", value))) is None for value in values] == [True, True, False]
    assert max(len(key) for table in lent.counting.memory._tables.values() for key in table.counts) < 100


def test_instances_of_several_routes_count_apart():
    """One of a route does not use up another's."""
    lent = kit()
    config = RateLimiting.Config(hour=1)
    one, other, again = (RateLimiting(config, "id", Scope(route=route), lent) for route in ("a", "b", "a"))
    assert one.access(exchange()) is None
    assert other.access(exchange()) is None
    assert again.access(exchange()) is not None


def test_a_sliding_window_does_not_begin_anew():
    """Right behind the boundary, the last window still counts."""
    clock = Given(NOON + 59)
    plugin = make(RateLimiting, kit(clock=clock), minute=10, window_type="sliding")
    assert [plugin.access(exchange()) for _ in range(10)] == [None] * 10
    clock.moment = NOON + 75  # three quarters of the last window are within a minute
    assert [plugin.access(exchange()) is None for _ in range(4)] == [True, True, True, False]
    last = exchange()
    heard = told(plugin, last, plugin.access(last))
    assert (heard["retry-after"], heard["ratelimit-reset"]) == (
        "4",
        "4",
    )  # 18.x: 10 * (60 - 18) / 60 is 7, and 3 passed
    clock.moment += 3
    assert plugin.access(exchange()) is not None
    clock.moment += 1
    assert plugin.access(exchange()) is None


def by_cost(plugin, cost):
    """Return status, message and headers of what becomes of a request that costs so much."""
    one = exchange()
    one.graphql = Operated(cost=cost) if cost is not None else None
    reply = plugin.access(one)
    fields = {name.lower(): value for name, value in told(plugin, one, reply).items()}
    return (reply.status, reply.message) if reply else (200, ""), fields


@pytest.mark.parametrize("window_type", ["fixed", "sliding"])
def test_costs_count_instead_of_requests(window_type):
    """All of a cost or nothing of it, so that exactly the limit is spent; what costs nothing counts as one."""
    plugin = make(
        RateLimiting, kit(clock=Given(NOON)), minute=10, hour=100, counts="cost", window_type=window_type
    )
    over = (429, "API rate limit exceeded")
    left = []
    for cost, expected in [
        (6, (200, "")),
        (5, over),
        (3, (200, "")),
        (2, over),
        (0, (200, "")),
        (None, over),
    ]:
        outcome, fields = by_cost(plugin, cost)
        assert outcome == expected
        assert ("retry-after" in fields) == (expected is over)
        left.append(
            (fields["ratelimit-limit"], fields["ratelimit-remaining"], fields["x-ratelimit-remaining-hour"])
        )
    assert left == [
        ("10", "4", "94"),
        ("10", "4", "94"),
        ("10", "1", "91"),
        ("10", "1", "91"),
        ("10", "0", "90"),
        ("10", "0", "90"),
    ]


def test_who_waits_as_long_as_told_has_room_for_the_cost():
    """In a sliding window, a dear request waits longer than a cheap one."""
    clock = Given(NOON)
    plugin = make(RateLimiting, kit(clock=clock), minute=10, counts="cost", window_type="sliding")
    by_cost(plugin, 10)
    clock.moment += 60
    waits = []
    for cost in (1, 5, 10):
        outcome, fields = by_cost(plugin, cost)
        assert outcome[0] == 429
        waits.append(int(fields["retry-after"]))
    assert waits == sorted(set(waits))
    clock.moment += waits[1]
    assert by_cost(plugin, 5)[0][0] == 200


def test_what_costs_more_than_the_limit_never_passes():
    """It is told so, and not to come again; nothing is counted."""
    plugin = make(RateLimiting, kit(clock=Given(NOON)), minute=10, hour=100, counts="cost")
    outcome, fields = by_cost(plugin, 11)
    assert outcome == (
        429,
        "API rate limit exceeded: the request costs 11, which is more than the limit of 10",
    )
    assert "retry-after" not in fields
    assert by_cost(plugin, 10)[0][0] == 200


def test_requests_count_as_one_unless_it_is_said():
    """Whatever they cost."""
    plugin = make(RateLimiting, kit(clock=Given(NOON)), minute=2)
    assert [by_cost(plugin, 50)[0][0] for _ in range(3)] == [200, 200, 429]
