"""A pair of transports in memory: what one side writes the other receives, later and in order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.upstream.memory import HIGH, LOW, MemoryTransport, connect


class Side(asyncio.Protocol):
    """Notes what happens to it."""

    def __init__(self, *, keeps_open=False):
        self.told = []
        self.data = b""
        self.transport = None
        self._keeps_open = keeps_open

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        self.told.append("data")

    def eof_received(self):
        self.told.append("end")
        return self._keeps_open

    def connection_lost(self, exc):
        self.told.append(f"lost {type(exc).__name__}" if exc else "lost")

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")


@pytest.fixture
async def pair():
    near, far = Side(), Side()
    assert connect(lambda: near, lambda: far) is near
    return near, far


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_bytes_come_with_a_later_turn(pair):
    """Never while the other side is still writing, and all that was written in one piece."""
    near, far = pair
    near.transport.write(b"one ")
    near.transport.writelines([b"two ", bytearray(b"three")])
    assert far.data == b""
    await turns()
    assert (far.data, far.told) == (b"one two three", ["data"])
    far.transport.write(memoryview(b"back"))
    await turns()
    assert near.data == b"back"


async def test_a_slow_reader_pauses_the_writer(pair):
    """At the water marks, and the writer goes on once the reader has caught up."""
    near, far = pair
    far.transport.pause_reading()
    near.transport.write(b"x" * HIGH)
    assert near.told == []
    near.transport.write(b"x")
    assert (near.told, near.transport.get_write_buffer_size()) == (["pause"], HIGH + 1)
    near.transport.write(b"x")
    await turns()
    assert (near.told, far.data) == (["pause"], b"")
    far.transport.resume_reading()
    await turns()
    assert (near.told, len(far.data), near.transport.get_write_buffer_size()) == (
        ["pause", "resume"],
        HIGH + 2,
        0,
    )


async def test_the_water_marks_can_be_moved(pair):
    """As asyncio's own can."""
    near, _ = pair
    assert near.transport.get_write_buffer_limits() == (LOW, HIGH)
    near.transport.set_write_buffer_limits(8)
    assert near.transport.get_write_buffer_limits() == (2, 8)
    near.transport.set_write_buffer_limits(low=5)
    assert near.transport.get_write_buffer_limits() == (5, 20)


async def test_a_close_comes_after_what_was_written(pair):
    """And what the other side writes from then on is dropped, as is what it had on the way."""
    near, far = pair
    far.transport.write(b"too late")
    near.transport.write(b"last")
    near.transport.close()
    assert (near.transport.is_closing(), far.transport.is_closing()) == (True, True)
    near.transport.write(b"more")
    await turns()
    assert (far.data, far.told) == (b"last", ["data", "end", "lost"])
    assert (near.data, near.told) == (b"", ["lost"])
    assert repr(near.transport) == "<MemoryTransport lost waiting=0>"


async def test_a_close_waits_for_a_slow_reader(pair):
    """Until it has taken everything."""
    near, far = pair
    far.transport.pause_reading()
    near.transport.write(b"last")
    near.transport.close()
    await turns()
    assert (near.told, far.told) == ([], [])
    far.transport.resume_reading()
    await turns()
    assert (near.told, far.data, far.told) == (["lost"], b"last", ["data", "end", "lost"])


async def test_an_abort_is_a_reset_for_the_other_side(pair):
    """At once: nothing that was written is delivered, and nothing comes after the loss."""
    near, far = pair
    near.transport.write(b"never")
    far.transport.write(b"never")
    near.transport.abort()
    near.transport.abort()
    far.transport.close()
    await turns()
    assert (near.told, far.told) == (["lost"], ["lost ConnectionResetError"])


async def test_one_direction_may_end_by_itself():
    """Where the other side keeps its own open."""
    near, far = Side(), Side(keeps_open=True)
    connect(lambda: near, lambda: far)
    near.transport.write(b"all")
    near.transport.write_eof()
    assert near.transport.can_write_eof()
    near.transport.write(b"more")
    await turns()
    assert far.told == ["data", "end"]
    far.transport.write(b"answer")
    far.transport.close()
    await turns()
    assert (near.data, near.told) == (b"answer", ["data", "end", "lost"])


async def test_writing_to_a_side_that_is_gone():
    """Is dropped while its end is on the way, and a reset once that is known: nobody waits for it for ever."""
    near, far = Side(keeps_open=True), Side()
    connect(lambda: near, lambda: far)
    far.transport.write(b"last")
    far.transport.close()
    near.transport.write(b"x" * (HIGH + 1))
    assert near.transport.get_write_buffer_size() == 0
    await turns()
    assert (near.data, near.told, far.told) == (b"last", ["data", "end"], ["lost"])
    near.transport.write(b"more")
    near.transport.write(b"and more")
    await turns()
    assert near.told == ["data", "end", "lost ConnectionResetError"]


@given(st.lists(st.one_of(st.binary(max_size=HIGH), st.sampled_from(["pause", "resume", "turn", "end"]))))
def test_whatever_happens_on_the_way_bytes_arrive_in_their_order(steps):
    """All of them, once the reader reads; what is written behind the end never does."""

    async def run():
        near, far = Side(), Side(keeps_open=True)
        connect(lambda: near, lambda: far)
        expected, ended = b"", False
        for step in steps:
            if isinstance(step, bytes):
                near.transport.write(step)
                expected += b"" if ended else step
            elif step == "turn":
                await turns(2)
            elif step == "end":
                near.transport.write_eof()
                ended = True
            else:
                getattr(far.transport, f"{step}_reading")()
        far.transport.resume_reading()
        await turns()
        assert (far.data, "end" in far.told) == (expected, ended)
        assert near.told.count("pause") == near.told.count("resume")

    asyncio.run(run())


async def test_a_protocol_that_raises_loses_its_connection(pair):
    """The loop hears of it, as with its own transports."""
    near, far = pair
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context["exception"]))
    error = RuntimeError("no")

    def fail(_data):
        raise error

    far.data_received = fail
    near.transport.write(b"x")
    await turns()
    assert heard == [error]
    assert near.told == ["lost ConnectionResetError"]


async def test_what_a_transport_knows(pair):
    """Who is at the other end, and of a socket nothing; the protocol may change."""
    near, far = pair
    assert far.transport.get_extra_info("peer") is near
    assert far.transport.get_extra_info("socket") is None
    assert far.transport.get_extra_info("peername", "nobody") == "nobody"
    other = Side()
    far.transport.set_protocol(other)
    near.transport.write(b"x")
    await turns()
    assert (far.data, other.data, far.transport.get_protocol()) == (b"", b"x", other)
    assert isinstance(far.transport, MemoryTransport)
