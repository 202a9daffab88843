"""Identifiers."""

from __future__ import annotations

import re

import pytest

from proxyd.telemetry.trace import is_valid, new_request_id

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
VALID = b"00-" + TRACE + b"-" + PARENT + b"-01"


def test_request_ids_are_32_hexadecimal_digits_and_differ():
    """A thousand ids are a thousand different ones of the form that Kong's have."""
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.parametrize(
    "value",
    [
        VALID,
        VALID[:-2] + b"00",
        VALID[:-2] + b"fe",
        b"cc" + VALID[2:],
        b"cc" + VALID[2:] + b"-more",
    ],
)
def test_a_trace_of_version_00_or_later_is_valid(value):
    """Any flags, and later versions with more behind a dash, are let through."""
    assert is_valid(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        VALID.upper(),
        VALID[:-1],
        VALID + b"-more",
        VALID + b"x",
        b"cc" + VALID[2:] + b"x",
        b"ff" + VALID[2:],
        b"00-" + b"0" * 32 + b"-" + PARENT + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        VALID.replace(b"-", b"_"),
        VALID.replace(b"4bf9", b"4bg9"),
        VALID.replace(b"4bf9", b"xxxx"),
        VALID[:10] + b"-" + VALID[11:],
        b" " + VALID[1:],
        VALID + b", " + VALID,
    ],
)
def test_anything_else_is_not(value):
    """A value that breaks the form in any way is not a trace; two headers are none."""
    assert not is_valid(value)
