"""Tries that are let in, judged and let out, and connections that are waited for."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream_fakes import FakeClock, make_exchange, make_service, make_target, make_upstream, settle

from proxyd.errors import GatewayError, Kind
from proxyd.model.resilience import CircuitBreaker, Limits, Resilience, RetryBudget
from proxyd.upstream.openings import Openings
from proxyd.upstream.protection import Protection

LONG = 30.0


class Line:
    """A pool whose connections the test opens and ends."""

    def __init__(self):
        self.open = 0
        self.idle = []
        self.watcher = None
        self.dials = []
        self.retired = 0

    def acquire(self, _repeatable):
        return self.idle.pop() if self.idle else None

    async def connect(self, _timeout):
        dial = asyncio.get_running_loop().create_future()
        self.dials.append(dial)
        connection = await dial
        self.open += 1
        return connection

    def retire(self):
        if not self.idle:
            return False
        self.idle.pop()
        self.retired += 1
        return True

    def lost(self):
        self.open -= 1
        self.watcher()


def full(reason):
    return GatewayError(Kind.OVERLOADED, reason)


class Waiting:
    """Openings over some pools, and requests that want a connection."""

    def __init__(self, pools=1, **limits):
        self.pools = [Line() for _ in range(pools)]
        self.openings = Openings(full)
        self.openings.rules = Limits(**limits)
        self.openings.follow(1, self.pools)
        self.tasks = []

    async def wants(self, pool=0, within=LONG):
        task = asyncio.ensure_future(self.openings.connect(self.pools[pool], within, repeatable=True))
        self.tasks.append(task)
        await settle()
        return task

    async def opens(self, pool=0):
        self.pools[pool].dials.pop(0).set_result(object())
        await settle()

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def waiting():
    made = []

    def make(*arguments, **limits):
        made.append(Waiting(*arguments, **limits))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def refused(task):
    error = task.exception()
    assert error.kind is Kind.OVERLOADED
    return error.cause


# --- waiting for a connection --------------------------------------------------------------------------------


async def test_beyond_the_limit_a_request_waits_for_a_connection(waiting):
    """It gets the one that becomes idle, without opening another."""
    case = waiting(max_connections=1)
    first = await case.wants()
    await case.opens()
    second = await case.wants()
    assert (first.done(), second.done(), case.openings.waiting) == (True, False, 1)
    case.pools[0].idle.append(first.result())
    case.openings.freed()
    assert (await second, case.pools[0].dials, case.openings.waiting) == (first.result(), [], 0)


async def test_one_that_is_closed_makes_room_for_another(waiting):
    """The request that waits opens its own."""
    case = waiting(max_connections=1)
    await case.wants()
    await case.opens()
    second = await case.wants()
    case.pools[0].lost()
    await settle()
    await case.opens()
    assert second.done()


async def test_those_being_opened_count(waiting):
    """Two requests at once do not open two connections where one is allowed."""
    case = waiting(max_connections=1)
    await case.wants()
    await case.wants()
    assert len(case.pools[0].dials) == 1


async def test_a_connection_that_fails_gives_its_place_to_the_next(waiting):
    """Whoever waits behind it tries."""
    case = waiting(max_connections=1)
    first, second = await case.wants(), await case.wants()
    case.pools[0].dials.pop().set_exception(GatewayError(Kind.CONNECT_REFUSED))
    await settle()
    assert first.exception().kind is Kind.CONNECT_REFUSED
    await case.opens()
    assert second.done()


async def test_one_that_gives_up_passes_its_place_on(waiting):
    """Its client left after it was called and before it looked."""
    case = waiting(max_connections=1)
    await case.wants()
    await case.opens()
    second, third = await case.wants(), await case.wants()
    case.pools[0].open -= 1
    case.openings.freed()
    second.cancel()
    await settle()
    await case.opens()
    assert third.done()


async def test_an_idle_connection_to_another_target_is_given_up(waiting):
    """The limit is the upstream's: what lies idle elsewhere must not keep a request waiting."""
    case = waiting(2, max_connections=1)
    first = await case.wants(0)
    await case.opens(0)
    case.pools[0].idle.append(first.result())
    second = await case.wants(1)
    assert case.pools[0].retired == 1
    case.pools[0].lost()
    await settle()
    await case.opens(1)
    assert second.done()


