"""Bytes to heads: each head is read in one pass by regular expressions that admit strict HTTP/1.1 only.

Grammar is RFC 9112's and RFC 9110's. What is doubtful raises ProtocolError, whose status goes to the client
before the connection is closed; nothing is repaired or guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxyd.errors import ProtocolError
from proxyd.http1.framing import FIELD_LINE, request_framing, response_framing
from proxyd.http1.headers import Headers, strip_hop_by_hop, strip_lookalikes
from proxyd.http1.message import BODILESS, SWITCHING, RequestHead, ResponseHead
from proxyd.http1.target import parse_host, parse_target

try:
    from proxyd.http1 import _scan
except ImportError:  # built where there is a compiler
    _scan = None  # type: ignore[assignment]

scan_request: Final = _scan.scan_request if _scan is not None else None
scan_response: Final = _scan.scan_response if _scan is not None else None

# RFC 9112 section 3: method SP request-target SP HTTP-version CRLF, single spaces.
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([\x21-\x7e]++) HTTP/1\.([01])\r\n")
# RFC 9112 section 4. The reason phrase may be empty, and its space missing.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n")
_OTHER_VERSION: Final = re.compile(rb"[^ \r\n]++ [^ \r\n]++ HTTP/(?!1\.[01]\r\n)[0-9](?:\.[0-9])?\r\n")
# What can be said of a head before its end has come.
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_TOKEN_START: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")

_METHODS: Final = {
    name.encode(): name
    for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT")
}
_ONCE: Final = frozenset({b"content-length", b"transfer-encoding", b"content-type"})
_ONCE_IN_REQUESTS: Final = _ONCE | {b"host", b"authorization"}


@dataclass(frozen=True)
class HeadLimits:
    """How large a head may be. Defaults are no looser than nginx's ``large_client_header_buffers 4 8k``."""

    line: int = 8 * 1024  # bytes of the request line: 414 beyond
    size: int = 32 * 1024  # bytes of the whole head, without the end of its last line and the empty one: 431
    count: int = 100  # fields: 431 beyond


def parse_request(data: bytes, limits: HeadLimits) -> tuple[RequestHead, int] | None:
    """Read a request head off the front of ``data``.

    Returns the head and the number of bytes it took, or None when its end has not come yet. Raises
    ProtocolError with the status to answer.
    """
    if scan_request is not None:
        plain = scan_request(data, limits.line, limits.size, limits.count)
        if plain is not None:
            size, method, target, path, query, host, framing, keep_alive, fields = plain
            headers = Headers(None, fields)
            return RequestHead(
                method, target, path, query, 1, parse_host(host), headers, framing, keep_alive
            ), size
    return parse_any_request(data, limits)


def parse_any_request(data: bytes, limits: HeadLimits) -> tuple[RequestHead, int] | None:
    """Do what ``parse_request`` does, for heads of every kind."""
    if data.startswith(b"\r"):
        return _behind_empty_line(data, limits)
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > limits.size:
        _check_partial(data, limits)
        return None
    match = _REQUEST_LINE.match(data)
    if match is None:
        raise _bad_request_line(data, limits)
    method, target, minor = match.groups()
    line_end = match.end()
    if line_end > limits.line:
        raise ProtocolError("request line too long", 414)
    headers = Headers(_fields(data[line_end : end + 2], limits.count, _ONCE_IN_REQUESTS))
    return _request(_METHODS.get(method) or method.decode(), target, int(minor), headers), end + 4


def _behind_empty_line(data: bytes, limits: HeadLimits) -> tuple[RequestHead, int] | None:
    # RFC 9112 section 2.2: one empty line before a request is read over.
    if data in {b"\r", b"\r\n"}:
        return None
    if not data.startswith(b"\r\n") or data.startswith(b"\r", 2):
        raise ProtocolError("not HTTP")
    parsed = parse_any_request(data[2:], limits)
    return None if parsed is None else (parsed[0], parsed[1] + 2)


def parse_response(data: bytes, method: str, limits: HeadLimits) -> tuple[ResponseHead, int] | None:
    """Read an answer's head off the front of ``data``, for a request of ``method``.

    Returns the head and the number of bytes it took, or None when its end has not come yet. Raises
    ProtocolError.
    """
    if scan_response is not None:
        plain = scan_response(data, limits.size, limits.count)
        if plain is not None:
            size, status, reason, framing, keep_alive, idle, fields = plain
            if framing and (method == "HEAD" or status in BODILESS):
                framing = 0
            return ResponseHead(status, reason, 1, Headers(None, fields), framing, keep_alive, idle), size
    return parse_any_response(data, method, limits)


