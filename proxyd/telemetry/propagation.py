"""Trace contexts in header fields: read strictly, written back, and never passed on malformed.

Spoken are W3C Trace Context (``traceparent``, ``tracestate``), B3 in one field and in several
(https://github.com/openzipkin/b3-propagation), and Jaeger's ``uber-trace-id``. Any head that carries one of these fields
is not plain: the scanner leaves it to Python.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from proxyd.telemetry.trace import is_valid

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers

SHORT = 16  # hexadecimal digits of a trace id with 64 bits

_B3_TRACE, _B3_SPAN, _B3_PARENT = b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid"
_B3_SAMPLED, _B3_FLAGS = b"x-b3-sampled", b"x-b3-flags"
_B3_FIELDS = (_B3_TRACE, _B3_SPAN, _B3_PARENT, _B3_SAMPLED, _B3_FLAGS)

FIELDS = frozenset({b"traceparent", b"tracestate", b"b3", b"uber-trace-id", *_B3_FIELDS})

MAX_STATES = 32  # members of a tracestate (W3C Trace Context, section 3.3.1.1)

# Section 3.3.1.3: a key, and a value of printable characters without comma and equals sign that ends in no space.
_STATE = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_B3_SINGLE = re.compile(rb"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-([0-9a-f]{16}))?)?")
_B3_ID = re.compile(rb"[0-9a-f]{16}(?:[0-9a-f]{16})?")
_SPAN_ID = re.compile(rb"[0-9a-f]{16}")
_JAEGER = re.compile(rb"([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):([0-9a-fA-F]{1,16}):([0-9a-fA-F]{1,2})")
_DECISIONS = {b"1": True, b"d": True, b"true": True, b"0": False, b"false": False}


class Context(NamedTuple):
    """A place in a trace: the span that whoever reads it is a child of.

    ``trace_id`` is 0 where only ``sampled`` is told, which is None where the sender left the decision open.
    ``short`` says that the trace id was written with 64 bits.
    """

    trace_id: int
    span_id: int
    sampled: bool | None
    parent_id: int = 0
    short: bool = False

    @property
    def traceparent(self) -> str:
        """The same as a W3C ``traceparent``."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"


# --- reading -------------------------------------------------------------------------------------------------


def read_w3c(headers: Headers) -> Context | None:
    """Read ``traceparent``; None where there is none, or a malformed one."""
    value = headers.get(b"traceparent")
    if value is None or not is_valid(value):
        return None
    return Context(int(value[3:35], 16), int(value[36:52], 16), bool(int(value[53:55], 16) & 1))


def read_b3(headers: Headers) -> Context | None:
    """Read ``b3``, or else the ``X-B3-`` fields."""
    return read_b3_single(headers) or read_b3_multi(headers)


def read_b3_single(headers: Headers) -> Context | None:
    """Read ``b3``."""
    value = headers.get(b"b3")
    if value is None:
        return None
    if value in _DECISIONS and len(value) == 1:
        return Context(0, 0, _DECISIONS[value])
    match = _B3_SINGLE.fullmatch(value)
    if match is None:
        return None
    trace, span, sampled, parent = match.groups()
    return _b3(trace, span, _DECISIONS.get(sampled), parent)


def read_b3_multi(headers: Headers) -> Context | None:
    """Read the ``X-B3-`` fields; one that is malformed spoils them all."""
    trace, span, parent, sampled, flags = (headers.get(name) for name in _B3_FIELDS)
    if sampled is not None and (sampled not in _DECISIONS or sampled == b"d"):
        return None
    if flags is not None and flags not in {b"0", b"1"}:
        return None
    decision = True if flags == b"1" else _DECISIONS.get(sampled or b"")
    if trace is None and span is None and parent is None:
        return None if decision is None else Context(0, 0, decision)
    if trace is None or span is None or _B3_ID.fullmatch(trace) is None or _SPAN_ID.fullmatch(span) is None:
        return None
    if parent is not None and _SPAN_ID.fullmatch(parent) is None:
        return None
    return _b3(trace, span, decision, parent)


