"""Sending segments: tried again, sent once, bounded at the end."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from proxyd.clock import Clock
from proxyd.model.shipping import LogShipping
from proxyd.telemetry import shipping as module
from proxyd.telemetry.events import _output
from proxyd.telemetry.segments import new_name
from proxyd.telemetry.shipping import Shipping, StoreError
from proxyd.telemetry.shipping_families import of_shipping
from proxyd.telemetry.spool import Spool


class FakeBucket:
    """Takes objects, or does what the script says first: raise, or hang."""

    def __init__(self, *script):
        self.script = list(script)
        self.tries = []
        self.objects = {}
        self.headers = {}
        self.closed = False

    async def put(self, key, body, headers, _sha256):
        self.tries.append(key)
        turn = self.script.pop(0) if self.script else None
        if turn == "hang":
            await asyncio.Event().wait()
        if turn is not None:
            raise turn
        assert key not in self.objects
        self.objects[key] = body
        self.headers = headers

    async def close(self):
        self.closed = True


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path, 1 << 20, Clock().time)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "PERIOD", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)


@pytest.fixture
def events_of(monkeypatch):
    """Give what returns the events that were logged."""
    written = []
    monkeypatch.setattr(_output, "write", written.append)
    return lambda: b"".join(
        [one if isinstance(one, bytes) else str(one).encode() for one in written]
    ).decode()


@pytest.fixture
async def ship(spool):
    """Start shipping to a bucket."""
    running = []

    def start(bucket, **values):
        config = LogShipping.model_validate(
            {"bucket": "logs", "spool": str(spool.directory), "prefix": "", "gzip": "off", **values}
        )
        running.append(Shipping(config, spool, bucket, Clock()))
        running[-1].start()
        return running[-1]

    yield start
    for one in running:
        await one.stop()


def put(spool, number, text=b"line\n", log="access"):
    path = spool.directory / f"{new_name(log, '0', 1_770_000_000 + number)}.log"
    path.write_bytes(text)
    return path


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # counts tell nobody
            await asyncio.sleep(0.005)


async def test_segments_are_sent_in_their_order_and_leave_the_spool(ship, spool):
    """The oldest first; each is one object of its text."""
    for number in (2, 1, 3):
        put(spool, number, b"%d\n" % number)
    bucket = FakeBucket()
    one = ship(bucket)
    await until(lambda: one.segments["sent"] == 3)
    assert list(bucket.objects.values()) == [b"1\n", b"2\n", b"3\n"]
    await until(lambda: not list(spool.directory.iterdir()))
    assert one.sent_bytes == 6
    assert one.last_success > 1_700_000_000


async def test_a_failure_is_tried_again_under_the_same_key(ship, spool):
    """Server errors, throttling, a refusal, a connection that fails: the segment stays until it is stored."""
    put(spool, 1)
    script = (
        StoreError("answered 500", "server"),
        StoreError("answered 503 SlowDown", "throttled", after=0.01),
        StoreError("answered 403 AccessDenied", "refused"),
        ConnectionRefusedError(111, "refused"),
    )
    bucket = FakeBucket(*script)
    one = ship(bucket)
    await until(lambda: one.segments["sent"] == 1)
    assert len(bucket.tries) == 5
    assert len(set(bucket.tries)) == 1
    assert dict(one.failures) == {"server": 1, "throttled": 1, "refused": 1, "connection": 1}


async def test_a_pause_is_as_long_as_the_server_asks(ship, spool):
    """At least so long, but not beyond five minutes."""
    one = ship(FakeBucket(), logs="audit")
    waiting = put(spool, 1)
    found = spool.look(("access",)).waiting[0]
    assert found.path == waiting
    for after, least, most in ((0.0, 0.0005, 0.001), (7.0, 7.0, 7.0), (9e9, 300.0, 300.0)):
        one._bucket.script = [StoreError("answered 503", "throttled", after=after)]
        one._row = 0
        assert least <= await one._try(found) <= most
    one._row = 50
    one._bucket.script = [StoreError("answered 503", "throttled")]
    assert 30.0 <= await one._try(found) <= 60.0


async def test_the_end_sends_what_there_is(ship, spool):
    """What was closed last goes too, and the bucket is closed."""
    bucket = FakeBucket()
    one = ship(bucket)
    put(spool, 1)
    await one.stop()
    assert len(bucket.objects) == 1
    assert bucket.closed


async def test_the_end_is_bounded(ship, spool, events_of):
    """A bucket that hangs is left after the time that is set; the segment stays for the next start, which sends it once."""
    path = put(spool, 1)
    bucket = FakeBucket("hang", "hang")
    one = ship(bucket, flush_timeout="50ms")
    await until(lambda: bucket.tries)
    await one.stop()
    assert path.exists()
    assert "log segments wait for the next start" in events_of()
    again = FakeBucket()
    ship(again)
    await until(lambda: again.objects)
    assert list(again.objects) == bucket.tries[:1]


async def test_a_full_spool_drops_the_oldest_and_counts(ship, spool, events_of):
    """Also while the bucket hangs, whose segment is spared."""
    spool.limit = 25
    paths = [put(spool, number, b"123456789\n") for number in range(2)]
    bucket = FakeBucket("hang")
    one = ship(bucket, flush_timeout=0)
    await until(lambda: bucket.tries)
    paths += [put(spool, number, b"123456789\n") for number in (2, 3)]
    await until(lambda: one.segments["dropped"] == 2)
    assert [path.exists() for path in paths] == [True, False, False, True]
    assert "log segments are lost: the spool is full" in events_of()


async def test_encryption_and_compression_are_asked_for(ship, spool):
    """As headers of the request, and by the end of the key."""
    put(spool, 1)
    bucket = FakeBucket()
    ship(bucket, gzip="on", encryption="aws:kms", kms_key_id="key-1")
    await until(lambda: bucket.objects)
    assert bucket.headers == {
        "Content-Type": "application/gzip",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
    }
    assert next(iter(bucket.objects)).endswith(".log.gz")


async def test_metrics_tell_what_became_of_segments(ship, spool):
    """Sent and dropped, failures by reason, and the state of the spool."""
    put(spool, 1)
    one = ship(FakeBucket(StoreError("answered 500", "server")))
    await until(lambda: one.segments["sent"] == 1 and not one.state.waiting)

    class Collected:
        def collect(self):
            return of_shipping(one)

    registry = CollectorRegistry()
    registry.register(Collected())
    lines = generate_latest(registry).decode().splitlines()
    assert 'proxyd_log_shipping_segments_total{result="sent"} 1.0' in lines
    assert 'proxyd_log_shipping_segments_total{result="dropped"} 0.0' in lines
    assert 'proxyd_log_shipping_failures_total{reason="server"} 1.0' in lines
    assert "proxyd_log_shipping_sent_bytes_total 5.0" in lines
    assert "proxyd_log_shipping_spool_bytes 0.0" in lines
    assert "proxyd_log_shipping_spool_limit_bytes 1.048576e+06" in lines
    assert list(of_shipping(None)) == []


async def test_a_spool_that_is_gone_is_told_once(ship, spool, events_of):
    """However often it is looked for; what it holds when it is back is sent."""
    away = spool.directory.rename(f"{spool.directory}-away")
    bucket = FakeBucket()
    one = ship(bucket)
    await until(lambda: one.failures["spool"] > 3)
    assert events_of().count("cannot be read") == 1
    away.rename(spool.directory)
    put(spool, 1)
    await until(lambda: one.segments["sent"] == 1)


async def test_a_segment_that_cannot_be_read_keeps_no_other_back(ship, spool, events_of):
    """As one that another user has left: it is told once, and stays."""
    odd = put(spool, 1)
    odd.unlink()
    odd.mkdir()
    put(spool, 2)
    one = ship(FakeBucket(StoreError("answered 500", "server")))
    await until(lambda: one.segments["sent"] == 1 and one.failures["spool"] > 3)
    assert odd.exists()
    assert one.failures["server"] == 1
    assert events_of().count("a log segment cannot be read") == 1
