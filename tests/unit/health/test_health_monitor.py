"""Looking: thresholds, timeouts, what is told, and that nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.errors import ConfigError, Place
from proxyd.health import registry
from proxyd.health.look import DownError
from proxyd.health.monitor import Health, Monitor
from proxyd.model.indicators import Indicator


class Script:
    """Does one thing after the other: a result, or an exception to raise; at the end it hangs."""

    def __init__(self, *turns):
        self.turns = list(turns)
        self.cancelled = self.closed = False

    async def look(self):
        if not self.turns:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn

    async def close(self):
        self.closed = True


def indicator(name="one", **values):
    return Indicator.model_validate({"name": name, "tcp": {"host": "h", "port": 1}, **values})


async def test_what_was_seen_is_told_with_when(clock):
    """Up with what the look tells, down with the reason and what was seen; its time and duration beside them."""
    one = Monitor(indicator(), Script({"free": 5}, DownError("too little", {"free": 1})), clock)
    assert one.detail() == {"status": "down", "message": "not looked at yet"}
    await one.look()
    assert one.detail() == {
        "status": "up",
        "free": 5,
        "checked_at": "2023-11-14T22:30:00.000Z",
        "seconds": 0.0,
    }
    await one.look()
    assert one.detail()["message"] == "too little"
    assert one.detail()["free"] == 1
    assert repr(one) == "<Monitor one down contrary=0>"


async def test_it_takes_as_many_failures_as_are_set(clock, caplog):
    """One failure in between changes nothing with ``failures: 2``, and neither does one success on the way up."""
    away = DownError("away")
    script = Script({}, away, {}, away, away, {}, away, {}, {})
    one = Monitor(indicator(failures=2, successes=2), script, clock)
    told = []
    for _ in range(9):
        await one.look()
        told.append(one.detail()["status"])
    assert told == ["up", "up", "up", "up", "down", "down", "down", "down", "up"]


async def test_a_hanging_look_ends_at_the_timeout(clock):
    """The look is cancelled, and the reason is the time that it took."""
    script = Script()
    one = Monitor(indicator(timeout="50ms"), script, clock)
    await one.look()
    assert one.detail()["message"] == "no answer within 0.05 s"
    assert script.cancelled


async def test_an_exception_shows_only_what_it_is(clock):
    """Of whatever a client raises, the text stays untold: there may be a password in it."""
    one = Monitor(indicator(), Script(RuntimeError("password=secret"), OSError(111, "Refused")), clock)
    await one.look()
    assert one.detail()["message"] == "RuntimeError"
    await one.look()
    assert one.detail()["message"] == "connection refused"


async def test_what_is_too_old_does_not_count(clock):
    """An indicator that nobody gets to look at any more is down, whatever was seen of it."""
    one = Monitor(indicator(interval=10, timeout=2), Script({}), clock)
    await one.look()
    clock.at += 29.0
    assert one.why_down() == ""
    clock.at += 1.0
    assert one.why_down() == "the last look does not end"


async def test_only_the_first_look_is_waited_for(clock):
    """``details`` returns when each has been looked at, and afterwards at once, while another look hangs."""
    quick, slow = Script({}), Script({}, DownError("x"))
    health = Health(
        [(indicator("quick", interval="100s"), quick), (indicator("slow", ready=True), slow)], clock
    )
    assert health.not_ready() == "slow is down: not looked at yet"
    health.start()
    details = await health.details()
    assert {name: one["status"] for name, one in details.items()} == {"quick": "up", "slow": "up"}
    assert health.not_ready() == ""
    assert [(one.name, one.up) for one in health.states()] == [("quick", True), ("slow", True)]
    await health.stop()
    assert quick.closed
    assert slow.closed


async def test_only_indicators_that_are_said_to_count_make_the_gateway_unready(clock):
    """By default, none does."""
    looks = [
        (indicator("optional"), Script(DownError("away"))),
        (indicator("needed", ready="on"), Script({}, DownError("gone"))),
    ]
    health = Health(looks, clock)
    for one in health.monitors:
        await one.look()
    assert health.not_ready() == ""
    await health.monitors[1].look()
    assert health.not_ready() == "needed is down: gone"


def test_a_missing_extra_is_told_at_the_start(monkeypatch, processes):
    """The error has the place in the file, and says what to install."""

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(registry, "import_module", missing)
    one = Indicator.model_validate({"name": "docs", "mongodb": {"url": "mongodb://u:secret@h/"}})
    with pytest.raises(ConfigError) as caught:
        registry.make_looks([one], processes, {"proxyd.health[0]": Place("kong.yml", 4, 7)})
    assert str(caught.value.problems[0]) == (
        "kong.yml:4:7: proxyd.health[0].mongodb: needs the extra 'mongodb', which is not installed: "
        "pip install 'proxyd[mongodb]'"
    )


def test_a_file_of_tls_that_is_not_there_is_told_at_the_start(processes, tmp_path):
    """So is one that holds no certificate."""
    (tmp_path / "empty.pem").write_text("nothing")
    looks = [
        Indicator.model_validate(
            {"name": name, "tcp": {"host": "h", "port": 1, "tls": {"ca": str(tmp_path / name)}}}
        )
        for name in ("none.pem", "empty.pem")
    ]
    with pytest.raises(ConfigError) as caught:
        registry.make_looks(looks, processes, {})
    assert [str(problem) for problem in caught.value.problems] == [
        f"health: proxyd.health[0].tcp: {tmp_path}/none.pem: No such file or directory",
        f"health: proxyd.health[1].tcp: {tmp_path}/empty.pem: holds no PEM certificate or key",
    ]
