"""Segments in a spool: named for good, closed by size and age, whole after a kill, bounded together."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import time

import pytest

from proxyd.clock import Clock
from proxyd.telemetry.segments import Name, Rotation, SegmentWriter, new_name
from proxyd.telemetry.spool import Spool

MOMENT = 1_770_000_000.25  # 2026-02-02T02:40:00.250Z
LOGS = ("access",)


@pytest.fixture
def writer(tmp_path):
    made = []

    def make(size=1 << 20, worker="0"):
        made.append(SegmentWriter(tmp_path, "access", worker, size, lambda: MOMENT))
        return made[-1]

    yield make
    for one in made:
        one.close()


def files(directory):
    return sorted(path.suffix for path in directory.iterdir())


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # a thread tells nobody
            await asyncio.sleep(0.005)


def test_a_key_is_made_of_the_name_alone(tmp_path, monkeypatch):
    """Log, host, worker and the time of the first line; the same one whenever it is sent."""
    monkeypatch.setattr("socket.gethostname", lambda: "gw_1.internal")
    name = Name.of(tmp_path / f"{new_name('access', '3', MOMENT)}.log")
    assert name.key("", "") == f"access_gw-1.internal_3_20260202T024000250Z_{name.text[-8:]}"
    prefix = "l/{log}/{host}/{worker}/{year}-{month}-{day}T{hour}/"
    assert name.key(prefix, ".log.gz").startswith("l/access/gw-1.internal/3/2026-02-02T02/access_")
    assert Name.of(tmp_path / "notes.log") is None


async def test_the_first_line_opens_a_segment_and_the_end_closes_it(writer, tmp_path):
    """Without lines there is no file; closed, it is there under its name for good."""
    one = writer()
    one.rotate()
    assert files(tmp_path) == []
    one.write(b'{"a":1}\n', 1)
    await until(lambda: one.written == 1)
    assert files(tmp_path) == [".open"]
    one.write(b'{"a":2}\n', 1)
    one.close()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".log"
    assert path.read_bytes() == b'{"a":1}\n{"a":2}\n'


async def test_size_and_rotation_close_it(writer, tmp_path):
    """What comes behind the size goes into the next one; so does what comes behind ``rotate``."""
    one = writer(size=20)
    for _ in range(2):
        one.write(b"0123456789\n" * 2, 2)
        await until(lambda: one.pending == 0)
    one.write(b"x\n", 1)
    one.rotate()
    one.write(b"y\n", 1)
    one.close()
    assert files(tmp_path) == [".log"] * 4
    assert sorted(path.read_bytes() for path in tmp_path.iterdir())[2:] == [b"x\n", b"y\n"]


async def test_age_closes_it(writer, tmp_path):
    """By a timer, the first time sooner."""
    one = writer()
    rotation = Rotation(one, 0.05, asyncio.get_running_loop())
    one.write(b"x\n", 1)
    await until(lambda: files(tmp_path) == [".log"])
    rotation.stop()


async def test_what_is_being_written_is_left_alone(writer, tmp_path):
    """A look takes what is closed; what is open and locked is counted, and not moved."""
    one = writer()
    one.write(b"x\n", 1)
    await until(lambda: one.written == 1)
    state = Spool(tmp_path, 1000, Clock().time).look(LOGS)
    assert (state.waiting, state.size, files(tmp_path)) == ([], 2, [".open"])


SCRIPT = """
import pathlib, sys, time
from proxyd.telemetry.segments import SegmentWriter
one = SegmentWriter(pathlib.Path(sys.argv[1]), "access", "0", 1 << 20, time.time)
one.write(b"whole\\n" * 100, 100)
while one.pending:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def test_a_kill_loses_no_line_that_was_written(tmp_path):
    """The segment of a process that was killed is closed by the next look, and sent without what is half a line."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"half")
    (one,) = Spool(tmp_path, 10_000, Clock().time).look(LOGS).waiting
    assert one.name.text == path.stem
    assert Spool.read(one.path, compress=False).data == b"whole\n" * 100


def test_a_file_that_was_never_opened_is_forgotten(tmp_path):
    """Not while its process may be about to."""
    path = tmp_path / f"{new_name('access', '0', MOMENT)}.new"
    path.touch()
    spool = Spool(tmp_path, 1000, time.time)
    spool.look(LOGS)
    assert path.exists()
    os.utime(path, (1.0, 1.0))
    spool.look(LOGS)
    assert not path.exists()


def test_the_oldest_go_where_there_is_no_room(tmp_path):
    """Until the rest fits, but for the one that is under way; files of others stay, and do not count."""
    names = [new_name("access", "0", MOMENT + number) for number in range(4)]
    for name in names:
        (tmp_path / f"{name}.log").write_bytes(b"x" * 10)
    (tmp_path / f"{new_name('audit', 'main', MOMENT)}.log").write_bytes(b"x" * 100)
    (tmp_path / "notes.txt").write_bytes(b"x" * 100)
    state = Spool(tmp_path, 25, Clock().time).look(LOGS, spared=names[0])
    assert [one.name.text for one in state.waiting] == [names[0], names[3]]
    assert (state.size, state.dropped, len(files(tmp_path))) == (20, 2, 4)


def test_what_is_sent_is_the_same_each_time(tmp_path):
    """Compressed twice, a segment is the same bytes, with their digest; without a whole line there is nothing to send."""
    path = tmp_path / "x.log"
    path.write_bytes(b'{"a":1}\nhalf')
    first, second = (Spool.read(path, compress=True) for _ in range(2))
    assert first == second
    assert gzip.decompress(first.data) == b'{"a":1}\n'
    path.write_bytes(b"half")
    assert Spool.read(path, compress=True) is None
    assert Spool.read(tmp_path / "none.log", compress=True) is None
