"""Identifiers."""

from __future__ import annotations

import re

import pytest

from proxyd.http1.headers import Headers
from proxyd.telemetry.trace import carry, is_valid, new_request_id, outgoing

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
VALID = b"00-" + TRACE + b"-" + PARENT + b"-01"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


def test_request_ids_are_32_hexadecimal_digits_and_differ():
    """A thousand ids are a thousand different ones of the form that Kong's have."""
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (VALID, "01"),
        (VALID[:-2] + b"00", "00"),
        (VALID[:-2] + b"03", "01"),
        (VALID[:-2] + b"fe", "00"),
        (b"cc" + VALID[2:], "01"),
        (b"cc" + VALID[2:] + b"-more", "01"),
    ],
)
def test_a_valid_trace_is_continued_under_a_new_parent(value, flags):
    """The trace id stays, the parent id is the gateway's, the version 00, and only "sampled" is passed on."""
    match = FORM.fullmatch(outgoing(value))
    assert match
    assert match[1] == TRACE.decode()
    assert match[2] != PARENT.decode()
    assert match[3] == flags


@pytest.mark.parametrize(
    "value",
    [
        None,
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
def test_anything_else_starts_a_new_trace(value):
    """A value that breaks the form in any way is replaced, never repaired."""
    assert value is None or not is_valid(value)
    match = FORM.fullmatch(outgoing(value))
    assert match
    assert match[1] != TRACE.decode()
    assert match[3] == "01"


def test_a_continued_trace_keeps_its_state():
    """``tracestate`` travels with the trace that it belongs to."""
    headers = Headers.of([(b"Traceparent", VALID), (b"tracestate", b"vendor=1")])
    text = carry(headers)
    assert headers.get(b"traceparent") == text.encode()
    assert headers.get(b"tracestate") == b"vendor=1"


@pytest.mark.parametrize("fields", [[], [(b"traceparent", b"junk")], [(b"traceparent", VALID)] * 2])
def test_a_new_trace_begins_without_state(fields):
    """Where the trace is not continued, its state is dropped; two headers are none."""
    headers = Headers.of([*fields, (b"tracestate", b"vendor=1")])
    text = carry(headers)
    assert headers.get_all(b"traceparent") == [text.encode()]
    assert b"tracestate" not in headers
