"""Whole conversations read without I/O: what the codec makes of the bytes of one side, in the pieces they come in."""

from __future__ import annotations

import h11

from proxyd.errors import ProtocolError
from proxyd.http1 import framing, parser
from proxyd.http1.message import CHUNKED
from proxyd.http1.parser import HeadLimits

LIMITS = HeadLimits()


def said(head):
    """Return all that a head says, as what can be compared."""
    rest = [(name, getattr(head, name)) for name in head.__slots__ if name != "headers"]
    return (*rest, b"".join(head.headers.copy().lines.values()))


def read_requests(pieces, limits=LIMITS):
    """Return what a client's bytes are: (head, body, trailers) of each request, and how it ends."""
    return _read(pieces, lambda data: parser.parse_request(data, limits))


def read_answers(pieces, method="GET", limits=LIMITS):
    """Return what an upstream's bytes are, had every request been of ``method``; the stream ends behind them."""
    return _read(pieces, lambda data: parser.parse_response(data, method, limits))


def _read(pieces, parse):
    buffer, decoder, head, body = b"", None, None, []
    found = []
    for piece in pieces:
        buffer += piece
        try:
            while True:
                if decoder is None:
                    parsed = parse(buffer) if buffer else None
                    if parsed is None:
                        break
                    head, size = parsed
                    buffer, body, decoder = buffer[size:], [], framing.decoder(head.framing)
                payload, buffer = decoder.feed(buffer)
                body.append(payload)
                if not decoder.done:
                    break
                found.append((said(head), b"".join(body), decoder.trailers))
                decoder = None
        except ProtocolError as error:
            return [*found, ("refused", error.status)]
    if decoder is not None and decoder.finish():
        return [*found, (said(head), b"".join(body), decoder.trailers), "end"]
    return [*found, "incomplete" if buffer or decoder is not None else "end"]


def same(one, other):
    """Whether two readings are one; of two faults, which counts first may depend on how the bytes come."""
    refused = [reading[-1][0] == "refused" for reading in (one, other)]
    return (one[:-1] == other[:-1] and all(refused)) or one == other


def without_scanner(read, *arguments):
    """Read by the regular expressions alone, the twin of the compiled scanner."""
    scanners = parser.scan_request, parser.scan_response
    parser.scan_request = parser.scan_response = None
    try:
        return read(*arguments)
    finally:
        parser.scan_request, parser.scan_response = scanners


def hold_to_h11(data):
    """Write each request in ``data`` out as one that is forwarded, and see that h11 reads what was meant."""
    strict = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    try:
        while data and (parsed := parser.parse_request(data, LIMITS)) is not None:
            head, size = parsed
            decoder = framing.decoder(head.framing)
            body, data = decoder.feed(data[size:])
            if not decoder.done:
                return
            _hold(strict, head, body, decoder.trailers)
            strict.start_next_cycle()
    except ProtocolError:
        return


def _hold(strict, head, body, trailers):
    target = head.path + head.query
    lines = f"{head.method} {target} HTTP/1.1\r\nHost: target\r\n".encode() + head.headers.encode()
    if head.framing == CHUNKED:
        lines += b"Transfer-Encoding: chunked\r\n"
        body_lines = (framing.chunk(body) if body else b"") + framing.last_chunk(trailers)
    else:
        body_lines = body
    strict.receive_data(lines + b"\r\n" + body_lines)
    request = strict.next_event()
    assert (request.method, request.target) == (head.method.encode(), target.encode())
    fields = [(name.lower(), value) for name, value in head.headers]
    names = [name for name, _ in fields]
    assert names.count(b"content-length") + (head.framing == CHUNKED) <= 1
    rest = [pair for pair in request.headers if pair[0] not in {b"host", b"transfer-encoding"}]
    assert sorted(rest) == sorted(fields)
    received = b""
    while isinstance(event := strict.next_event(), h11.Data):
        received += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert received == body
    assert b"".join(b"%b:%b" % pair for pair in event.headers).count(b":") >= trailers.count(b"\r\n")
    assert strict.trailing_data == (b"", False)
    answer = h11.Response(status_code=204, headers=[], reason=b"")
    strict.send(answer)
    strict.send(h11.EndOfMessage())
    assert strict.our_state is h11.DONE or strict.our_state is h11.MUST_CLOSE
