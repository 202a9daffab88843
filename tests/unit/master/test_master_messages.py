"""Messages between a master and its workers."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxyd.master.channel import Channel, ChannelError
from proxyd.master.messages import MAX_OBJECT, MessageError, Reader, encode


def test_messages_come_out_as_they_went_in_however_they_are_cut():
    """Objects and what is attached are the same, for pieces of any size."""
    said = [({"what": "prepare", "ask": 1}, b"\x00text" * 50), ({"what": "ready"}, b""), ({}, b"x")]
    wire = b"".join(encode(*one) for one in said)
    for size in (1, 2, 7, 9, len(wire)):
        reader = Reader()
        heard = [one for at in range(0, len(wire), size) for one in reader.feed(wire[at : at + size])]
        assert (heard, repr(reader)) == (said, "<Reader waiting=0>")


@pytest.mark.parametrize(
    "wire",
    [
        b"\x00\x00\x00\x02\x00\x00\x00\x00[]",
        b"\x00\x00\x00\x02\x00\x00\x00\x00xx",
        (MAX_OBJECT + 1).to_bytes(4) + bytes(4),
    ],
    ids=["list", "text", "large"],
)
def test_what_is_no_message_is_refused(wire):
    """No list, no text, and nothing without an end."""
    with pytest.raises(MessageError):
        Reader().feed(wire)


async def pair(left, right):
    ends = socket.socketpair()
    return await Channel.over(ends[0], left), await Channel.over(ends[1], right)


async def test_a_question_gets_the_answer_that_is_meant_for_it():
    """Answers may come in any order, each with what is attached to it."""
    asked = []

    def hear(message, attached):
        asked.append((message, attached))
        if len(asked) == 2:
            for one, text in reversed(asked):
                worker.answer(one, text.upper(), n=one["n"])

    master, worker = await pair(lambda *_: None, hear)
    first, second = await asyncio.gather(
        master.ask("report", b"a", within=5, n=1), master.ask("report", b"b", within=5, n=2)
    )
    assert [(one["n"], text) for one, text in (first, second)] == [(1, b"A"), (2, b"B")]
    master.close()
    await worker.ended.wait()
    assert repr(worker) == "<Channel ended asked=0>"


async def test_whoever_waits_hears_of_the_end():
    """A question to a process that dies fails, and so does every later one."""
    master, worker = await pair(lambda *_: None, lambda *_: worker.close())
    with pytest.raises(ChannelError, match="ended"):
        await master.ask("prepare", within=5)
    await master.ended.wait()
    with pytest.raises(ChannelError, match="ended"):
        await master.ask("prepare", within=5)
    master.tell("drain")  # nobody is there to hear it, and that is no error


async def test_nobody_waits_for_ever():
    """Without an answer in time the question fails, and a late answer is nobody's."""
    late = []
    master, worker = await pair(lambda *_: None, lambda message, _: late.append(message))
    with pytest.raises(ChannelError, match=r"no answer in 0\.01 seconds"):
        await master.ask("prepare", within=0.01)
    worker.answer(late[0])
    worker.close()
    await master.ended.wait()


async def test_a_side_that_talks_nonsense_is_hung_up_on():
    """What cannot be read ends the channel."""
    near, far = socket.socketpair()
    master = await Channel.over(near, lambda *_: None)
    far.sendall(b"GET / HTTP/1.1\r\n\r\n")
    await master.ended.wait()
    far.close()
