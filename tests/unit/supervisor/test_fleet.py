"""What an instance answers, and what is said where nothing does."""

from __future__ import annotations

import os

import pytest
from fleet import Fleet, FleetError, Instance


def test_one_that_is_not_there_is_named(tmp_path):
    """With the socket that was tried; it counts as neither ready nor answering."""
    one = Instance("proxyd:proxyd_00", "RUNNING", os.getpid(), 0, tmp_path / "status-00.sock")
    with pytest.raises(
        FleetError, match=r"proxyd:proxyd_00 does not answer on .*status-00\.sock: No such file"
    ):
        one.facts()
    assert not one.ready()
    assert not one.answers()


def test_memory_is_that_of_the_process(tmp_path):
    """And nothing for one that has ended."""
    there = Instance("a", "RUNNING", os.getpid(), 0, tmp_path)
    assert there.resident() > 1 << 20
    assert Instance("a", "RUNNING", 2**22 + 1, 0, tmp_path).resident() == 0


def test_no_supervisord_is_said(tmp_path):
    """With the socket at which it would be."""
    with pytest.raises(FleetError, match=r"no supervisord answers at .*supervisor\.sock: No such file"):
        Fleet(tmp_path).instances()


def test_one_exchange_at_a_time(tmp_path):
    """A second one is told that there is a first, until that is over."""
    with (
        Fleet(tmp_path).alone(),
        pytest.raises(FleetError, match="being exchanged already"),
        Fleet(tmp_path).alone(),
    ):
        pass
    with Fleet(tmp_path).alone():
        pass