async def test_waiting_has_limits(waiting):
    """Of requests that wait, and of the time that each does."""
    case = waiting(max_connections=1, max_pending_requests=1)
    await case.wants()
    third = await case.wants()
    assert refused(third) == "max_pending_requests"
    await case.opens()
    late = await case.wants(within=0.0)
    await asyncio.wait([late])
    assert (refused(late), case.openings.waiting) == ("max_connections", 0)


async def test_without_limits_nobody_waits(waiting):
    """Everybody opens a connection."""
    case = waiting()
    case.openings.rules = None
    for _ in range(3):
        await case.wants()
    assert len(case.pools[0].dials) == 3


async def test_two_generations_with_one_pool_count_it_once(waiting):
    """While a reload goes on, both have it; one that ended has none."""
    case = waiting()
    case.pools[0].open = 3
    case.openings.follow(2, case.pools)
    assert repr(case.openings) == "<Openings open=3 waiting=0>"
    case.openings.follow(1, ())
    case.openings.follow(2, ())
    assert repr(case.openings) == "<Openings open=0 waiting=0>"


# --- letting in and out --------------------------------------------------------------------------------------


def entities(**resilience):
    upstream = make_upstream(resilience=Resilience(**resilience))
    return [make_service("api"), upstream, make_target("10.0.0.1:80"), make_target("10.0.0.2:80")]


async def balancer_of(world, **resilience):
    everything = entities(**resilience)
    return (await world.load(*everything)).for_service(everything[0])


def refusal(balancer):
    with pytest.raises(GatewayError) as caught:
        balancer.pick(make_exchange(), ())
    error = caught.value
    return error.kind, error.status, error.cause, error.retry_after


async def test_more_requests_than_allowed_are_refused(world):
    """They may come again in a second; one that ended makes room, and the figures tell."""
    balancer = await balancer_of(world, limits=Limits(max_requests=2))
    exchanges = [make_exchange() for _ in range(2)]
    peers = [balancer.pick(exchange, ()) for exchange in exchanges]
    assert refusal(balancer) == (Kind.OVERLOADED, 503, "upstream api: max_requests", 1)
    balancer.end(exchanges[0], peers[0])
    balancer.pick(make_exchange(), ())
    (protection,) = world.registry.protections
    assert (protection.active, protection.rejected) == (2, {"max_requests": 1})


async def test_an_open_circuit_refuses_until_it_is_over(world):
    """All failures of the upstream count, whichever target they are of; the error says when to come again."""
    rules = CircuitBreaker(minimum_requests=4, open_duration=7.5, half_open_requests=1)
    balancer = await balancer_of(world, circuit_breaker=rules)
    (protection,) = world.registry.protections
    for number in range(4):
        exchange = make_exchange()
        peer = balancer.pick(exchange, ())
        if number % 2:
            balancer.observe(exchange, peer, 503, 0.1)
        else:
            balancer.observe_failure(exchange, peer, Kind.RESET)
        balancer.end(exchange, peer)
    assert refusal(balancer) == (Kind.CIRCUIT_OPEN, 503, "upstream api: open", 8)
    world.clock.advance(8)
    probe = make_exchange()
    peer = balancer.pick(probe, ())
    assert refusal(balancer) == (Kind.CIRCUIT_OPEN, 503, "upstream api: half_open", 1)
    balancer.observe(probe, peer, 200, 0.1)
    balancer.end(probe, peer)
    balancer.pick(make_exchange(), ())
    assert protection.rejected == {"open": 1, "half_open": 1}


