from __future__ import annotations

import random

import pytest
from upstream_fakes import FakeLookup, FakeSleep, settle

from proxyd.upstream.dnsclient import LookupFailedError, NameNotFoundError, Record
from proxyd.upstream.names import CacheTimes, Resolver

TIMES = CacheTimes(stale=100.0, not_found=30.0, error=1.0)


class Watched:
    """A resolver with one watched name and a count of its changes."""

    def __init__(self, clock, times=TIMES, ttl=60.0):
        self.clock = clock
        self.lookup = FakeLookup(ttl)
        self.sleep = FakeSleep()
        self.resolver = Resolver(self.lookup, clock, times, sleep=self.sleep, rng=random.Random(1))
        self.changes = 0
        self.name = None

    def changed(self):
        self.changes += 1

    async def watch(self, host="api.test"):
        self.name = self.resolver.watch(host, self.changed)
        await settle()

    async def pass_time(self, seconds):
        self.clock.advance(seconds)
        await self.sleep.wake()

    @property
    def addresses(self):
        return [record.address for record in self.name.records]


@pytest.fixture
async def watched(clock):
    watched = Watched(clock)
    yield watched
    if watched.name is not None:
        watched.resolver.unwatch(watched.name, watched.changed)


async def test_an_answer_is_told(watched):
    """The first answer is told to whoever watches."""
    watched.lookup.answers["api.test"] = ["10.0.0.1", "10.0.0.2"]
    watched.name = watched.resolver.watch("api.test", watched.changed)
    assert repr(watched.name) == "<Name api.test: unresolved>"
    await settle()
    assert watched.addresses == ["10.0.0.1", "10.0.0.2"]
    assert (watched.name.resolved, watched.changes) == (True, 1)


async def test_it_is_asked_again_before_it_expires(watched):
    """The next question comes at 80 to 95 percent of the TTL."""
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()
    assert 48.0 <= watched.sleep.asked[-1] <= 57.0
    watched.lookup.answers["api.test"] = ["10.0.0.9"]
    await watched.pass_time(50)
    assert watched.addresses == ["10.0.0.9"]
    assert watched.changes == 2


async def test_another_order_is_no_change(watched):
    """Servers that rotate their answers cause no rebuilding."""
    watched.lookup.answers["api.test"] = ["10.0.0.1", "10.0.0.2"]
    await watched.watch()
    watched.lookup.answers["api.test"] = ["10.0.0.2", "10.0.0.1"]
    await watched.pass_time(50)
    assert watched.changes == 1


async def test_a_ttl_of_zero_is_a_second(watched):
    """A record without a lifetime is not asked for without a pause."""
    watched.lookup.ttl = 0.0
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()
    assert watched.sleep.asked[-1] >= 0.8


async def test_valid_ttl_takes_the_place_of_the_record_s(clock):
    """A configured time counts instead of the record's TTL."""
    watched = Watched(clock, CacheTimes(valid=10.0))
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()
    assert 8.0 <= watched.sleep.asked[-1] <= 9.5
    watched.resolver.unwatch(watched.name, watched.changed)


async def test_failing_servers_leave_the_last_answer(watched):
    """While DNS fails, the last good answer is used and asked for every second, up to the stale time."""
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()
    watched.lookup.answers["api.test"] = LookupFailedError("api.test: no answer from the name servers")
    await watched.pass_time(55)
    assert watched.addresses == ["10.0.0.1"]
    assert watched.sleep.asked[-1] == 1.0
    await watched.pass_time(100)  # 155 of 60 + 100
    assert watched.addresses == ["10.0.0.1"]
    await watched.pass_time(5)
    assert watched.addresses == []
    assert watched.name.error == "api.test: no answer from the name servers"


async def test_recovery_within_the_error_time(watched):
    """A name that failed is used a second after the servers are back."""
    watched.lookup.answers["api.test"] = LookupFailedError("down")
    await watched.watch()
    assert (watched.name.resolved, watched.addresses) == (True, [])
    assert watched.sleep.asked == [1.0]
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.pass_time(1)
    assert watched.addresses == ["10.0.0.1"]
    assert watched.name.error == ""


async def test_a_missing_name_is_asked_for_seldom(watched):
    """That there is no such name holds for the not-found time."""
    await watched.watch()
    assert watched.sleep.asked == [30.0]
    assert watched.name.error == "api.test: no such name"


async def test_a_removed_name_counts_when_its_answer_has_expired(watched):
    """A blip of "no such name" does not take a good answer's place before its time."""
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()
    watched.lookup.answers["api.test"] = NameNotFoundError("api.test: no such name")
    await watched.pass_time(50)
    assert watched.addresses == ["10.0.0.1"]
    assert watched.sleep.asked[-1] == 10.0
    await watched.pass_time(10)
    assert watched.addresses == []


async def test_an_address_is_never_asked_for(watched):
    """An IP address is its own answer, at once."""
    await watched.watch("10.1.2.3")
    assert watched.name.records == (Record("10.1.2.3"),)
    assert watched.lookup.asked == []


async def test_watchers_share_one_question(watched):
    """Two watchers of a name cause one lookup, and the answer lasts until both have gone."""
    watched.lookup.answers["api.test"] = ["10.0.0.1"]
    await watched.watch()

    def other():
        pass

    name = watched.resolver.watch("api.test", other)
    assert name is watched.name
    watched.resolver.unwatch(name, other)
    assert repr(watched.resolver) == "<Resolver [<Name api.test: 1 addresses>]>"
    watched.resolver.unwatch(name, watched.changed)
    watched.name = None
    assert repr(watched.resolver) == "<Resolver []>"
    assert watched.lookup.asked == ["api.test"]
