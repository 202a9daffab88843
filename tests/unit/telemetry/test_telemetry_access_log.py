"""Lines in batches, off the request path."""

from __future__ import annotations

import json

import pytest

from proxyd.errors import ConfigError
from proxyd.telemetry import noted
from proxyd.telemetry.access_log import AccessLog, open_access_log
from proxyd.telemetry.noted import DELAY, SLICE


def test_nothing_is_written_while_a_request_ends(exchange_of, clock, loop, writer):
    """Exchanges are noted at once and written together after a delay, by one timer."""
    log = AccessLog(writer, clock, loop)
    log.note(exchange_of())
    log.note(exchange_of("POST"))
    assert writer.lines == []
    assert repr(log) == "<AccessLog memory noted=2 dropped=0>"
    assert loop.run_one() == DELAY
    assert [json.loads(line)["method"] for line in writer.lines] == ["GET", "POST"]
    assert loop.scheduled == []


def test_the_time_of_a_line_is_when_its_request_began(exchange_of, clock, loop, writer):
    """However late a line is made, it carries the wall-clock time of its request."""
    log = AccessLog(writer, clock, loop)
    log.note(exchange_of())
    clock.advance(5)
    loop.run_one()
    assert json.loads(writer.lines[0])["time"] == "2023-11-14T22:13:20.000Z"


def test_many_lines_are_made_a_slice_per_turn(exchange_of, clock, loop, writer):
    """A burst is not waited with and does not hold the loop: other callbacks run between two slices, in order."""
    log = AccessLog(writer, clock, loop)
    for number in range(SLICE + 1):
        log.note(exchange_of(bytes_sent=number))
    assert [loop.run_one(), loop.run_one(), loop.run_one()] == [DELAY, 0, 0]
    assert writer.events == [SLICE, 1]
    assert [json.loads(line)["bytes_sent"] for line in writer.lines] == list(range(SLICE + 1))


def test_after_a_flush_the_timer_is_set_again(exchange_of, clock, loop, writer):
    """A log that fell quiet takes the next exchange as it took the first."""
    log = AccessLog(writer, clock, loop)
    for _ in range(2):
        log.note(exchange_of())
        loop.run_one()
    assert writer.events == [1, 1]


def test_what_waits_is_bounded(exchange_of, clock, loop, writer, monkeypatch):
    """Beyond the limit exchanges are dropped and counted, and those of the writer are added."""
    monkeypatch.setattr(noted, "LIMIT", 2)
    log = AccessLog(writer, clock, loop)
    for _ in range(5):
        log.note(exchange_of())
    writer.dropped = 4
    assert log.dropped == 7


def test_reopening_leaves_noted_lines_in_the_old_file(exchange_of, clock, loop, writer):
    """What was noted before the rotation is written before it."""
    log = AccessLog(writer, clock, loop)
    log.note(exchange_of())
    log.reopen()
    assert writer.events == [1, "reopen"]


def test_closing_writes_what_is_noted(exchange_of, clock, loop, writer):
    """Nothing that was noted is lost when the gateway stops, and the timer is gone."""
    log = AccessLog(writer, clock, loop)
    for _ in range(SLICE * 2):
        log.note(exchange_of())
    assert log.close()
    assert writer.events == [SLICE * 2, "close"]
    assert all(handle.cancelled for _, _, handle in loop.scheduled)


def test_off_is_no_log(clock, loop):
    """``off`` makes none."""
    assert open_access_log("off", clock, loop) is None


def test_a_path_gets_the_lines(exchange_of, clock, loop, tmp_path):
    """A path is created, appended to, and holds one JSON object per line."""
    path = tmp_path / "access.log"
    path.write_text("before\n")
    log = open_access_log(str(path), clock, loop)
    log.note(exchange_of())
    assert log.close()
    before, line = path.read_text().splitlines()
    assert before == "before"
    assert json.loads(line)["status"] == 200


def test_a_path_that_cannot_be_opened_is_an_error_of_the_setting(clock, loop, tmp_path):
    """The message names the setting, the path and the reason."""
    missing = tmp_path / "absent" / "access.log"
    with pytest.raises(ConfigError) as caught:
        open_access_log(str(missing), clock, loop)
    assert str(caught.value) == f"proxy_access_log: cannot open {missing}: No such file or directory"
