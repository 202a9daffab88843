"""A thread that writes lines."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import threading
from queue import SimpleQueue

import pytest

from proxyd.telemetry.writer import LineWriter, _atomic_pieces


@pytest.fixture
def fifo(tmp_path):
    """A pipe that nobody reads from unless the test does: its path and its reading end."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def drain(reader, expected):
    got = b""
    while len(got) < expected:
        assert select.select([reader], [], [], 5)[0], f"only {len(got)} bytes came"
        got += os.read(reader, 1 << 20)
    return got


def test_lines_arrive_in_their_order(tmp_path):
    """What is written before closing is in the file, in order."""
    path = tmp_path / "log"
    writer = LineWriter(str(path), "setting")
    for number in range(100):
        writer.write(b"%d\n" % number, 1)
    assert writer.close()
    assert path.read_bytes().split() == [b"%d" % number for number in range(100)]
    assert (writer.pending, writer.dropped) == (0, 0)
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_pipe_costs_lines_and_not_time(fifo):
    """Where nobody reads, lines wait up to the limit, further ones are dropped and counted."""
    path, reader = fifo
    writer = LineWriter(str(path), "setting", limit=1 << 20)
    batch = (b"x" * 99 + b"\n") * 1000
    for _ in range(30):
        writer.write(batch, 1000)  # returns although nobody reads
    assert writer.dropped >= 10_000
    assert writer.pending <= 1 << 20
    assert f"dropped={writer.dropped}>" in repr(writer)
    written = 30 * len(batch) - writer.dropped * 100
    assert drain(reader, written).count(b"\n") * 100 == written
    assert writer.close()


def test_closing_does_not_wait_for_a_reader_that_never_comes(fifo):
    """A pipe that stays full keeps nothing from ending; closing says that lines are left."""
    path, reader = fifo
    writer = LineWriter(str(path), "setting")
    size = 1 << 20
    writer.write(b"x" * (size - 1) + b"\n", 1)
    assert not writer.close(timeout=0.01)
    writer.write(b"late\n", 1)
    assert writer.dropped == 1
    drain(reader, size)  # lets the thread end


def test_a_reader_that_leaves_is_reported_once(tmp_path):
    """Errors cost their lines and one report, and the writer goes on."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    reports = []
    writer = LineWriter(str(path), "setting", failed=reports.append)
    os.close(reader)
    writer.write(b"one\n", 1)
    writer.write(b"two\nthree\n", 2)
    assert writer.close()
    assert writer.dropped == 3
    assert [type(report) for report in reports] == [BrokenPipeError]


def test_reopening_follows_a_rotation(tmp_path):
    """Lines before the call go to the renamed file, those after it to a new one."""
    path, old = tmp_path / "log", tmp_path / "log.1"
    writer = LineWriter(str(path), "setting")
    writer.write(b"before\n", 1)
    path.rename(old)
    writer.reopen()
    writer.write(b"after\n", 1)
    assert writer.close()
    assert (old.read_bytes(), path.read_bytes()) == (b"before\n", b"after\n")


def test_a_reopening_that_fails_keeps_the_old_file(tmp_path):
    """Where the path cannot be opened any more, lines go on into the file that is open."""
    folder = tmp_path / "logs"
    folder.mkdir()
    reports = []
    writer = LineWriter(str(folder / "log"), "setting", failed=reports.append)
    keep = tmp_path / "kept"
    (folder / "log").rename(keep)
    folder.rmdir()
    writer.reopen()
    writer.write(b"after\n", 1)
    assert writer.close()
    assert keep.read_bytes() == b"after\n"
    assert [type(report) for report in reports] == [FileNotFoundError]


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path):
    """Lines are dropped and told of until a reader is there; then they come."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reports, told = [], threading.Event()
    writer = LineWriter(str(path), None, failed=lambda error: (reports.append(error.errno), told.set()))
    writer.write(b"one\n", 1)
    assert told.wait(5)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.write(b"two\n", 1)
    assert writer.close()
    assert (reports, writer.dropped) == ([errno.ENXIO], 1)
    assert os.read(reader, 100) == b"two\n"
    os.close(reader)


