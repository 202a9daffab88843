"""Outputs that plugins share, and the file among them."""

from __future__ import annotations

import asyncio
import os

from proxyd.telemetry.outputs import FileOutput, Outputs


class Memory:
    plugin, destination = "memory", "here"
    waiting = sent = dropped = 0

    def __init__(self):
        self.events = []
        self.may_close = asyncio.Event()

    def reopen(self):
        self.events.append("reopen")

    async def close(self, within):
        self.events.append("close")
        await self.may_close.wait()
        self.events.append("closed")


async def test_an_output_lives_as_long_as_its_users():
    """The same key is the same output; the last to let go closes it, beside what goes on."""
    outputs = Outputs()
    first = outputs.acquire("key", Memory)
    assert outputs.acquire("key", Memory) is first
    assert list(outputs) == [first]
    outputs.reopen()
    outputs.release("key")
    await asyncio.sleep(0)
    assert first.events == ["reopen"]
    outputs.release("key")
    await asyncio.sleep(0)
    assert (first.events, list(outputs)) == (["reopen", "close"], [])
    assert outputs.acquire("key", Memory) is not first
    assert repr(outputs) == "<Outputs 1 closing=1>"
    for one in (first, *outputs):
        one.may_close.set()
    await outputs.stop()
    assert first.events == ["reopen", "close", "closed"]


async def test_what_a_closed_output_sent_goes_on_being_told(monkeypatch):
    """Its counts stay under its labels, with those of its successors, for as many destinations as there is room."""
    monkeypatch.setattr("proxyd.telemetry.outputs.PAST", 2)
    outputs = Outputs()
    for destination in ("a", "b", "b", "c"):
        output = outputs.acquire("key", Memory)
        output.destination, output.sent, output.dropped = destination, 3, 1
        output.may_close.set()
        outputs.release("key")
        assert outputs.told() == [output]
        await outputs.stop()
    assert outputs.told() == []
    assert outputs.past == {("memory", "b"): (6, 2), ("memory", "c"): (3, 1)}


async def test_stopping_closes_what_nobody_let_go_of():
    """A plugin that fails to stop does not keep its output open."""
    outputs = Outputs()
    output = outputs.acquire("key", Memory)
    output.may_close.set()
    await outputs.stop()
    assert output.events == ["close", "closed"]


async def test_a_file_that_cannot_be_opened_costs_its_lines(tmp_path, capsys):
    """One event for the row of failures; as soon as the path is there, lines are written to it."""
    path = tmp_path / "absent" / "log"
    output = FileOutput("file-log", str(path))
    output.write([b"one", b"two"])
    output.write([b"three"])
    while output.dropped < 3:  # noqa: ASYNC110  # the thread tells nobody
        await asyncio.sleep(0)
    path.parent.mkdir()
    output.write([b"four"])
    await output.close(5.0)
    assert path.read_bytes() == b"four\n"
    assert (output.sent, output.dropped, output.waiting) == (1, 3, 0)
    assert capsys.readouterr().err.count("log lines are being lost") == 1


async def test_lines_are_sent_when_they_are_written(tmp_path):
    """What the disk has not taken yet waits: a count of lines that were sent never has to be taken back."""
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    output = FileOutput("file-log", str(tmp_path / "log"))
    try:
        output.write([b"first"])
        while not output.sent:  # noqa: ASYNC110  # the thread tells nobody
            await asyncio.sleep(0)
        for _ in range(99):
            output.write([b"x" * 4095])  # more than a pipe holds
        assert (output.sent + output.waiting, output.dropped) == (100, 0)
        assert output.waiting > 0
    finally:
        os.close(reader)
    await output.close(5.0)
    assert output.sent < 100
    assert (output.sent + output.dropped, output.waiting) == (100, 0)


async def test_a_full_disk_costs_lines_and_no_more(capsys):
    """Every line is counted, and the failure told once."""
    output = FileOutput("file-log", "/dev/full")
    for _ in range(3):
        output.write([b"one", b"two"])
    await output.close(5.0)
    assert (output.sent, output.dropped) == (0, 6)
    assert capsys.readouterr().err.count("log lines are being lost") == 1


async def test_records_that_were_never_made_are_counted(tmp_path):
    """Beside those that could not be written."""
    output = FileOutput("file-log", str(tmp_path / "log"))
    output.lost(2)
    assert output.dropped == 2
    await output.close(5.0)