def parse_any_response(data: bytes, method: str, limits: HeadLimits) -> tuple[ResponseHead, int] | None:
    """Do what ``parse_response`` does, for heads of every kind."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > limits.size:
        _check_partial_response(data, limits)
        return None
    match = _STATUS_LINE.match(data)
    if match is None:
        raise ProtocolError("malformed status line")
    version, code, reason = match.groups()
    headers = Headers(_fields(data[match.end() : end + 2], limits.count, _ONCE))
    minor = int(version)
    status = int(code)
    response = ResponseHead(
        status, reason or b"", minor, headers, response_framing(headers, minor, status, method), minor == 1
    )
    lines = headers.lines
    if b"connection" in lines:
        options = headers.tokens(b"connection")
        response.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    if b"keep-alive" in lines:
        response.idle_timeout = _idle_timeout(headers)
    if status == SWITCHING:
        response.upgrade = (headers.get(b"upgrade") or b"").decode("latin-1").lower()
    strip_hop_by_hop(headers)
    return response, end + 4


def _idle_timeout(headers: Headers) -> int:
    for parameter in headers.tokens(b"keep-alive"):
        name, _, value = parameter.partition(b"=")
        if name == b"timeout" and value.isdigit():
            return min(int(value[:18]), 1 << 30)
    return -1


def _fields(section: bytes, limit: int, once: frozenset[bytes]) -> dict[bytes, bytes]:
    fields = FIELD_LINE.findall(section)
    # Every line must have matched from its start to its end: an odd one (folded, with white space before the
    # colon, with a control or a bare CR or LF in it) leaves fewer matches than lines.
    if len(fields) != section.count(b"\n"):
        raise ProtocolError("malformed header line")
    if len(fields) > limit:
        raise ProtocolError("too many header fields", 431)
    lines = {name.lower(): line for line, name in fields}
    return lines if len(lines) == len(fields) else _merge(fields, once)


def _merge(fields: list[tuple[bytes, bytes]], once: frozenset[bytes]) -> dict[bytes, bytes]:
    lines: dict[bytes, bytes] = {}
    for line, name in fields:
        key = name.lower()
        if key not in lines:
            lines[key] = line
        elif key in once:
            raise ProtocolError(f"repeated {key.decode()}")
        else:
            lines[key] += line
    return lines


def _request(method: str, target: bytes, minor: int, headers: Headers) -> RequestHead:
    lines = headers.lines
    path, query, authority = parse_target(method, target)
    host = headers.get(b"host") or b""
    if minor and b"host" not in lines:
        raise ProtocolError("no Host")
    # RFC 9112 section 3.2.2: the authority of an absolute target takes the place of Host.
    name = parse_host(host) if host else ""
    if authority is not None:
        name = parse_host(authority)
    if minor and not name:
        raise ProtocolError("empty Host")
    request = RequestHead(
        method,
        target.decode(),
        path,
        query,
        minor,
        name,
        headers,
        request_framing(headers, minor),
        minor == 1,
    )
    if b"connection" in lines:
        _connection(request, headers)
    if b"expect" in lines and minor:
        if (headers.get(b"expect") or b"").lower() != b"100-continue":
            raise ProtocolError("unknown expectation", 417)
        request.expect_continue = request.framing != 0
    request.trailers = b"te" in lines and b"trailers" in headers.tokens(b"te")
    strip_lookalikes(headers)
    strip_hop_by_hop(headers)
    for described in _THIS_HOP:
        lines.pop(described, None)
    return request


# The gateway answers Expect itself, writes Host anew, and makes no upgrade to HTTP/2.
_THIS_HOP: Final[tuple[bytes, ...]] = (b"host", b"expect", b"http2-settings")


def _connection(request: RequestHead, headers: Headers) -> None:
    options = headers.tokens(b"connection")
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    if b"upgrade" in options and request.minor and not request.framing:
        request.upgrade = (headers.get(b"upgrade") or b"").decode("latin-1").lower()


def _check_partial(data: bytes, limits: HeadLimits) -> None:
    line_end = data.find(b"\n")
    if (line_end if line_end >= 0 else len(data)) > limits.line:
        raise ProtocolError("request line too long", 414)
    if len(data) > limits.size + 3:  # the rest of the empty line may still come
        raise ProtocolError("request head too large", 431)
    if data and not _TOKEN_START.match(data):
        raise ProtocolError("not HTTP")
    if line_end >= 0 and not _REQUEST_LINE.match(data):
        raise _bad_request_line(data, limits)
    if _BARE_LF.search(data):
        raise ProtocolError("bare LF in request head")


def _check_partial_response(data: bytes, limits: HeadLimits) -> None:
    # Whoever answers in another protocol is not waited for.
    if not (data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)):
        raise ProtocolError("answer is not HTTP/1")
    if b"\n" in data and not _STATUS_LINE.match(data):
        raise ProtocolError("malformed status line")
    if len(data) > limits.size + 3:
        raise ProtocolError("response head too large")
    if _BARE_LF.search(data):
        raise ProtocolError("bare LF in response head")


def _bad_request_line(data: bytes, limits: HeadLimits) -> ProtocolError:
    if data.find(b"\n") >= limits.line:
        return ProtocolError("request line too long", 414)
    if _OTHER_VERSION.match(data):
        return ProtocolError("unsupported HTTP version", 505)
    return ProtocolError("malformed request line")
