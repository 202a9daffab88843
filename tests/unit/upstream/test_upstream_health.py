from __future__ import annotations

import pytest

from proxyd.errors import Kind
from proxyd.model.healthchecks import (
    ActiveChecks,
    Healthchecks,
    HealthyActive,
    HealthyPassive,
    PassiveChecks,
    UnhealthyPassive,
)
from proxyd.upstream.health import Health, HealthKey, Passive, State

KEY = HealthKey("api", "a.test:80", "10.0.0.1:80")


def passive_checks(kind="http", successes=0, **unhealthy):
    return Healthchecks(
        passive=PassiveChecks(
            type=kind, healthy=HealthyPassive(successes=successes), unhealthy=UnhealthyPassive(**unhealthy)
        )
    )


def observed(checks):
    return Health(KEY, checks), Passive(checks)


def test_off_by_default():
    """Kong's defaults never make a target unhealthy, and say so."""
    health = Health(KEY, Healthchecks())
    assert health.state is State.HEALTHCHECKS_OFF
    assert Health(KEY, None).state is State.HEALTHCHECKS_OFF
    probed = Healthchecks(active=ActiveChecks(healthy=HealthyActive(interval=5)))
    assert Health(KEY, probed).state is State.HEALTHY


def test_answers_that_fail():
    """As many failure answers as the threshold says make a target unhealthy; neutral ones count nothing."""
    health, passive = observed(passive_checks(http_failures=3))
    for status in (500, 404, 503, 429):
        assert health.state is State.HEALTHY
        passive.answered(health, status)
    assert health.state is State.UNHEALTHY
    assert repr(health) == "<Health a.test:80 at 10.0.0.1:80 UNHEALTHY>"


def test_a_success_clears_the_failures():
    """Failures must come in a row."""
    health, passive = observed(passive_checks(http_failures=2))
    for status in (500, 200, 500, 201, 500):
        passive.answered(health, status)
    assert health.state is State.HEALTHY


@pytest.mark.parametrize(
    ("kind", "counter"),
    [
        (Kind.CONNECT_REFUSED, "tcp_failures"),
        (Kind.CONNECT_FAILED, "tcp_failures"),
        (Kind.TLS_FAILED, "tcp_failures"),
        (Kind.RESET, "tcp_failures"),
        (Kind.BAD_RESPONSE, "tcp_failures"),
        (Kind.CONNECT_TIMEOUT, "timeouts"),
        (Kind.READ_TIMEOUT, "timeouts"),
        (Kind.WRITE_TIMEOUT, "timeouts"),
    ],
)
def test_what_a_failure_counts_as(kind, counter):
    """Timeouts and other transport failures have thresholds of their own."""
    other = {"tcp_failures": "timeouts", "timeouts": "tcp_failures"}[counter]
    health, passive = observed(passive_checks(**{counter: 1}))
    passive.failed(health, kind)
    assert health.state is State.UNHEALTHY
    health, passive = observed(passive_checks(**{other: 1}))
    passive.failed(health, kind)
    assert health.state is State.HEALTHY


def test_failures_of_the_gateway_say_nothing():
    """What is not the target's doing is not counted."""
    health, passive = observed(passive_checks(tcp_failures=1, timeouts=1, http_failures=1))
    passive.failed(health, Kind.OVERLOADED)
    assert health.state is State.HEALTHY


def test_tcp_checks_ignore_answers():
    """Checks of type tcp look at connections only."""
    health, passive = observed(passive_checks("tcp", http_failures=1, tcp_failures=2))
    passive.answered(health, 500)
    assert health.state is State.HEALTHY


def test_passive_restores_only_where_told():
    """Traffic under way restores a target after the configured successes, and never by default."""
    health, passive = observed(passive_checks(http_failures=1))
    passive.answered(health, 500)
    for _ in range(50):
        passive.answered(health, 200)
    assert health.state is State.UNHEALTHY
    health, passive = observed(passive_checks(successes=2, http_failures=1))
    for status in (500, 200, 500, 200, 200):
        passive.answered(health, status)
    assert health.state is State.HEALTHY


def test_listeners_hear_of_changes():
    """Each change is told once, and no more after leaving."""
    health = Health(KEY, None)
    heard = []

    def listener():
        heard.append(health.healthy)

    health.listen(listener)
    health.failure("tcp", 1)
    health.failure("tcp", 1)
    health.success(1)
    health.unlisten(listener)
    health.failure("tcp", 1)
    assert heard == [False, True]


def test_somebody_s_word_counts_until_a_check_says_otherwise():
    """Nothing is left of what was counted before; without checks, it stays and is said."""
    told = []
    health = Health(KEY, None)
    health.listen(lambda: told.append(health.healthy))
    health.mark(healthy=False)
    assert health.state is State.UNHEALTHY
    health.mark(healthy=True)
    assert health.state is State.HEALTHCHECKS_OFF
    assert told == [False, True]
    health, _ = observed(passive_checks(successes=2, http_failures=2))
    health.failure("http", 2)
    health.mark(healthy=True)
    health.failure("http", 2)
    assert health.healthy
    health.mark(healthy=False)
    health.success(2)
    assert not health.healthy
    health.success(2)
    assert health.healthy
