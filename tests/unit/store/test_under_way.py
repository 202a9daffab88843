"""How many are under way, over several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from proxyd.store.under_way import LocalUnderWay, SharedUnderWay, make_file

OTHER = """
import sys, time
from proxyd.store.under_way import SharedUnderWay
one = SharedUnderWay(int(sys.argv[1]))
print(sum(one.enter("ann", 3) for _ in range(9)), flush=True)
time.sleep(60)
"""


@pytest.fixture
def fd():
    number = make_file(4)
    yield number
    os.close(number)


def test_a_limit_holds_over_all_of_them(fd):
    """Who is counted in one is counted in the other; whoever leaves makes room in both."""
    first, second = SharedUnderWay(fd), SharedUnderWay(fd)
    try:
        assert [first.enter("ann", 2), second.enter("ann", 2)] == [True, True]
        assert [first.enter("ann", 2), second.enter("ann", 2)] == [False, False]
        assert second.enter("bob", 1)
        first.leave("ann")
        assert [second.enter("ann", 2), first.enter("ann", 2)] == [True, False]
        assert (repr(first), repr(second)) == ("<SharedUnderWay row=0 of 4>", "<SharedUnderWay row=1 of 4>")
    finally:
        first.close()
        second.close()


def test_what_a_killed_process_held_is_free_when_another_begins(fd):
    """Until then it counts; its row is emptied, whichever row the next one takes."""
    gone, here = SharedUnderWay(fd), SharedUnderWay(fd)
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(fd)], stdout=subprocess.PIPE, pass_fds=[fd])
    assert process.stdout.readline() == b"3\n"
    assert not here.enter("ann", 3)
    gone.close()  # there is a free row before that of the killed one
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not here.enter("ann", 3)
    successor = SharedUnderWay(fd)
    try:
        assert repr(successor) == "<SharedUnderWay row=0 of 4>"
        assert [here.enter("ann", 3) for _ in range(4)] == [True, True, True, False]
    finally:
        here.close()
        successor.close()


def test_one_too_many_is_told(fd):
    """Where every row is taken, a process has to count for itself."""
    all_of_them = [SharedUnderWay(fd) for _ in range(4)]
    with pytest.raises(OSError, match="Too many users"):
        SharedUnderWay(fd)
    for one in all_of_them:
        one.close()


def test_strangers_do_not_meet(fd):
    """Who shares a cell with another has two more: nobody is refused for what others hold."""
    one = SharedUnderWay(fd)
    try:
        assert all(one.enter(f"192.0.2.{number}", 1) for number in range(500))
    finally:
        one.close()


def test_places_are_forgotten_and_found_again(fd, monkeypatch):
    """More keys than are remembered are counted as well."""
    monkeypatch.setattr("proxyd.store.under_way._REMEMBERED", 2)
    one = SharedUnderWay(fd)
    try:
        assert all(one.enter(key, 1) for key in "abcde")
        assert not any(one.enter(key, 1) for key in "abcde")
    finally:
        one.close()


def test_one_process_keeps_nothing_of_who_is_gone():
    """The last to leave takes the count along."""
    one = LocalUnderWay()
    assert [one.enter("ann", 1), one.enter("ann", 1)] == [True, False]
    assert repr(one) == "<LocalUnderWay 1>"
    one.leave("ann")
    assert one.counts == {}
    one.close()
