"""Counters: exact, in one process and in several."""

from __future__ import annotations

import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.store.counters import LocalCounters, Taken, Window
from proxyd.store.shared import SharedCounters
from proxyd.store.windows import Windows, bounds

MINUTE = Window(b"/minute", 3, 600, 660, 540)
HOUR = Window(b"/hour", 4, 0, 3600, -3600)


@pytest.fixture(params=["local", "shared"])
def counters(request, tmp_path):
    made = LocalCounters() if request.param == "local" else SharedCounters(tmp_path / "counters")
    yield made
    made.close()


def test_as_many_as_the_limit_pass(counters):
    """And what each had used before is told."""
    assert [counters.take(b"a", [MINUTE]) for _ in range(4)] == [
        Taken(admitted=True, used=(0,)),
        Taken(admitted=True, used=(1,)),
        Taken(admitted=True, used=(2,)),
        Taken(admitted=False, used=(3,)),
    ]
    assert counters.take(b"b", [MINUTE]).admitted


def test_a_refused_request_counts_nowhere(counters):
    """A full window keeps the others as they are."""
    for _ in range(9):
        counters.take(b"a", [MINUTE, HOUR])
    assert counters.take(b"a", [MINUTE._replace(limit=9), HOUR]).used == (3, 3)


def test_the_next_window_begins_with_nothing(counters):
    """The one before is known for limits that slide, the one before that is forgotten."""
    for _ in range(3):
        counters.take(b"a", [MINUTE])
    following = Window(b"/minute", 3, 660, 720, 600)
    assert counters.take(b"a", [following]) == (True, (0,))
    later = Window(b"/minute", 3, 720, 780, 660, 0.5)
    assert counters.take(b"a", [later]) == (True, (0,))
    assert counters.take(b"a", [Window(b"/minute", 3, 780, 840, 720, 1.0)]) == (True, (1,))
    assert counters.take(b"a", [Window(b"/minute", 3, 960, 1020, 900, 1.0)]) == (True, (0,))


def _hammer(path, passed):
    counters = SharedCounters(path)
    mine = sum(
        counters.take(b"a", [MINUTE._replace(limit=1000), HOUR._replace(limit=5000)]).admitted
        for _ in range(600)
    )
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


def test_a_full_table_keeps_what_lasts_longest(tmp_path):
    """Neither grows nor fails; counters whose window is over go first."""
    counters = SharedCounters(tmp_path / "c", slots=64)
    lasting = Window(b"/day", 2, 0, 86_400, -86_400)
    counters.take(b"kept", [lasting])
    for number in range(500):
        counters.take(b"%d" % number, [MINUTE])
    assert counters.take(b"kept", [lasting]) == (True, (1,))
    counters.close()


def test_memory_is_bounded():
    """Old counters go when there are too many."""
    counters = LocalCounters(capacity=100)
    for second in range(1000):
        counters.take(b"%d" % second, [Window(b"/second", 1, second, second + 1, second - 1)])
    assert len(counters._slots) <= 101


def test_another_file_is_left_alone(tmp_path):
    """What is not ours is not written over."""
    path = tmp_path / "other"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ValueError, match="not a file of counters"):
        SharedCounters(path)
    assert path.read_bytes() == b"x" * 5000


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 300)), max_size=60))
def test_both_kinds_count_alike(tmp_path_factory, steps):
    """Whatever comes, in whatever order of time."""
    local, shared = LocalCounters(), SharedCounters(tmp_path_factory.mktemp("c") / "c")
    windows = Windows({"second": 1, "minute": 4}, sliding=True)
    for key, moment in sorted(steps, key=lambda step: step[1]):
        assert local.take(key, windows.at(moment)) == shared.take(key, windows.at(moment))
    shared.close()


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
