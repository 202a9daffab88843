"""response-ratelimiting: what is counted of answers, what upstreams and clients are told, and what is held back."""

from __future__ import annotations

import pytest
from plugin_case import exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.http1.headers import Headers
from proxyd.model.entities import Consumer
from proxyd.plugin import Kit
from proxyd.plugins.response_ratelimiting import ResponseRatelimiting
from proxyd.store.counters import CountersAway, LocalCounters
from proxyd.store.counting import Counting

VIDEOS = {"videos": {"year": 3}}


def test_defaults():
    """Kong's."""
    config = ResponseRatelimiting.Config(limits=VIDEOS)
    assert (config.header_name, config.limit_by, config.policy) == ("x-kong-limit", "consumer", "local")
    assert (config.block_on_first_violation, config.fault_tolerant, config.hide_client_headers) == (
        False,
        True,
        False,
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "Field required"),
        ({"limits": {}}, "at least 1 item"),
        ({"limits": {"videos": {}}}, "at least one of"),
        ({"limits": {"videos": {"minute": 5, "hour": 2}}}, "lower than the one for minute"),
        ({"limits": {"my videos": {"minute": 5}}}, "match pattern"),
        ({"limits": VIDEOS, "policy": "redis"}, "needs redis.host"),
        ({"limits": VIDEOS, "limit_by": "service"}, "consumer"),
    ],
)
def test_what_is_refused(config, message):
    """Limits that are none, or that no header could be named after."""
    with pytest.raises(ValidationError, match=message):
        ResponseRatelimiting.Config(**config)


def trip(plugin, cost=None, one=None):
    """Return the refusal before or behind the upstream, or None, and what the client is told in small letters."""
    one = one or exchange()
    reply = plugin.access(one)
    if reply is not None:
        return reply, {}
    headers = Headers.of([(b"X-Kong-Limit", cost)] if cost else [])
    reply = plugin.header_filter(one, 200, headers)
    if reply is not None:
        headers = reply.headers or Headers()
        assert plugin.header_filter(one, reply.status, headers) is None
    return reply, {name.decode(): value.decode() for name, value in headers}


def test_what_answers_cost_is_counted():
    """Each limit for itself, in each of its windows; the client is told, and does not see the upstream's header."""
    plugin = make(ResponseRatelimiting, limits={"videos": {"month": 3, "year": 9}, "images": {"year": 2}})
    assert trip(plugin, b"videos=2, images=1, others=5") == (
        None,
        {
            "x-ratelimit-limit-videos-month": "3",
            "x-ratelimit-remaining-videos-month": "1",
            "x-ratelimit-limit-videos-year": "9",
            "x-ratelimit-remaining-videos-year": "7",
            "x-ratelimit-limit-images-year": "2",
            "x-ratelimit-remaining-images-year": "1",
        },
    )
    one = exchange((b"X-RateLimit-Remaining-videos", b"100"))
    _, told = trip(plugin, one=one)
    assert told["x-ratelimit-remaining-videos-month"] == "1"
    assert sent(one) == {"x-ratelimit-remaining-videos": "1", "x-ratelimit-remaining-images": "1"}


def test_what_is_used_up_is_held_back():
    """An answer that costs of it: 429 without a body, and nothing more is counted; one that costs nothing passes."""
    plugin = make(ResponseRatelimiting, limits=VIDEOS)
    assert trip(plugin, b"videos=2")[0] is None
    assert (
        trip(plugin, b"videos=2")[1]["x-ratelimit-remaining-videos-year"] == "0"
    )  # the last one may go beyond
    reply, told = trip(plugin, b"videos=1")
    assert (reply.status, reply.body, told["x-ratelimit-remaining-videos-year"]) == (429, b"", "0")
    assert trip(plugin)[0] is None
    assert trip(plugin, b"videos=0")[0] is None


def test_answers_that_come_together_are_counted_one_after_another():
    """What was left when the requests came is not what counts."""
    plugin = make(ResponseRatelimiting, limits=VIDEOS)
    under_way = [exchange() for _ in range(5)]
    assert [plugin.access(one) for one in under_way] == [None] * 5
    answers = [
        plugin.header_filter(one, 200, Headers.of([(b"x-kong-limit", b"videos=1")])) for one in under_way
    ]
    assert [answer and answer.status for answer in answers] == [None, None, None, 429, 429]


def test_requests_are_refused_beforehand_if_asked():
    """As soon as any limit is used up, by its name."""
    plugin = make(ResponseRatelimiting, limits=VIDEOS, block_on_first_violation=True)
    assert trip(plugin, b"videos=3")[0] is None
    reply, _ = trip(plugin)
    assert (reply.status, reply.message) == (429, "API rate limit exceeded for 'videos'")


@pytest.mark.parametrize(
    "cost", [b"videos", b"videos=", b"videos=x", b"videos=-1", b"videos=1.5", b"=1", b"other=1", b",,"]
)
def test_what_is_no_cost(cost):
    """Counts nothing, and is kept from the client all the same."""
    plugin = make(ResponseRatelimiting, limits=VIDEOS)
    assert trip(plugin, cost)[1] == {
        "x-ratelimit-limit-videos-year": "3",
        "x-ratelimit-remaining-videos-year": "3",
    }


def test_who_is_counted_for_themselves():
    """Consumers, or addresses; clients are told nothing if asked."""
    plugin = make(ResponseRatelimiting, limits={"videos": {"year": 1}}, hide_client_headers=True)
    for consumer, expected in (("a", None), ("b", None), ("a", 429)):
        one = exchange()
        one.consumer = Consumer(id=consumer)
        reply, told = trip(plugin, b"videos=1", one)
        assert (reply and reply.status, told) == (expected, {})


def test_an_answer_that_was_given_before_is_left_alone():
    """Of a plugin that runs earlier, say."""
    plugin = make(ResponseRatelimiting, limits=VIDEOS)
    headers = Headers.of([(b"X-Other", b"1")])
    assert plugin.header_filter(exchange(), 401, headers) is None
    assert list(headers) == [(b"x-other", b"1")]


class Away(LocalCounters):
    def take(self, key, windows, now, amount=1):
        raise CountersAway


def test_counters_that_are_away():
    """The request fails, or this process counts alone."""
    lent = Kit(clock=kit().clock, counting=Counting(Away()))
    assert trip(make(ResponseRatelimiting, lent, limits=VIDEOS, fault_tolerant=False))[0].status == 500
    tolerant = make(ResponseRatelimiting, lent, limits=VIDEOS)
    assert [trip(tolerant, b"videos=3")[0] is None for _ in range(2)] == [True, False]
