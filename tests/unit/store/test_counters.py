"""Counters: exact, in one process and in several, whatever the clocks, the room and the other processes do."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyd.store import shared
from proxyd.store.counters import CountersAway, LocalCounters, Window
from proxyd.store.shared import SharedCounters
from proxyd.store.windows import PERIODS, Windows, bounds


def window(period, limit, now, *, sliding=False):
    return Window(PERIODS.index(period), limit, *bounds(period, now), sliding)


NOW = 1_700_049_600
MINUTE = window("minute", 3, NOW)
HOUR = window("hour", 4, NOW)
NEXT = window("minute", 3, NOW + 60)


@pytest.fixture(params=["local", "shared"])
def counters(request, tmp_path):
    made = LocalCounters() if request.param == "local" else SharedCounters(tmp_path / "counters")
    yield made
    made.close()


def test_as_many_as_the_limit_pass(counters):
    """And what each had used before is told."""
    assert [counters.take(b"a", [MINUTE], NOW) for _ in range(4)] == [
        (True, ((0, 0),)),
        (True, ((1, 0),)),
        (True, ((2, 0),)),
        (False, ((3, 0),)),
    ]
    assert counters.take(b"b", [MINUTE], NOW) == (True, ((0, 0),))


def test_a_refused_request_counts_nowhere(counters):
    """A full window keeps the others as they are."""
    for _ in range(9):
        counters.take(b"a", [MINUTE, HOUR], NOW)
    assert counters.take(b"a", [MINUTE._replace(limit=9), HOUR], NOW) == (True, ((3, 0), (3, 0)))


def test_more_than_one_can_be_counted(counters):
    """Beyond the limit too: it has happened already."""
    assert counters.take(b"a", [MINUTE], NOW, 0) == (True, ((0, 0),))
    assert counters.take(b"a", [MINUTE, HOUR], NOW, 2) == (True, ((0, 0), (0, 0)))
    assert counters.take(b"a", [MINUTE, HOUR], NOW, 0) == (True, ((2, 0), (2, 0)))
    counters.add(b"a", MINUTE, 5, NOW)
    assert counters.take(b"a", [MINUTE], NOW, 0) == (False, ((7, 0),))


def test_the_next_window_begins_with_nothing(counters):
    """The one before is known for limits that slide, the one before that is forgotten."""
    for _ in range(3):
        counters.take(b"a", [MINUTE], NOW)
    assert counters.take(b"a", [NEXT], NOW + 60)[1][0][0] == 0
    slides = [window("minute", 9, NOW + after, sliding=True) for after in (120, 180, 360)]
    assert counters.take(b"a", [slides[0]], NOW + 120) == (True, ((0, 1),))
    assert counters.take(b"a", [slides[1]], NOW + 180) == (True, ((0, 1),))
    assert counters.take(b"a", [slides[2]], NOW + 360) == (True, ((0, 0),))


@pytest.mark.parametrize("late", [0, 1, 3600])
def test_a_counter_never_goes_back(counters, late):
    """Who counts with an earlier window, from a clock read before or set back, is counted in the one that runs."""
    earlier = window("minute", 3, NOW - late * 60)
    passed = [counters.take(b"a", [one], NOW)[0] for one in (NEXT, earlier, NEXT, NEXT, earlier, NEXT)]
    assert passed == [True] * 3 + [False] * 3


# --- several processes ---------------------------------------------------------------------------------------


def _hammer(path, passed):
    counters = SharedCounters(path)
    windows = [MINUTE._replace(limit=1000), HOUR._replace(limit=5000)]
    mine = sum(counters.take(b"a", windows, NOW)[0] for _ in range(600))
    with passed.get_lock():
        passed.value += mine
    counters.close()


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_processes_share_one_limit(tmp_path, processes):
    """Exactly the limit passes, however many count at once."""
    context = multiprocessing.get_context("spawn")
    passed = context.Value("i", 0)
    workers = [context.Process(target=_hammer, args=(tmp_path / "c", passed)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert passed.value == min(1000, 600 * processes)


def _hold(path, key, ready):
    counters = SharedCounters(path)
    _, block, lock, _ = counters._place(key)
    counters._lock(block, lock)
    ready.set()
    signal.pause()


@pytest.fixture
def holder(tmp_path):
    """A process that has been stopped while it held the counters of ``held``."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "c", b"held", ready))
    process.start()
    assert ready.wait(30)
    os.kill(process.pid, signal.SIGSTOP)
    yield process
    process.kill()
    process.join()


class Steps:
    """A clock that goes on by a little whenever it is looked at."""

    def __init__(self, wait=shared.WAIT):
        self.looked = 0
        self._step = wait / 3

    def __call__(self):
        self.looked += 1
        return self.looked * self._step