def _b3(trace: bytes, span: bytes, sampled: bool | None, parent: bytes | None) -> Context | None:
    context = Context(int(trace, 16), int(span, 16), sampled, int(parent or b"0", 16), len(trace) == SHORT)
    return context if context.trace_id and context.span_id else None


def read_jaeger(headers: Headers) -> Context | None:
    """Read ``uber-trace-id``, whose ids may lack leading zeros."""
    value = headers.get(b"uber-trace-id")
    match = _JAEGER.fullmatch(value) if value is not None else None
    if match is None:
        return None
    trace, span, parent, flags = (int(part, 16) for part in match.groups())
    if not trace or not span:
        return None
    return Context(trace, span, bool(flags & 1), parent, len(match[1]) <= SHORT)


READERS: dict[str, Callable[[Headers], Context | None]] = {
    "w3c": read_w3c,
    "b3": read_b3,
    "jaeger": read_jaeger,
}


# --- writing -------------------------------------------------------------------------------------------------


def write_w3c(headers: Headers, context: Context) -> None:
    """Write ``traceparent``; a ``tracestate`` stays."""
    headers.set(b"traceparent", context.traceparent.encode())


def write_b3(headers: Headers, context: Context) -> None:
    """Write the ``X-B3-`` fields."""
    headers.set(b"X-B3-TraceId", _trace_id(context))
    headers.set(b"X-B3-SpanId", b"%016x" % context.span_id)
    headers.set(b"X-B3-Sampled", b"1" if context.sampled else b"0")
    headers.remove(_B3_FLAGS)
    headers.remove(_B3_PARENT)
    if context.parent_id:
        headers.set(b"X-B3-ParentSpanId", b"%016x" % context.parent_id)


def write_b3_single(headers: Headers, context: Context) -> None:
    """Write ``b3``."""
    value = b"%b-%016x-%d" % (_trace_id(context), context.span_id, bool(context.sampled))
    headers.set(b"b3", b"%b-%016x" % (value, context.parent_id) if context.parent_id else value)


def write_jaeger(headers: Headers, context: Context) -> None:
    """Write ``uber-trace-id``."""
    value = b"%b:%016x:%x:%02x"
    sampled = bool(context.sampled)
    headers.set(b"uber-trace-id", value % (_trace_id(context), context.span_id, context.parent_id, sampled))


def _trace_id(context: Context) -> bytes:
    return (b"%016x" if context.short else b"%032x") % context.trace_id


WRITERS: dict[str, Callable[[Headers, Context], None]] = {
    "w3c": write_w3c,
    "b3": write_b3,
    "b3-single": write_b3_single,
    "jaeger": write_jaeger,
}


# --- what passes ---------------------------------------------------------------------------------------------


def keep_trace(exchange: Exchange) -> None:
    """Take malformed contexts out of a request, and note the first good one on the exchange."""
    headers = exchange.request.headers
    lines = headers.lines
    found: Context | None = None
    if b"traceparent" in lines or b"tracestate" in lines:
        _keep_w3c(exchange, headers)
    for names, read in _OTHERS:
        if not names.isdisjoint(lines):
            context = read(headers)
            if context is None:
                for name in names:
                    headers.remove(name)
            elif found is None and context.trace_id:
                found = context
    if found is not None and not exchange.traceparent:
        exchange.traceparent = found.traceparent


def _keep_w3c(exchange: Exchange, headers: Headers) -> None:
    """Keep a ``traceparent``, and a ``tracestate`` that stands beside one (W3C Trace Context, section 4.3)."""
    value = headers.get(b"traceparent") or b""
    if is_valid(value):
        exchange.traceparent = value.decode()
        if not _is_state(headers.get(b"tracestate") or b""):
            headers.remove(b"tracestate")
    else:
        headers.remove(b"traceparent")
        headers.remove(b"tracestate")


def _is_state(value: bytes) -> bool:
    members = [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    return len(members) <= MAX_STATES and all(_STATE.fullmatch(member) for member in members)


_OTHERS: tuple[tuple[frozenset[bytes], Callable[[Headers], Context | None]], ...] = (
    (frozenset({b"b3"}), read_b3_single),
    (frozenset(_B3_FIELDS), read_b3_multi),
    (frozenset({b"uber-trace-id"}), read_jaeger),
)
