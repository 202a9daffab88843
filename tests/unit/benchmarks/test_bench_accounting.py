"""What processes and cores used."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benchmarks import accounting

BEFORE = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 800 20 0 10 20 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5 0\n"
AFTER = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 130 5 60 840 20 2 13 30 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 9 0\n"


@pytest.fixture
def child():
    """A process that does nothing until it is ended."""
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_cpu_time_of_this_process_lies_between_two_readings_of_its_own_clock():
    """The kernel's count of a process is the one that the process itself reads."""
    before = time.process_time_ns()
    seen = accounting.cpu_ns(os.getpid())
    after = time.process_time_ns()
    assert before <= seen
    assert seen <= after + _children_ns()


def _children_ns():
    return sum(accounting.cpu_ns(pid) for pid in accounting.tree(os.getpid())[1:])


def test_cpu_time_of_a_parent_includes_its_children(child):
    """A proxy with workers is accounted for as a whole."""
    alone, childs = time.process_time_ns(), accounting.cpu_ns(child.pid)
    assert accounting.cpu_ns(os.getpid()) >= alone + childs


def test_tree_lists_the_process_first_and_its_child_after_it(child):
    """Descendants are found through the kernel's list of children."""
    found = accounting.tree(os.getpid())
    assert found[0] == os.getpid()
    assert child.pid in found[1:]


def test_cpu_time_of_a_process_that_is_gone_is_an_error(child):
    """A proxy that died must not be shown as one that used nothing."""
    child.stdin.close()
    child.wait()
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        accounting.cpu_ns(child.pid)


def test_resident_memory_includes_the_child(child):
    """Memory is summed over the tree."""
    assert accounting.rss_bytes(os.getpid()) > accounting.rss_bytes(child.pid) > 0


def test_a_cores_shares_are_those_of_the_time_between_two_readings():
    """Of 100 ticks, 50 were worked and 10 stolen; idle and iowait are rest."""
    before, after = accounting.core_times(BEFORE), accounting.core_times(AFTER)
    assert after.busy_share(before, 0) == pytest.approx(0.5)
    assert after.stolen_share(before, 0) == pytest.approx(0.1)


def test_a_core_without_a_tick_between_two_readings_was_not_busy():
    """Two readings in a row divide nothing by nothing."""
    times = accounting.core_times(BEFORE)
    assert times.busy_share(times, 1) == 0.0


def test_this_machines_cores_are_read():
    """The kernel's file has a line for each core."""
    assert set(os.sched_getaffinity(0)) <= set(accounting.core_times().total)