def test_a_torn_line_stands_alone(tmp_path):
    """Where a write ended within a line, the lines behind it are whole, and only what is lost is counted."""
    path = tmp_path / "log"
    reports = []
    writer = LineWriter(str(path), "setting", failed=reports.append)
    pid = os.fork()
    if pid == 0:  # a limit on file sizes is a process's own
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        writer.write(b"one\ntwo\nthree\nfour\n", 4)
        while writer.pending:
            pass
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        writer.write(b"five\n", 1)
        fine = writer.close() and writer.dropped == 2
        os._exit(not fine)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.read_bytes() == b"one\ntwo\nth\nfive\n"
    assert writer.close()


def test_a_line_that_others_have_torn_is_ended_once(tmp_path):
    """Nothing is written onto what a killed process has left; a second writer adds no empty line, nor does a whole line."""
    path = tmp_path / "log"
    path.write_bytes(b"whole\nhal")
    first, second = LineWriter(str(path), "setting"), LineWriter(str(path), "setting")
    for writer, line in ((first, b"first\n"), (second, b"second\n")):
        writer.write(line, 1)
        assert writer.close()
    assert path.read_bytes() == b"whole\nhal\nfirst\nsecond\n"


def test_a_followed_path_is_opened_anew_where_another_file_stands(tmp_path):
    """Rotation by renaming needs no signal; a path that is gone is made again."""
    path, old = tmp_path / "log", tmp_path / "log.1"
    writer = LineWriter(str(path), None, follow=True)
    written = threading.Event()
    writer.write(b"before\n", 1)
    while not path.exists() or path.read_bytes() != b"before\n":
        written.wait(0.001)
    path.rename(old)
    writer.write(b"after\n", 1)
    assert writer.close()
    assert (old.read_bytes(), path.read_bytes()) == (b"before\n", b"after\n")


def test_a_line_that_is_taken_while_it_closes_is_written(tmp_path):
    """A plugin's file is closed from another thread: what was not refused is not lost."""
    writer = LineWriter(str(tmp_path / "log"), "log")
    closer = threading.Thread(target=writer.close)

    class Meanwhile(SimpleQueue):
        def put(self, item):
            if not closer.ident:
                closer.start()
                closer.join(0.1)  # it is closed here and now, if that may be
            super().put(item)

    writer._queue = Meanwhile()
    writer.write(b"one\n", 1)
    closer.join()
    assert (tmp_path / "log").read_bytes() == b"one\n"
    assert (writer.written, writer.dropped) == (1, 0)


def test_an_unused_writer_has_no_thread(tmp_path):
    """The thread comes with the first line, so that a writer survives a fork before it."""
    before = threading.active_count()
    writer = LineWriter(str(tmp_path / "log"), "setting")
    assert threading.active_count() == before
    assert writer.close()
    assert writer.close()
    writer.reopen()


def test_standard_output_is_written_to(capfd):
    """``/dev/stdout`` is the process's own, and reopening leaves it alone."""
    writer = LineWriter("/dev/stdout", "setting")
    writer.reopen()
    writer.write(b"line\n", 1)
    assert writer.close()
    assert capfd.readouterr().out == "line\n"


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (b"", [0]),
        (b"a\n", [2]),
        (b"a" * 4000 + b"\n" + b"b" * 200 + b"\n", [4001, 201]),
        (b"a" * 5000 + b"\n" + b"b\n", [5001, 2]),
        (b"a" * 5000, [5000, 0]),
    ],
)
def test_pieces_for_a_pipe_end_with_lines(data, sizes):
    """Pieces are at most as long as a pipe writes at once, unless a single line is longer."""
    pieces = list(_atomic_pieces(data))
    assert [len(piece) for piece in pieces] == sizes
    assert b"".join(pieces) == data
