"""Targets that answer worse than the others: who is ejected, for how long, and how many at a time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream_fakes import (
    FakeClock,
    FakeSleep,
    make_exchange,
    make_service,
    make_target,
    make_upstream,
    settle,
)

from proxyd.errors import GatewayError, Kind
from proxyd.model.healthchecks import (
    ActiveChecks,
    Healthchecks,
    HealthyActive,
    PassiveChecks,
    UnhealthyPassive,
)
from proxyd.model.resilience import OutlierDetection, Resilience
from proxyd.upstream.health import Health, HealthKey
from proxyd.upstream.monitor import Monitor
from proxyd.upstream.outliers import Outliers, Sweeper
from proxyd.upstream.protection import Protection

EXCHANGE = make_exchange()


class Case:
    """An upstream with so many targets, and what was told of it."""

    def __init__(self, count=10, **rules):
        self.clock = FakeClock()
        self.told = []
        self.healths = [Health(HealthKey("api", f"t{n}", f"10.0.0.{n}:80"), None) for n in range(count)]
        members = [SimpleNamespace(health=health, weight=100) for health in self.healths]
        self.cluster = SimpleNamespace(members=members, title="upstream api")
        self.protection = Protection(
            "api", self.clock.now, lambda event, **values: self.told.append((event, values))
        )
        self.outliers = Outliers(OutlierDetection(**rules), self.cluster, self.protection, self.clock.now)

    @property
    def out(self):
        return [number for number, health in enumerate(self.healths) if health.outlier.ejected]

    def answer(self, number, *statuses):
        for status in statuses:
            self.outliers.answered(self.healths[number], status)

    def eject(self, number):
        self.answer(number, *[500] * self.outliers.rules.consecutive_5xx)

    def passes(self, seconds):
        """Let time pass, with a sweep at each interval of it."""
        interval = self.outliers.rules.interval
        for _ in range(int(seconds / interval)):
            self.clock.advance(interval)
            self.outliers.sweep()


# --- out -----------------------------------------------------------------------------------------------------


def test_failures_in_a_row_eject():
    """The fifth does, whether it is an answer or none; a good answer begins the count anew."""
    case = Case()
    case.answer(0, 500, 501, 502, 503, 200, 500, 500, 500, 500)
    assert case.out == []
    case.outliers.failed(case.healths[0], Kind.CONNECT_REFUSED)
    assert case.out == [0]
    assert case.protection.ejections == {("t0", "consecutive_5xx"): 1}
    assert case.told == [
        (
            "target ejected",
            {
                "upstream": "api",
                "target": "t0",
                "address": "10.0.0.0:80",
                "reason": "consecutive_5xx",
                "seconds": 30,
            },
        )
    ]


def test_what_clients_do_wrong_is_no_failure():
    """Statuses below 500 are answers."""
    case = Case()
    case.answer(0, *[404] * 100, *[429] * 100)
    assert case.out == []


def test_gateway_failures_have_a_count_of_their_own():
    """502, 503, 504 and no answer count; another failure between them begins it anew."""
    case = Case(consecutive_gateway_failure=2, consecutive_5xx=0)
    case.answer(0, 503, 500, 504)
    assert case.out == []
    case.outliers.failed(case.healths[0], Kind.READ_TIMEOUT)
    assert case.out == [0]
    assert list(case.protection.ejections) == [("t0", "consecutive_gateway_failure")]


def test_zero_switches_a_rule_off():
    """Without counts, failures in a row eject nobody."""
    case = Case(consecutive_5xx=0)
    case.answer(0, *[500] * 1000)
    assert case.out == []


def test_requests_under_way_do_not_prolong_an_ejection():
    """What comes back from an ejected target changes nothing, and is forgotten when it is back."""
    case = Case()
    case.eject(0)
    case.answer(0, *[500] * 20)
    case.passes(30)
    assert case.out == []
    case.answer(0, *[500] * 4)
    assert case.out == []


def test_one_may_be_out_and_more_within_the_share():
    """A tenth of ten is one; where a tenth is less than one, it is one all the same."""
    for count, allowed in ((1, 1), (3, 1), (10, 1), (19, 1), (20, 2), (30, 3)):
        case = Case(count)
        for number in range(count):
            case.eject(number)
        assert len(case.out) == allowed


def test_one_that_is_no_target_any_more_is_left_alone():
    """An answer may come when a reload has taken its target away."""
    case = Case(2)
    gone = case.cluster.members.pop().health
    for _ in range(5):
        case.outliers.failed(gone, Kind.RESET)
    assert not gone.outlier.ejected


def test_a_success_rate_far_below_the_others_ejects():
    """With enough targets and requests, the one that is beyond the factor times the deviation is out."""
    case = Case(max_ejection_percent=100, consecutive_5xx=0)
    for number in range(10):
        case.answer(number, *[200] * 99, 500)
    case.outliers.sweep()
    assert case.out == []
    for number in range(10):
        case.answer(number, *([200] * 100 if number else [200, 500] * 50))
    case.outliers.sweep()
    assert case.out == [0]
    assert list(case.protection.ejections) == [("t0", "success_rate")]


@pytest.mark.parametrize(
    "rules",
    [
        {"success_rate_stdev_factor": 0},
        {"success_rate_minimum_hosts": 11},
        {"success_rate_request_volume": 101},
    ],
)
def test_success_rates_are_compared_where_there_is_enough(rules):
    """The factor, the number of targets and the number of requests each can stand in the way."""
    case = Case(consecutive_5xx=0, **rules)
    for number in range(10):
        case.answer(number, *([200] * 100 if number else [200, 500] * 50))
    case.outliers.sweep()
    assert case.out == []


# --- and back in ---------------------------------------------------------------------------------------------


def test_each_ejection_in_a_row_lasts_longer_up_to_a_limit():
    """Base time times the number of them; intervals without one are forgiven one by one."""
    case = Case(base_ejection_time=30, max_ejection_time=70)
    for seconds in (30, 60, 70):
        case.eject(0)
        assert case.told[-1][1]["seconds"] == seconds
        case.passes(seconds - 10)
        assert case.out == [0]
        case.passes(10)
        assert case.out == []
    assert case.told[-1] == (
        "target readmitted",
        {"upstream": "api", "target": "t0", "address": "10.0.0.0:80", "reason": "time"},
    )
    case.passes(100)
    case.eject(0)
    assert case.told[-1][1]["seconds"] == 30


@pytest.mark.parametrize(("brings_back", "out"), [(True, []), (False, [0])])
def test_a_successful_probe_brings_a_target_back(brings_back, out):
    """Unless the rules say that it does not; one that is in stays in."""
    case = Case(successful_active_health_check_uneject_host=brings_back)
    case.eject(0)
    case.outliers.probed(case.healths[0])
    case.outliers.probed(case.healths[1])
    assert case.out == out


async def test_the_monitor_tells_of_probes_that_succeed():
    """A probe of the active checks is such a one."""
    case = Case(1)
    case.eject(0)
    case.cluster.outliers = case.outliers
    case.cluster.name = "api"

    async def probe(_member):
        return 200

    monitor = Monitor(case.cluster, ActiveChecks(healthy=HealthyActive(interval=1)), probe)
    await monitor.round(healthy=True)
    assert case.out == []


async def test_sweeps_come_at_each_interval():
    """For as long as it runs; stopping twice does no harm."""
    case, sleep = Case(interval=5), FakeSleep()
    sweeper = Sweeper(case.outliers, sleep)
    await sweeper.start()
    case.eject(0)
    case.clock.advance(30)
    await settle()
    await sleep.wake()
    assert (case.out, sleep.asked) == ([], [5, 5])
    await sweeper.stop()
    await sweeper.stop()


# --- what balancers make of it -------------------------------------------------------------------------------


def entities(count, checks=None, **rules):
    upstream = make_upstream(
        resilience=Resilience(outlier_detection=OutlierDetection(**rules)),
        healthchecks=checks or Healthchecks(),
    )
    targets = [make_target(f"10.0.0.{number + 1}:80") for number in range(count)]
    return [make_service("api"), upstream, *targets]


async def balanced(world, count, checks=None, **rules):
    everything = entities(count, checks, **rules)
    return (await world.load(*everything)).for_service(everything[0])


def picked(balancer):
    addresses = set()
    for _ in range(40):
        peer = balancer.pick(EXCHANGE, ())
        balancer.end(EXCHANGE, peer)
        addresses.add(peer.address)
    return addresses


def fail(balancer, address, times=5):
    peer = next(peer for peer in balancer.peers if peer.address == address)
    for _ in range(times):
        balancer.observe_failure(EXCHANGE, peer, Kind.CONNECT_REFUSED)


async def test_an_ejected_target_gets_no_request(world):
    """The others share its part, and the state says so while its health stays what it was."""
    balancer = await balanced(world, 3)
    fail(balancer, "10.0.0.1:80")
    assert picked(balancer) == {"10.0.0.2:80", "10.0.0.3:80"}
    rows = {row.target: (row.state.value, row.ejected) for row in balancer.cluster.states()}
    assert rows["10.0.0.1:80"] == ("HEALTHCHECKS_OFF", True)
    assert rows["10.0.0.2:80"] == ("HEALTHCHECKS_OFF", False)


async def test_below_the_panic_threshold_ejections_are_ignored(world):
    """Half is not below a half; less is, and one target alone is never taken away."""
    balancer = await balanced(world, 4, max_ejection_percent=100)
    fail(balancer, "10.0.0.1:80")
    fail(balancer, "10.0.0.2:80")
    assert len(picked(balancer)) == 2
    fail(balancer, "10.0.0.3:80")
    assert len(picked(balancer)) == 4
    single = await balanced(world, 1)
    fail(single, "10.0.0.1:80")
    assert len(picked(single)) == 1


async def test_without_a_panic_threshold_nobody_may_be_left(world):
    """Then the upstream has no target, as when checks find none."""
    balancer = await balanced(world, 2, max_ejection_percent=100, panic_threshold=0)
    fail(balancer, "10.0.0.1:80")
    fail(balancer, "10.0.0.2:80")
    with pytest.raises(GatewayError) as caught:
        balancer.pick(EXCHANGE, ())
    assert caught.value.kind is Kind.NO_TARGET


async def test_panic_is_about_ejections_and_not_about_checks(world):
    """What Kong's checks have found unhealthy stays out, whatever else is ejected."""
    checks = Healthchecks(passive=PassiveChecks(unhealthy=UnhealthyPassive(tcp_failures=1)))
    balancer = await balanced(world, 3, checks, max_ejection_percent=100, consecutive_5xx=0)
    fail(balancer, "10.0.0.1:80", times=1)
    for number in (2, 3):
        peer = next(peer for peer in balancer.peers if peer.address == f"10.0.0.{number}:80")
        peer.health.outlier.ejected = True
        peer.health.changed()
    assert picked(balancer) == {"10.0.0.2:80", "10.0.0.3:80"}


