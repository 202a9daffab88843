"""What the keeper decides, on a fleet that only writes down what it is asked for."""

from __future__ import annotations

import contextlib
import io
import json
import time

import keeper as module
import pytest
from fleet import FleetError
from keeper import Keeper, listen, size
from schedule import Schedule

NOW = 1_800_000_000.0


class FakeInstance:
    def __init__(self, name, *, state="RUNNING", age=100, held=0, answers=True):
        self.name = name
        self.state = state
        self.started = NOW - age
        self.pid = hash(name)
        self.held = held
        self._answers = answers

    def answers(self):
        return self._answers

    def resident(self):
        return self.held


class FakeFleet:
    """Instances, and ``done``: what was asked for."""

    def __init__(self, *instances, busy=False):
        self.all = instances
        self.done = []
        self.busy = busy

    def instances(self):
        return list(self.all)

    @contextlib.contextmanager
    def alone(self):
        if self.busy:
            raise FleetError("instances are being exchanged already")
        yield

    def exchange(self, instance):
        self.done.append(f"exchange {instance.name}")
        return instance

    def signal(self, instance, name):
        self.done.append(f"{name} {instance.name}")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0)


def tick(fleet, memory=0, schedule=None, grace=30.0, now=NOW):
    Keeper(fleet, memory, schedule, grace).tick(now)
    return fleet.done


def test_the_first_that_is_too_large_is_exchanged():
    """One for each tick, and none that is within the limit or new."""
    fleet = FakeFleet(
        FakeInstance("a", held=100),
        FakeInstance("b", held=300, age=5),
        FakeInstance("c", held=201),
        FakeInstance("d", held=300),
    )
    assert tick(fleet, memory=200) == ["exchange c"]


def test_no_limit_is_no_limit():
    """Without one, nobody is measured."""
    assert tick(FakeFleet(FakeInstance("a", held=1 << 40))) == []


def test_one_that_does_not_answer_is_killed():
    """Those that answer, stop, have just begun, or have not answered yet and may be slow to start, are left alone."""
    hung = FakeInstance("b")
    fleet = FakeFleet(
        FakeInstance("a"),
        hung,
        FakeInstance("c", answers=False, state="STOPPING"),
        FakeInstance("d", answers=False, age=5),
        FakeInstance("e", answers=False, age=40),
        FakeInstance("f", answers=False, age=60),
    )
    keeper = Keeper(fleet, 0, None, 30.0)
    keeper.tick(NOW)
    assert fleet.done == ["KILL f"]
    hung._answers = False
    keeper.tick(NOW)
    assert fleet.done == ["KILL f", "KILL b", "KILL f"]


def test_the_clock_restarts_once_in_a_minute():
    """All that run, however new they are, and again with the next minute that is included."""
    fleet = FakeFleet(FakeInstance("a", age=1), FakeInstance("b", state="STARTING"))
    keeper = Keeper(fleet, 0, Schedule("* * * * *"), 30.0)
    keeper.tick(NOW)
    keeper.tick(NOW + 5)
    assert fleet.done == ["exchange a"]
    keeper.tick(NOW + 60)
    assert fleet.done == ["exchange a"] * 2


def test_a_minute_that_was_missed_is_made_up_for_while_it_lasts(capsys):
    """Somebody else exchanges instances: the next tick tries again."""
    fleet = FakeFleet(FakeInstance("a"), busy=True)
    keeper = Keeper(fleet, 0, Schedule("* * * * *"), 30.0)
    keeper.tick(NOW)
    assert fleet.done == []
    assert json.loads(capsys.readouterr().err)["reason"] == "instances are being exchanged already"
    fleet.busy = False
    keeper.tick(NOW + 5)
    assert fleet.done == ["exchange a"]


def test_events_are_answered_one_by_one():
    """As supervisord's protocol has it; ticks that have waited too long are taken and left."""
    seen = []

    class Counting:
        def tick(self, now):
            seen.append(now)

    now = int(time.time())
    payloads = [f"when:{now}", f"when:{now - 600}"]
    events = "".join(
        f"ver:3.0 server:supervisor serial:1 pool:keeper poolserial:1 eventname:TICK_5 len:{len(payload)}\n{payload}"
        for payload in payloads
    )
    answers = io.StringIO()
    listen(Counting(), io.StringIO(events), answers)
    assert answers.getvalue() == "READY\nRESULT 2\nOKREADY\nRESULT 2\nOKREADY\n"
    assert seen == [now]


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("500M", 500 << 20), ("1gb", 1 << 30), ("64 K", None)])
def test_sizes_are_what_people_write(text, value):
    """With a letter, with or without a B behind it."""
    if value is None:
        with pytest.raises(ValueError, match="is no size, such as 500M"):
            size(text)
    else:
        assert size(text) == value
