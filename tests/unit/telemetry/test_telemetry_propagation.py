"""Trace contexts in header fields."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.telemetry.propagation import (
    FIELDS,
    READERS,
    WRITERS,
    Context,
    keep_trace,
    read_b3,
    read_jaeger,
    read_w3c,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = "05e3ac9a4f6e3b90"
TRACE_ID, SPAN_ID, PARENT_ID = int(TRACE, 16), int(SPAN, 16), int(PARENT, 16)


def headers(**fields):
    return Headers.of([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


# --- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("02", False), ("03", True)])
def test_w3c_is_read(flags, sampled):
    """Ids and the lowest flag."""
    context = read_w3c(headers(traceparent=f"00-{TRACE}-{SPAN}-{flags}"))
    assert context == Context(TRACE_ID, SPAN_ID, sampled)


@pytest.mark.parametrize(
    ("value", "context"),
    [
        (f"{TRACE}-{SPAN}-1", Context(TRACE_ID, SPAN_ID, True)),
        (f"{TRACE}-{SPAN}-d-{PARENT}", Context(TRACE_ID, SPAN_ID, True, PARENT_ID)),
        (f"{TRACE}-{SPAN}-0", Context(TRACE_ID, SPAN_ID, False)),
        (f"{TRACE}-{SPAN}", Context(TRACE_ID, SPAN_ID, None)),
        (f"{TRACE[16:]}-{SPAN}-1", Context(int(TRACE[16:], 16), SPAN_ID, True, short=True)),
        ("0", Context(0, 0, False)),
        ("1", Context(0, 0, True)),
        ("d", Context(0, 0, True)),
    ],
)
def test_b3_in_one_field_is_read(value, context):
    """128 or 64 bits, with or without a decision and a parent, and a decision alone."""
    assert read_b3(headers(b3=value)) == context


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({"X_B3_Sampled": "1"}, Context(TRACE_ID, SPAN_ID, True)),
        ({"X_B3_Sampled": "false"}, Context(TRACE_ID, SPAN_ID, False)),
        ({"X_B3_Flags": "1"}, Context(TRACE_ID, SPAN_ID, True)),
        ({"X_B3_Flags": "0"}, Context(TRACE_ID, SPAN_ID, None)),
        ({"X_B3_ParentSpanId": PARENT}, Context(TRACE_ID, SPAN_ID, None, PARENT_ID)),
        ({}, Context(TRACE_ID, SPAN_ID, None)),
    ],
)
def test_b3_in_several_fields_is_read(fields, context):
    """The debug flag is a decision to sample."""
    assert read_b3(headers(X_B3_TraceId=TRACE, X_B3_SpanId=SPAN, **fields)) == context


def test_b3_may_carry_nothing_but_a_decision():
    """X-B3-Sampled alone says what to do with a trace that begins here."""
    assert read_b3(headers(X_B3_Sampled="0")) == Context(0, 0, False)
    assert read_b3(headers(X_B3_Flags="0")) is None


@pytest.mark.parametrize(
    ("value", "context"),
    [
        (f"{TRACE}:{SPAN}:0:1", Context(TRACE_ID, SPAN_ID, True)),
        (f"{TRACE}:{SPAN}:{PARENT}:00", Context(TRACE_ID, SPAN_ID, False, PARENT_ID)),
        ("1a:2b:0:3", Context(0x1A, 0x2B, True, short=True)),
    ],
)
def test_jaeger_is_read(value, context):
    """Ids without their leading zeros are ids too."""
    assert read_jaeger(headers(uber_trace_id=value)) == context


MALFORMED = [
    ("w3c", {"traceparent": "rubbish"}),
    ("w3c", {"traceparent": f"00-{TRACE}-{SPAN}-01-more"}),
    ("w3c", {"traceparent": f"00-{'0' * 32}-{SPAN}-01"}),
    ("b3", {"b3": "2"}),
    ("b3", {"b3": "true"}),
    ("b3", {"b3": f"{TRACE}-{SPAN}-2"}),
    ("b3", {"b3": f"{TRACE}-{SPAN[1:]}-1"}),
    ("b3", {"b3": f"{TRACE}-{SPAN}-1-{PARENT}-"}),
    ("b3", {"b3": f"{TRACE.upper()}-{SPAN}-1"}),
    ("b3", {"b3": f"{'0' * 32}-{SPAN}-1"}),
    ("b3", {"b3": f"{TRACE}-{'0' * 16}-1"}),
    ("b3", {"X_B3_TraceId": TRACE}),
    ("b3", {"X_B3_TraceId": TRACE[1:], "X_B3_SpanId": SPAN}),
    ("b3", {"X_B3_TraceId": TRACE, "X_B3_SpanId": SPAN + "0"}),
    ("b3", {"X_B3_TraceId": TRACE, "X_B3_SpanId": SPAN, "X_B3_ParentSpanId": "x"}),
    ("b3", {"X_B3_TraceId": TRACE, "X_B3_SpanId": SPAN, "X_B3_Sampled": "d"}),
    ("b3", {"X_B3_TraceId": TRACE, "X_B3_SpanId": SPAN, "X_B3_Flags": "2"}),
    ("jaeger", {"uber_trace_id": f"{TRACE}:{SPAN}:0"}),
    ("jaeger", {"uber_trace_id": f"{TRACE}0:{SPAN}:0:1"}),
    ("jaeger", {"uber_trace_id": f"{TRACE}:0:0:1"}),
    ("jaeger", {"uber_trace_id": f"0:{SPAN}:0:1"}),
    ("jaeger", {"uber_trace_id": f"{TRACE}:{SPAN}:0:101"}),
    ("jaeger", {"uber_trace_id": f"{TRACE}%3A{SPAN}%3A0%3A1"}),
]


@pytest.mark.parametrize(("kind", "fields"), MALFORMED)
def test_what_is_malformed_is_none(kind, fields):
    """Nothing is repaired, shortened or guessed."""
    assert READERS[kind](headers(**fields)) is None


# --- writing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_written_is_read_again(kind, sampled):
    """Each format gives back what it was given, the parent where the format has one."""
    written = Headers()
    WRITERS[kind](written, Context(TRACE_ID, SPAN_ID, sampled, PARENT_ID))
    parent = 0 if kind == "w3c" else PARENT_ID
    assert READERS[kind.partition("-")[0]](written) == Context(TRACE_ID, SPAN_ID, sampled, parent)
    assert {name for name, _ in written} <= FIELDS


@pytest.mark.parametrize("kind", ["b3", "b3-single", "jaeger"])
def test_a_short_trace_id_stays_short(kind):
    """Who knows 64 bits only is given 64 bits."""
    written = Headers()
    context = Context(SPAN_ID, SPAN_ID, True, short=True)
    WRITERS[kind](written, context)
    assert READERS[kind.partition("-")[0]](written) == context


def test_what_a_client_wrote_is_replaced():
    """A writer leaves nothing of the same format behind."""
    written = headers(
        X_B3_TraceId=TRACE, X_B3_SpanId=SPAN, X_B3_ParentSpanId=PARENT, X_B3_Flags="1", tracestate="a=1"
    )
    WRITERS["b3"](written, Context(5, 6, False))
    assert dict(written) == {
        b"x-b3-traceid": b"%032x" % 5,
        b"x-b3-spanid": b"%016x" % 6,
        b"x-b3-sampled": b"0",
        b"tracestate": b"a=1",
    }


# --- what passes ---------------------------------------------------------------------------------------------


def kept(fields):
    """Return what is left of a request's fields, and what the exchange knows of its trace."""
    head = RequestHead("GET", "/", "/", "", 1, "h", fields, 0, keep_alive=True)
    exchange = Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)
    keep_trace(exchange)
    return {name.decode() for name, _ in fields}, exchange.traceparent