async def test_kongs_threshold_is_about_health(world):
    """An ejection does not bring the healthy part of an upstream below it."""
    balancer = await balanced(world, 3, Healthchecks(threshold=80))
    fail(balancer, "10.0.0.1:80")
    assert picked(balancer) == {"10.0.0.2:80", "10.0.0.3:80"}


async def test_ejections_outlast_a_reload(world):
    """The target stays out and the figures go on; without the rules it is in again."""
    balancer = await balanced(world, 3)
    fail(balancer, "10.0.0.1:80")
    again = await balanced(world, 3)
    assert len(picked(again)) == 2
    (protection,) = world.registry.protections
    assert protection.ejections == {("10.0.0.1:80", "consecutive_5xx"): 1}
    plain = [make_service("api"), make_upstream(), *(make_target(f"10.0.0.{n}:80") for n in (1, 2, 3))]
    assert len(picked((await world.load(*plain)).for_service(plain[0]))) == 3
    assert world.registry.protections == []


@given(
    count=st.integers(1, 30),
    percent=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 29), st.sampled_from([200, 500, 503, None])), max_size=300),
)
def test_never_more_than_the_share_is_out(count, percent, steps):
    """Whatever targets answer and however time passes: at most the share, or one; and all are back in the end."""
    case = Case(count, max_ejection_percent=percent, consecutive_5xx=2, success_rate_request_volume=3)
    for number, status in steps:
        if status is None:
            case.passes(10)
        else:
            case.answer(number % count, status)
        assert len(case.out) <= max(1, count * percent / 100)
    case.passes(400)
    assert case.out == []
