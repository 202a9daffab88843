"""Frames of a WebSocket: where one ends and another may begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.http1.websocket import Frames, close_frame


def frame(payload, *, opcode=1, masked=False):
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65_536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    if masked:
        length = bytes([length[0] | 0x80]) + length[1:] + b"mask"
    return bytes([0x80 | opcode]) + length + payload


SIZES = [0, 1, 125, 126, 127, 65_535, 65_536]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_frame_ends_with_its_last_byte(size, masked):
    """Whichever way its length is written; before the last byte, nothing may be put in."""
    data = frame(b"x" * size, masked=masked)
    one = Frames()
    assert one.between
    one.feed(data[:-1])
    assert not one.between
    one.feed(data[-1:])
    assert one.between
    assert repr(one) == "<Frames between>"


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 5, 125, 126, 300, 66_000]), st.booleans()), max_size=5),
    st.lists(st.integers(0, 5000), max_size=40),
)
def test_however_bytes_are_cut_the_boundaries_are_the_same(frames, cuts):
    """Between two frames is where the sum of whole frames is, and nowhere else."""
    data, boundaries = b"", {0}
    for size, masked in frames:
        data += frame(b"\x88" * size, masked=masked)
        boundaries.add(len(data))
    one, at = Frames(), 0
    for cut in [*cuts, len(data)]:
        one.feed(data[at : at + cut])
        at = min(at + cut, len(data))
        assert one.between == (at in boundaries)
    assert not one.closed


def test_a_close_frame_is_noticed():
    """With its head, wherever that is cut; payloads that look like one are none."""
    one = Frames()
    data = frame(b"\x88\x02") + frame(b"\x03\xe8", opcode=8, masked=True)
    for index in range(len(data)):
        one.feed(data[index : index + 1])
        assert one.closed == (index >= 5)  # flags and length of the second one


def test_a_close_frame_says_1001_either_way():
    """Unmasked to clients; to servers masked, with a key of its own each time."""
    assert close_frame(1001, masked=False) == b"\x88\x02\x03\xe9"
    first, second = close_frame(1001, masked=True), close_frame(1001, masked=True)
    for data in (first, second):
        assert data[:2] == b"\x88\x82"
        assert bytes(a ^ b for a, b in zip(data[6:], data[2:4], strict=True)) == b"\x03\xe9"
    assert first[2:6] != second[2:6]
    one = Frames()
    one.feed(first)
    assert (one.between, one.closed) == (True, True)