@pytest.mark.parametrize(("kind", "fields"), MALFORMED)
def test_what_is_malformed_goes_no_further(kind, fields):
    """All of it, and a state that has no parent beside it."""
    assert kept(headers(**fields, tracestate="a=1", accept="x")) == ({"accept"}, "")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, f"00-{TRACE}-{SPAN}-01"),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-more"}, f"cc-{TRACE}-{SPAN}-01-more"),
        ({"b3": f"{TRACE}-{SPAN}"}, f"00-{TRACE}-{SPAN}-00"),
        ({"b3": "0"}, ""),
        ({"X_B3_TraceId": TRACE[16:], "X_B3_SpanId": SPAN}, f"00-{'0' * 16}{TRACE[16:]}-{SPAN}-00"),
        ({"uber_trace_id": f"{TRACE}:{SPAN}:0:1"}, f"00-{TRACE}-{SPAN}-01"),
        ({"uber_trace_id": f"5:{SPAN}:0:1", "traceparent": f"00-{TRACE}-{SPAN}-01"}, f"00-{TRACE}-{SPAN}-01"),
    ],
)
def test_what_is_well_formed_passes_and_is_known(fields, known):
    """The log learns the trace's id from whichever format there is, W3C first."""
    left, traceparent = kept(headers(**fields))
    assert left == {name.replace("_", "-").lower() for name in fields}
    assert traceparent == known


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        ("a=1", True),
        ("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", True),
        ("1-tenant@vendor/x=a b!", True),
        ("a=1,,b=2,", True),
        (",".join(f"k{number}=v" for number in range(32)), True),
        (",".join(f"k{number}=v" for number in range(33)), False),
        ("a", False),
        ("a=", False),
        ("A=1", False),
        ("a=1=2", False),
        ("a b=1", False),
        ("a=\u00e9", False),
        ("a=" + "x" * 257, False),
        ("k" * 257 + "=1", False),
    ],
)
def test_a_state_passes_if_it_is_one(state, passes):
    """W3C Trace Context, section 3.3: at most 32 members, keys of lower case, values of printable ASCII."""
    left, traceparent = kept(headers(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate=state))
    assert left == ({"traceparent", "tracestate"} if passes else {"traceparent"})
    assert traceparent
