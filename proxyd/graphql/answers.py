"""Answers of the backend on their way to the client: masked, where that is asked for, and read for the codes of their errors.

An answer that has to be looked at is held until all of it is there; one in parts is held part by part. One that cannot be
looked at, because it is too large or encoded otherwise, is not passed on.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.errors import GatewayError, Kind
from proxyd.exchange import Reply
from proxyd.graphql.accept import JSON, accepted
from proxyd.graphql.errors import INTERNAL
from proxyd.graphql.parts import Multipart
from proxyd.graphql.subscriptions.sse import EventFilter
from proxyd.http1.encoder import REASONS
from proxyd.http1.headers import Block, Headers
from proxyd.http1.message import BODILESS, SWITCHING
from proxyd.plugin import HOLD, WATCH

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.errors import Masker
    from proxyd.graphql.parts import Parts

KEY: Final = "graphql-answer"
BEGINNING: Final = 8192  # bytes of an answer that is replaced, for the log
WATCHED: Final = 1_048_576  # bytes of the largest answer that is read for codes alone
NO_CODE: Final = "none"  # of an error without one
BAD_GATEWAY: Final = 502
BAD: Final = 400  # from here on, a status says that there is no result
_PLAIN: Final = frozenset(
    {
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=utf-8",
        b"application/graphql-response+json",
        b"application/graphql-response+json; charset=utf-8",
    }
)  # as servers write it
_GZIP: Final = Block.of([(b"Accept-Encoding", b"gzip")])
_IDENTITY: Final = Block.of([(b"Accept-Encoding", b"identity")])
_OF_GATEWAY: Final = {502: "BAD_GATEWAY", 503: "SERVICE_UNAVAILABLE", 504: "GATEWAY_TIMEOUT"}
_STALE: Final = (b"content-encoding", b"etag", b"content-md5", b"digest", b"repr-digest", b"content-digest")


class Answers:
    """What the graphql plugin does with answers; its methods are the plugin's phases.

    ``counts`` tells whether codes of errors are wanted where nothing is masked.
    """

    def __init__(self, masker: Masker, max_size: int, *, counts: bool) -> None:
        self._masker = masker
        self.looks = masker.looks
        self._max_size = max_size
        self.counts = counts

    def __repr__(self) -> str:
        return f"<Answers {self._masker!r}>"

    def prepare(self, exchange: Exchange) -> None:
        """Have the backend answer so that it can be read: whole, and compressed by gzip alone; called in ``access``."""
        if not self.looks:
            return
        headers = exchange.headers
        accepted = headers.get(b"accept-encoding")
        if accepted is not None:
            accept = headers.get(b"accept") or b""
            in_parts = b"multipart/" in accept or b"event-stream" in accept
            gzip = not in_parts and b"gzip" in headers.tokens(b"accept-encoding")
            headers.put(_GZIP if gzip else _IDENTITY)
        if b"range" in headers:
            headers.remove(b"range")

    # --- the head --------------------------------------------------------------------------------------------

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """Decide what becomes of the body; an answer that is no error by its status and no GraphQL is not passed on."""
        if not self.looks:
            return None
        response = exchange.response
        if response is None or response.headers is not headers:  # the gateway's own
            if self._masker.masks and exchange.error is not None:
                _make_json(exchange, headers)
                exchange.keep(KEY, _Fault())
            return None
        if status in BODILESS or status == SWITCHING:
            return None
        why = self._look(exchange, status, headers)
        return self._replaced(exchange, status, headers, why) if why else None

    def _look(self, exchange: Exchange, status: int, headers: Headers) -> str:
        """Decide how an answer is looked at; returns why it cannot be, and nothing where it can, or need not be."""
        media = (headers.get(b"content-type") or b"").lower()
        kind = media.partition(b";")[0].strip()
        coding = (headers.get(b"content-encoding") or b"identity").strip().lower()
        if coding == b"none":  # as graphql-sse and yoga call it
            coding = b"identity"
        if b"json" in kind:
            if coding not in {b"identity", b"gzip", b"x-gzip"} or b"charset=utf-16" in media:
                return "the answer is encoded"
            exchange.keep(KEY, _Whole(self, headers, status, gzip=coding != b"identity"))
        elif kind in {b"multipart/mixed", b"text/event-stream"}:
            parts = self._parts(exchange, kind, headers)
            if parts is None or coding != b"identity":
                return "the answer's parts cannot be read"
            exchange.keep(KEY, _InParts(parts))
        elif self._masker.masks and (exchange.graphql is not None or status >= BAD):
            return "the answer is not GraphQL"
        return ""

    def _parts(self, exchange: Exchange, kind: bytes, headers: Headers) -> Parts | None:
        def change(payload: bytes) -> bytes:
            return self._masker.mask(exchange, payload)

        if kind == b"text/event-stream":
            return EventFilter(lambda _, data: change(data) if data.strip() else data, self._max_size)
        boundary = _boundary(headers.get(b"content-type") or b"")
        return Multipart(boundary, change, self._max_size) if boundary else None

    def _replaced(self, exchange: Exchange, status: int, headers: Headers, why: str) -> Reply | None:
        if status < BAD:
            body = self._masker.replace(exchange, why)
            _note(exchange, body)
            made = Headers()
            _make_json(exchange, made)
            return Reply(BAD_GATEWAY, body=body, headers=made)
        _make_json(exchange, headers)
        exchange.keep(KEY, _Instead(self._masker, why))
        return None

    # --- the body --------------------------------------------------------------------------------------------

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> int:
        """Hold what is masked, watch what is only counted."""
        context = exchange.context
        state: _State | None = context.get(KEY) if context is not None else None
        if state is not None:
            return state.how
        if not self.counts or exchange.graphql is None:
            return 0
        response = exchange.response
        if response is None or response.headers is not headers or status in BODILESS:
            return 0
        content = headers.get(b"content-type")
        if content not in _PLAIN and b"json" not in (content or b"").lower():
            return 0
        return WATCH

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Take a piece of an answer."""
        context = exchange.context
        state: _State | None = context.get(KEY) if context is not None else None
        if state is None:  # it is only watched
            if last:
                _read(exchange, data)
                return data
            state = _Watched()
            exchange.keep(KEY, state)
        return state.feed(exchange, data, last)

    def masked(self, exchange: Exchange, body: bytes, status: int) -> bytes:
        """Return what the client gets for a whole answer."""
        operated = exchange.graphql
        if operated is None:
            return self._masker.mask(exchange, body) if status < BAD else self._masker.answer(exchange, body)
        told = body
        if not self._masker.is_fine(body):
            told = self._masker.answer(exchange, body)
            _note(exchange, told)
        return told

    def whole(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> Reply:
        """Return what a client is answered in place of an answer of the backend that is complete."""
        if self.looks:
            why = self._look(exchange, status, headers)
            reply = self._replaced(exchange, status, headers, why) if why else None
            if reply is not None:
                return reply
            state: _State | None = exchange.context.pop(KEY, None) if exchange.context is not None else None
            if state is not None:
                try:
                    body = state.feed(exchange, body, last=True)
                except GatewayError as error:
                    return self.fault(exchange, Reply(error.status, fault=True))
        elif self.counts:
            _read(exchange, body)
        return Reply(status, body=body, headers=headers)

    def fault(self, exchange: Exchange, reply: Reply) -> Reply:
        """Return how a client is told that the backend has not answered."""
        if not self._masker.masks:
            return reply
        headers = reply.headers.copy() if reply.headers is not None else Headers()
        _make_json(exchange, headers)
        body = _fault(exchange, reply.status)
        return Reply(reply.status, body=body, headers=headers)

    @property
    def max_size(self) -> int:
        """Bytes of the largest answer that is looked at."""
        return self._max_size


class _State:
    """What becomes of the body of one answer."""

    how = HOLD

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Take a piece."""
        raise NotImplementedError


class _Whole(_State):
    """It is read when all of it is there."""

    def __init__(self, answers: Answers, headers: Headers, status: int, *, gzip: bool) -> None:
        self._answers = answers
        self._headers = headers
        self._status = status
        self._gzip = gzip
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        self._size += len(data)
        limit = self._answers.max_size
        if self._size > limit:
            raise GatewayError(Kind.BAD_RESPONSE, f"the answer is larger than {limit} bytes")
        self._pieces.append(data)
        if not last:
            return b""
        body = b"".join(self._pieces)
        read = body
        if self._gzip:
            inflated = _inflated(body, limit)
            if inflated is None:
                raise GatewayError(Kind.BAD_RESPONSE, "the answer is not gzip, or larger than it may be")
            read = inflated
        told = self._answers.masked(exchange, read, self._status)
        if told is read:
            return body
        for name in _STALE:
            self._headers.remove(name)
        return told


class _InParts(_State):
    """Each part is read when it is there."""

    how = 1

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        del exchange
        return self._parts.feed(data, last)


class _Instead(_State):
    """Something else is sent in its place; its beginning goes into the log."""

    def __init__(self, masker: Masker, why: str) -> None:
        self._masker = masker
        self._why = why
        self._beginning = b""

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        if len(self._beginning) < BEGINNING:
            self._beginning += data[:BEGINNING]
        if not last:
            return b""
        body = self._masker.replace(exchange, self._why, self._beginning)
        _note(exchange, body)
        return body


class _Fault(_State):
    """The gateway tells that it could not carry the request: as an error of GraphQL."""

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        del data
        if not last:
            return b""
        return _fault(exchange, exchange.status)


class _Watched(_State):
    """It goes through as it comes, and is read for the codes of its errors behind that."""

    how = WATCH

    def __init__(self) -> None:
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        self._size += len(data)
        if self._size > WATCHED:
            self._pieces.clear()
            return data
        if data:
            self._pieces.append(data)
        if last:
            _read(exchange, b"".join(self._pieces))
        return data


def _read(exchange: Exchange, body: bytes) -> None:
    """Note the codes in an answer that is not changed."""
    response = exchange.response
    if len(body) > WATCHED or response is None:
        return
    coding = response.headers.get(b"content-encoding")
    read = body if coding is None or b"gzip" not in coding else _inflated(body, WATCHED)
    if read:
        _note(exchange, read)


def codes_of(body: bytes) -> tuple[str, ...]:
    """Return the codes of a response's errors, or of a batch's; nothing is parsed where there can be none."""
    if body.find(b'"errors"') < 0:  # `in` would look for a number first
        return ()
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    found: list[str] = []
    for one in parsed if isinstance(parsed, list) else [parsed]:
        errors = one.get("errors") if isinstance(one, dict) else None
        found += [_code(error) for error in errors] if isinstance(errors, list) else []
    return tuple(found)


def codes_in(errors: bytes) -> tuple[str, ...]:
    """Return the codes of a list of errors, or of one alone."""
    try:
        parsed = orjson.loads(errors)
    except orjson.JSONDecodeError:
        return ()
    return tuple(_code(error) for error in (parsed if isinstance(parsed, list) else [parsed]))


def _code(error: Any) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) and code else NO_CODE


def _note(exchange: Exchange, body: bytes) -> None:
    if exchange.graphql is not None:
        exchange.graphql.codes = codes_of(body) or exchange.graphql.codes


def _fault(exchange: Exchange, status: int) -> bytes:
    """Return the error of GraphQL by which a client is told that the gateway could not carry its request."""
    message = REASONS.get(status, b"Error").decode("latin-1")
    extensions = {"code": _OF_GATEWAY.get(status, INTERNAL), "request_id": exchange.request_id}
    body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
    _note(exchange, body)
    return body


def _make_json(exchange: Exchange, headers: Headers) -> None:
    headers.set(
        b"Content-Type", (accepted(exchange.headers.get(b"accept")).media or JSON) + b"; charset=utf-8"
    )
    for name in (*_STALE, b"content-disposition"):
        headers.remove(name)


def _inflated(body: bytes, limit: int) -> bytes | None:
    """Return what a body of gzip holds (RFC 1952); None where it is none, or more than ``limit`` bytes."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(body, limit + 1)
    except zlib.error:
        return None
    whole = inflater.eof and not inflater.unused_data and len(text) <= limit
    return text if whole else None


def _boundary(content_type: bytes) -> bytes:
    for parameter in content_type.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"boundary":
            return value.strip().strip(b'"')
    return b"-"  # what incremental delivery says that it is where nothing is said