def test_a_stopped_process_is_waited_for_once(tmp_path, holder):
    """The second who asks is told at once; other callers' counters go on, and these do when the lock is free."""
    clock, told = Steps(), []
    counters = SharedCounters(tmp_path / "c", now=clock, stuck=told.append)
    with pytest.raises(CountersAway):
        counters.take(b"held", [MINUTE], NOW)
    looked = clock.looked
    assert (told, clock.looked) == ([True], looked)
    with pytest.raises(CountersAway):
        counters.add(b"held", MINUTE, 1, NOW)
    assert (told, clock.looked) == ([True], looked)
    assert counters.take(b"free", [MINUTE], NOW) == (True, ((0, 0),))
    assert repr(counters) == "<SharedCounters blocks=4096 stuck=1>"
    holder.kill()
    holder.join()
    assert counters.take(b"held", [MINUTE], NOW) == (True, ((0, 0),))
    assert told == [True, False]
    counters.close()


def test_gateways_in_one_process_exclude_one_another(tmp_path):
    """The locks are the open file's, not the process's, and end with it only."""
    one, other, third = (SharedCounters(tmp_path / "c", now=Steps()) for _ in range(3))
    _, block, lock, _ = one._place(b"held")
    one._lock(block, lock)
    third.close()
    with pytest.raises(CountersAway):
        other.take(b"held", [MINUTE], NOW)
    one.close()
    assert other.take(b"held", [MINUTE], NOW)[0]
    other.close()


def test_a_file_has_all_of_its_room_from_the_start(tmp_path):
    """Also one that was made without: where there is no room, that is told as it is opened, and not by a signal later."""
    path = tmp_path / "c"
    for _ in range(2):
        SharedCounters(path).close()
        found = path.stat()
        assert found.st_blocks * 512 >= found.st_size
        content = path.read_bytes()[:64]
        os.truncate(path, 0)
        os.truncate(path, found.st_size)
        with path.open("r+b") as file:
            file.write(content)


def test_a_file_that_is_held_while_it_is_opened(tmp_path):
    """A start does not wait for ever either, and says why."""
    one = SharedCounters(tmp_path / "c")
    assert one._wait(shared._locks(0)[0], 0)
    with pytest.raises(OSError, match="does not go on"):
        SharedCounters(tmp_path / "c", now=Steps(shared.OPEN_WAIT))
    one.close()
    SharedCounters(tmp_path / "c").close()


# --- no room -------------------------------------------------------------------------------------------------


@pytest.fixture(params=["local", "shared"])
def small(request, tmp_path):
    """Counters with room for 58."""
    made = LocalCounters(58) if request.param == "local" else SharedCounters(tmp_path / "c", blocks=1)
    yield made
    made.close()


def test_no_crowd_takes_a_used_up_counter_away(small):
    """However many come in between, who has had the limit has had it; memory does not grow."""
    assert [small.take(b"used up", [MINUTE], NOW)[0] for _ in range(4)] == [True, True, True, False]
    for number in range(2000):
        small.take(b"%d" % number, [MINUTE], NOW)
    assert small.take(b"used up", [MINUTE], NOW) == (False, ((3, 0),))
    assert small.crowded


def test_strangers_are_held_to_the_limit_together(small):
    """None of those for whom there is no room passes more often than it may, in one go or in turns."""
    for number in range(58):
        small.take(b"%d" % number, [MINUTE], NOW)
    strangers = [b"stranger %d" % number for number in range(500)]
    passed = [sum(small.take(one, [MINUTE], NOW)[0] for _ in range(5)) for one in strangers]
    assert 3 <= sum(passed) <= 3 * 64
    assert max(passed) <= 3
    again = [small.take(one, [MINUTE], NOW)[0] for one in strangers]
    assert not any(again)
    assert small.take(b"0", [MINUTE], NOW) == (True, ((1, 0),))
    assert small.take(strangers[0], [window("minute", 3, NOW + 180)], NOW + 180)[0]


def test_a_stranger_that_gets_a_counter_begins_where_it_was(tmp_path):
    """Room that comes free in the middle of a window lets nobody begin anew."""
    counters = SharedCounters(tmp_path / "c", blocks=1)
    second = window("second", 9, NOW)
    for number in range(58):
        counters.take(b"%d" % number, [second], NOW)
    assert [counters.take(b"stranger", [HOUR], NOW)[0] for _ in range(5)] == [True] * 4 + [False]
    assert counters.take(b"stranger", [HOUR], NOW + 30) == (False, ((4, 0),))
    assert counters.take(b"stranger", [HOUR._replace(limit=5)], NOW + 30) == (True, ((4, 0),))
    assert counters.take(b"stranger", [HOUR._replace(limit=5)], NOW + 30) == (False, ((5, 0),))
    counters.close()


