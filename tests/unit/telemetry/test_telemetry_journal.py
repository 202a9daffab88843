"""What a process writes down as it counts, and what another one reads of it."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys

import pytest

from proxyd.errors import GatewayError, Kind
from proxyd.telemetry import fleet
from proxyd.telemetry.fleet import Account
from proxyd.telemetry.journal import FIGURES, LIVE, OF_REQUEST, ROOM, Journal, make_file, page_at
from proxyd.telemetry.journal_reading import read_area, read_records
from proxyd.telemetry.meter import Meters


@pytest.fixture
def fd():
    number = make_file()
    yield number
    os.close(number)


@pytest.fixture
def journal(fd):
    one = Journal(os.dup(fd))
    yield one
    one.close()


def test_a_request_is_read_as_it_was_counted(fd, journal, exchange_of):
    """Its record has the three latencies, method, status and bytes, behind the names of its route."""
    meter = Meters(journal).of("orders", "shop" * 30)
    values = {"sent": 1000.003, "response_ended": 1000.02, "ended": 1000.024, "bytes_received": 10}
    meter.observe(exchange_of("POST", **values, bytes_sent=20, status=201))
    *names, record = read_records(fd, 0)
    assert b"".join(name.values[0] for name in names).rstrip(b"\0") == b'["orders","%b"]' % (b"shop" * 30)
    assert {name.mark for name in names} == {record.mark}
    assert (record.kind, record.method, record.status) == (OF_REQUEST, "POST", 201)
    assert record.values == pytest.approx((0.024, 0.017, 0.007, 10, 20))
    assert list(read_records(fd, record.number)) == []


def test_a_ring_that_fills_asks_for_figures_and_then_insists(fd, journal):
    """Half full it asks, full it asks until they are stored; what they contain is written over."""
    asked = []

    def full(now):
        asked.append((journal.count, now))
        if now:
            journal.store(FIGURES, b"figures", journal.count)

    journal.full = full
    for _ in range(ROOM):
        journal.request(1 << 24, "GET", 200, 0.1, 0.1, 0.1, 0, 0)
    assert asked == [(ROOM // 2, False), (ROOM - 1, True)]
    assert read_area(fd, FIGURES)[1:] == (ROOM - 1, b"figures")
    assert [record.number for record in read_records(fd, ROOM - 1)] == [ROOM]
    assert repr(journal) == f"<Journal count={ROOM} kept={ROOM - 1}>"


def test_a_name_is_not_torn_by_figures(fd, journal):
    """Where the pieces of a name find no room, figures are stored before the first of them."""
    journal.full = lambda now: journal.store(FIGURES, b"x", journal.count) if now else None
    for _ in range(ROOM - 2):
        journal.request(1 << 24, "GET", 200, 0.1, 0.1, 0.1, 0, 0)
    journal.name(3, "a" * 60, "b" * 60)
    last = read_area(fd, FIGURES).last
    assert [record.detail for record in read_records(fd, last)] == [3, 2, 1, 0]


def test_documents_replace_one_another(fd, journal):
    """The areas are apart; each holds the document that was stored last, whatever its length."""
    assert read_area(fd, FIGURES) == (0, 0, b"")
    for text in (b"long" * 100_000, b"short", b"", b"last"):
        journal.store(FIGURES, text, 7)
        journal.store(LIVE, text * 2)
        assert read_area(fd, FIGURES)[1:] == (7, text)
        assert read_area(fd, LIVE).text == text * 2


def test_a_document_that_was_cut_short_is_not_taken(fd, journal):
    """A writer that is killed while it writes leaves the document before."""
    journal.store(FIGURES, b"first", 1)
    os.pwrite(fd, b"half of the seco", page_at(FIGURES, 2))
    assert read_area(fd, FIGURES)[1:] == (1, b"first")
    journal.store(FIGURES, b"second", 2)
    assert read_area(fd, FIGURES)[1:] == (2, b"second")


def test_what_is_unusual_has_a_record_of_its_own(fd, journal, exchange_of):
    """A connection made, tries, the failure and the cut come back."""
    meter = Meters(journal).of("r", "s")
    error = GatewayError(Kind.NAME_RESOLUTION)
    meter.observe(
        exchange_of(status=503, tries=3, error=error, dialled=999.0, connected=999.5, aborted=True, sent=0.0)
    )
    *_, record = read_records(fd, 0)
    connect, failure = record.values
    assert connect == pytest.approx(0.5)
    assert failure.rstrip(b"\0") == b"name_resolution/upstream"
    assert record.detail == (1 << 19) + 2


KILLED = """
import sys, os
from proxyd.telemetry.journal import FIGURES, Journal
journal = Journal(int(sys.argv[1]))
journal.full = lambda now: journal.store(FIGURES, b"%d" % journal.count, journal.count)
count = 0
while True:
    count += 1
    journal.request(1 << 24, "GET", 200, 0.1, 0.1, 0.1, 0, 0)
    os.write(1, b"\\n")  # the answer
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_forgets_nothing(fd, seed):
    """Killed with -9 at any moment: every request that was answered is there, and at most one that was not."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(fd)], stdout=subprocess.PIPE, pass_fds=[fd], bufsize=0
    )
    answers = 0
    until = random.Random(seed).randint(100, 3 * ROOM)
    while answers < until:
        answers += len(os.read(process.stdout.fileno(), 4096))
    process.send_signal(signal.SIGKILL)
    answers += len(process.stdout.read())
    process.wait()
    process.stdout.close()
    last = read_area(fd, FIGURES)
    counted = last.last + len(list(read_records(fd, last.last)))
    assert int(last.text or 0) == last.last
    assert answers <= counted <= answers + 1


def test_where_files_may_not_be_so_long_that_is_told_at_once():
    """As an error of whoever makes the file, and not in the middle of a request."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 32, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            make_file()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_records_that_are_written_over_meanwhile_are_not_missing(fd, journal, monkeypatch):
    """A reader that was held up reads again, with the figures that contain them."""
    journal.full = lambda now: journal.store(FIGURES, b"x", journal.count) if now else None
    passes = []

    def late(number, last):
        if not passes:
            for _ in range(2 * ROOM):
                journal.request(1 << 24, "GET", 200, 0.1, 0.1, 0.1, 0, 0)
        passes.append(last)
        return read_records(number, last)

    monkeypatch.setattr(fleet, "read_records", late)
    told = Account(0, 77, fd).read()
    assert len(passes) == 2
    assert told.document.last + len(told.records) == 2 * ROOM


def test_an_account_reads_what_is_live_once_it_has_changed(fd, journal):
    """The routes and consumers of the last configuration, read anew when a turn has come."""
    account = Account(3, 77, fd)
    assert account.live.routes == frozenset()
    journal.store(LIVE, b'{"routes":[["r","s"]],"consumers":["ann"]}')
    assert account.live == (frozenset({("r", "s")}), frozenset({"ann"}))
    assert repr(account) == "<Account slot=3 pid=77>"