async def test_an_answer_counts_once(world):
    """One that fails in its middle was an answer all the same."""
    balancer = await balancer_of(world, circuit_breaker=CircuitBreaker())
    exchange = make_exchange()
    peer = balancer.pick(exchange, ())
    balancer.observe(exchange, peer, 200, 0.1)
    balancer.observe_failure(exchange, peer, Kind.RESET)
    balancer.end(exchange, peer)
    assert repr(world.registry.protections[0].circuit.window) == "<Window total=1 errors=0 slow=0>"


async def test_one_whose_client_left_was_slow_where_it_had_waited(world):
    """An upstream that hangs is found out, though nobody waits for its timeout."""
    balancer = await balancer_of(world, circuit_breaker=CircuitBreaker(slow_after=5))
    window = world.registry.protections[0].circuit.window
    for waited in (4.0, 6.0):
        exchange = make_exchange()
        peer = balancer.pick(exchange, ())
        exchange.asked = world.clock.now()
        world.clock.advance(waited)
        balancer.end(exchange, peer)
    assert repr(window) == "<Window total=1 errors=0 slow=1>"


async def test_where_no_target_is_to_be_had_nobody_is_let_in(world):
    """The try is not made: nothing is left under way."""
    everything = entities(limits=Limits())[:2]
    balancer = (await world.load(*everything)).for_service(everything[0])
    with pytest.raises(GatewayError, match="no healthy target"):
        balancer.pick(make_exchange(), ())
    assert world.registry.protections[0].active == 0


async def test_a_reload_keeps_the_circuit_and_what_is_under_way(world):
    """New rules hold from then on; without them the upstream is spared no more."""
    rules = CircuitBreaker(minimum_requests=1)
    old = await balancer_of(world, circuit_breaker=rules, limits=Limits(max_requests=1))
    exchange = make_exchange()
    peer = old.pick(exchange, ())
    new = await balancer_of(world, circuit_breaker=rules, limits=Limits(max_requests=1))
    assert refusal(new)[0] is Kind.OVERLOADED
    old.observe(exchange, peer, 500, 0.1)
    old.end(exchange, peer)
    again = await balancer_of(
        world, circuit_breaker=CircuitBreaker(minimum_requests=1, window=20), limits=Limits()
    )
    assert refusal(again)[0] is Kind.CIRCUIT_OPEN
    free = await balancer_of(world, limits=Limits())
    free.pick(make_exchange(), ())


async def test_without_either_nothing_stands_between(world):
    """What picks is the algorithm itself, and no figure is kept."""
    everything = [make_service("api"), make_upstream(), make_target("10.0.0.1:80")]
    balancer = (await world.load(*everything)).for_service(everything[0])
    assert type(balancer.pick.__self__).__name__ == "Single"
    assert world.registry.protections == []


def test_a_change_of_state_is_told():
    """With what it was for and what was counted."""
    told, clock = [], FakeClock()
    protection = Protection("api", clock.now, lambda event, **values: told.append((event, values)))
    protection.configure(Resilience(circuit_breaker=CircuitBreaker(minimum_requests=2)))
    for _ in range(2):
        exchange = make_exchange()
        protection.admit()
        protection.enter(exchange)
        protection.judge(exchange, 0.1, failed=True)
        protection.leave(exchange)
    counts = {"requests": 2, "failed": 2, "slow": 0}
    assert told == [("circuit open", {"upstream": "api", "reason": "error_percent", **counts})]
    assert protection.circuit_state == 2


@given(st.lists(st.one_of(st.just("in"), st.integers(0, 20)), max_size=200), st.integers(1, 8))
def test_never_more_are_under_way_than_allowed(steps, most):
    """Whatever comes and goes, and the count is that of those inside."""
    protection = Protection("api", FakeClock().now)
    protection.configure(Resilience(limits=Limits(max_requests=most)))
    inside = []
    for step in steps:
        if step == "in":
            try:
                protection.admit()
            except GatewayError:
                assert len(inside) == most
                continue
            inside.append(make_exchange())
            protection.enter(inside[-1])
        elif inside:
            protection.leave(inside.pop(step % len(inside)))
        assert protection.active == len(inside) <= most