def test_a_counter_outlives_its_window(tmp_path):
    """It is not given to another before nobody can come late any more."""
    counters = SharedCounters(tmp_path / "c", blocks=1)
    for number in range(58):
        counters.add(b"%d" % number, MINUTE, 3, NOW)
    counters.take(b"another", [NEXT], NOW + 61)
    assert counters.take(b"0", [MINUTE], NOW + 59) == (False, ((3, 0),))
    assert counters.crowded == 1
    counters.take(b"another", [NEXT], NOW + 60 + shared.LINGER)
    assert counters.crowded == 1
    counters.close()


@pytest.mark.parametrize("there", [b"x" * 5000, b"proxyd counters1" + bytes(4080)])
def test_another_file_is_left_alone(tmp_path, there):
    """What is not ours, or of another version, is not written over."""
    path = tmp_path / "other"
    path.write_bytes(there)
    with pytest.raises(ValueError, match="not a file of counters"):
        SharedCounters(path)
    assert path.read_bytes() == there


STEPS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 300)), max_size=60)


@given(STEPS, st.booleans())
def test_both_kinds_count_alike(tmp_path_factory, steps, sliding):
    """Whatever comes, as long as time goes on."""
    local, both = LocalCounters(), SharedCounters(tmp_path_factory.mktemp("c") / "c", blocks=8)
    windows = Windows({"minute": 4, "hour": 9}, sliding=sliding)
    for key, moment in sorted(steps, key=lambda step: step[1]):
        now = NOW + moment
        told, counts = local.take(key, windows.at(now), now)
        other, others = both.take(key, windows.at(now), now)
        assert told == other
        assert [count for count, _ in counts] == [count for count, _ in others]
        assert not sliding or counts == others
    both.close()


@pytest.mark.parametrize("sliding", [False, True])
@given(steps=STEPS)
@example(steps=[(b"c", 0), (b"c", 0), (b"c", 60), (b"a", 180), (b"c", 0)])
def test_no_order_of_time_lets_more_through(tmp_path_factory, sliding, steps):
    """Of each caller, as many as the limit for each window that was seen: one that is entered again gives nothing."""
    for counters in (LocalCounters(), SharedCounters(tmp_path_factory.mktemp("c") / "c", blocks=8)):
        windows = Windows({"minute": 2}, sliding=sliding)
        passed: dict[bytes, int] = {}
        seen = set()
        for key, moment in steps * 2:
            now = NOW + moment
            seen.add(windows.at(now)[0].start)
            passed[key] = passed.get(key, 0) + counters.take(key, windows.at(now), now)[0]
            assert passed[key] <= 2 * len(seen)
        counters.close()


def test_a_newcomer_is_not_charged_for_who_was_there_before(tmp_path):
    """Whose record made room counted for themselves: in a window that slides, too."""
    counters = SharedCounters(tmp_path / "c", blocks=1)
    fixed, sliding = Windows({"hour": 5}), Windows({"hour": 5}, sliding=True)
    hour = NOW - NOW % 3600
    for number in range(shared.COUNTERS):
        for _ in range(5):
            counters.take(b"old%d" % number, fixed.at(hour), hour)
    later = hour + 3600 + 120  # their records may go, and lie in the window before
    assert counters.take(b"new", sliding.at(later), later) == (True, ((0, 0),))
    assert counters.take(b"other", sliding.at(later), later) == (True, ((0, 0),))
    counters.close()


# --- windows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "now", "expected"),
    [
        ("second", 61, (61, 62, 60)),
        ("minute", 119, (60, 120, 0)),
        ("day", 86_401, (86_400, 172_800, 0)),
        ("month", 1_709_210_096, (1_706_745_600, 1_709_251_200, 1_704_067_200)),
        ("year", 1_709_210_096, (1_704_067_200, 1_735_689_600, 1_672_531_200)),
    ],
)
def test_windows_are_the_calendars(period, now, expected):
    """February 2024 has 29 days; a year begins with January."""
    assert bounds(period, now) == expected


@pytest.mark.parametrize("period", ["second", "minute", "month"])
@given(
    limit=st.integers(1, 50),
    spent=st.integers(0, 120),
    before=st.integers(0, 60),
    at=st.floats(0, 0.999),
    sliding=st.booleans(),
)
def test_who_waits_as_told_passes(period, limit, spent, before, at, sliding):
    """And not a second earlier; the length of a month is taken for the next one's too."""
    start, end, _ = bounds(period, NOW)
    length = end - start
    now = start + at * length
    full = Window(PERIODS.index(period), limit, start, end, start - length, sliding)
    count, before = min(spent, limit), min(before, limit)
    if full.used(count, before, now) < limit:
        return

    def passes(moment):
        if moment < end:
            return full.used(count, before, moment) < limit
        following = Window(full.period, limit, end, end + length, start, sliding)
        return moment >= end + length or following.used(0, count, moment) < limit

    wait = full.retry_after(count, before, now)
    assert passes(now + wait)
    assert wait == 1 or not passes(now + wait - 1.001)