# --- trying again --------------------------------------------------------------------------------------------


def protected(**resilience):
    protection = Protection("api", FakeClock().now)
    protection.configure(Resilience(**resilience))
    return protection


def entered(protection, count):
    exchanges = [make_exchange() for _ in range(count)]
    for exchange in exchanges:
        protection.enter(exchange)
    return exchanges


def failed(protection, count):
    """Have so many tries fail, one after the other, and return the requests that get another one."""
    allowed = []
    for _ in range(count):
        (exchange,) = entered(protection, 1)
        protection.leave(exchange)
        if protection.retry(exchange):
            protection.enter(exchange)
            allowed.append(exchange)
    return allowed


def test_a_few_further_tries_are_always_allowed():
    """Three at a time by default; one that is over makes room for another."""
    protection = protected(retry_budget=RetryBudget())
    allowed = failed(protection, 5)
    assert (len(allowed), protection.retries, protection.exhausted) == (3, 3, 2)
    protection.leave(allowed[0])
    assert (len(failed(protection, 2)), protection.exhausted) == (1, 3)


def test_more_are_allowed_with_more_requests():
    """A fifth of what is under way."""
    protection = protected(retry_budget=RetryBudget())
    entered(protection, 95)
    assert len(failed(protection, 30)) == 23
    assert (protection.retries, protection.active) == (23, 95 + 23)


def test_the_limit_holds_where_there_is_no_budget():
    """Envoy's number of retries; a budget takes its place."""
    assert len(failed(protected(limits=Limits(max_retries=2)), 5)) == 2
    both = protected(limits=Limits(max_retries=0), retry_budget=RetryBudget())
    assert len(failed(both, 5)) == 3
    assert len(failed(protected(circuit_breaker=CircuitBreaker()), 50)) == 50


async def test_without_rules_every_retry_is_allowed(world):
    """The service's retries alone decide."""
    everything = [make_service("api"), make_upstream(), make_target("10.0.0.1:80")]
    balancer = (await world.load(*everything)).for_service(everything[0])
    exchange = make_exchange()
    assert balancer.may_retry(exchange)
    balancer.retried(exchange)
    assert not exchange.retrying


async def test_a_retry_for_which_nothing_is_picked_is_let_go(world):
    """Its place in the budget is another's."""
    balancer = await balancer_of(world, retry_budget=RetryBudget(min_retry_concurrency=1))
    exchange = make_exchange()
    assert balancer.may_retry(exchange)
    assert not balancer.may_retry(make_exchange())
    balancer.retried(exchange)
    assert balancer.may_retry(make_exchange())


STEPS = st.one_of(st.just("in"), st.tuples(st.sampled_from(["out", "fail", "unpicked"]), st.integers(0, 50)))


@given(st.lists(STEPS, max_size=300), st.integers(0, 100), st.integers(0, 5))
def test_the_budget_is_never_exceeded(steps, percent, least):
    """Whatever fails and in whatever order; and the counts are those of what is under way."""
    protection = protected(retry_budget=RetryBudget(budget_percent=percent, min_retry_concurrency=least))
    inside = []
    for step in steps:
        if step == "in":
            inside += entered(protection, 1)
        elif inside:
            what, which = step
            exchange = inside.pop(which % len(inside))
            protection.leave(exchange)
            if what != "out" and protection.retry(exchange):
                assert protection.retries <= max(least, percent * (protection.active + 1) / 100)
                if what == "unpicked":
                    protection.retried(exchange)
                else:
                    protection.enter(exchange)
                    inside.append(exchange)
        assert protection.active == len(inside)
        assert protection.retries == sum(exchange.retrying for exchange in inside)
