"""Tokens of the single connection mode of graphql-sse, and whose they are.

A client reserves a stream by PUT and is told a token. It opens the stream with it, asks for operations with it, and stops them
with it. Whoever has the token reads what another has asked for, so each belongs to the identity that reserved it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

if TYPE_CHECKING:
    from proxyd.carrier import Call, Pipe, Way
    from proxyd.exchange import Exchange
    from proxyd.http1.message import ResponseHead

HEADER = b"x-graphql-event-stream-token"
CREATED = 201
MAX_TOKEN = (
    512  # characters of a backend's token, and of an answer to a reservation that is passed on otherwise
)
TAG_SIZE = 32  # hexadecimal digits: 128 bits


def identity_of(exchange: Exchange) -> str:
    """Return who asks, empty for somebody unknown."""
    if exchange.consumer is not None:
        return f"consumer:{exchange.consumer.id}"
    if exchange.credential is not None:
        return f"credential:{exchange.credential.id}"
    claims = exchange.claims
    if claims is None:
        return ""
    if "sub" in claims:
        return f"claims:{json.dumps([claims.get('iss'), claims['sub']])}"
    return f"claims:{json.dumps(claims, sort_keys=True)}"  # of nobody in particular: this very token's


def token_of(exchange: Exchange) -> str | None:
    """Return the token that a request shows, in its header or, as browsers' EventSource has to, in its query."""
    shown = exchange.headers.get(HEADER)
    if shown is not None:
        return shown.decode("latin-1")
    query = exchange.request.query
    return dict(parse_qsl(query[1:])).get("token") if _may_hold_token(query) else None


def _may_hold_token(query: str) -> bool:
    """Tell whether a query may have a token, whose name a backend reads in other spellings too (``%74oken``)."""
    return "token=" in query or "%" in query


def operation_id_of(exchange: Exchange) -> str | None:
    """Return the operation that a DELETE is about."""
    return dict(parse_qsl(exchange.request.query[1:])).get("operationId")


def refusal(exchange: Exchange, status: int, message: str) -> Reply:
    """Return the answer to a request that fits no stream."""
    exchange.refusal = exchange.refusal or f"graphql: {message}"
    body = orjson.dumps({"errors": [{"message": message}]})
    return Reply(
        status, body=body, headers=Headers.of([(b"Content-Type", b"application/json; charset=utf-8")])
    )


class Tokens:
    """Binds a backend's tokens to who was told them, by a tag that only the gateway can make; one per plugin instance.

    Nothing is kept, so that a token is good at every worker that has the secret, and over reloads.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else _OWN

    def __repr__(self) -> str:
        return f"<Tokens {'own' if self._secret is _OWN else 'configured'}>"

    def bind(self, exchange: Exchange, token: str) -> str:
        """Return what the client is told in place of a token."""
        return f"{token}.{self._tag(exchange, token)}"

    def admit(self, exchange: Exchange, shown: str) -> bool:
        """Have the backend sent the token behind what its owner shows; false for anybody else."""
        token, _, tag = shown.rpartition(".")
        if not token or not hmac.compare_digest(tag.encode(), self._tag(exchange, token).encode()):
            return False
        headers, request = exchange.headers, exchange.request
        if HEADER in headers:
            headers.set(b"X-GraphQL-Event-Stream-Token", token.encode("latin-1"))
        if _may_hold_token(request.query):
            members = parse_qsl(request.query[1:], keep_blank_values=True)
            told = [(name, token if name == "token" else value) for name, value in members]
            if told != members:
                request.query = "?" + urlencode(told, quote_via=quote)
        return True

    def _tag(self, exchange: Exchange, token: str) -> str:
        text = f"{identity_of(exchange)}\0{token}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:TAG_SIZE]


_OWN = secrets.token_bytes(32)  # of this process: where no other has to know its tokens


class Reserving:
    """Carries a PUT to the backend, and gives its client the bound token; a ``Carrier``, and a ``Receiver``."""

    __slots__ = ("_body", "_call", "_head", "_tokens", "_way")

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._way: Way
        self._call: Call | None = None
        self._head: ResponseHead | None = None
        self._body = b""

    def __repr__(self) -> str:
        return f"<Reserving {self._head.status if self._head is not None else 'waiting'}>"

    def meet(self, way: Way) -> None:
        """Take the way."""
        self._way = way

    def carry(self) -> None:
        """Ask the backend as the client does."""
        asking = self._way.exchange.request
        headers = asking.headers.copy()
        headers.remove(b"accept-encoding")
        headers.remove(b"content-length")
        head = RequestHead(
            "PUT", asking.target, asking.path, asking.query, 1, asking.host, headers, 0, keep_alive=True
        )
        self._call = self._way.ask(head, None, self)

    def refuse(self, reply: Reply) -> None:
        """Never: there is no WebSocket."""
        raise NotImplementedError

    def gone(self) -> None:
        """Let go of the backend."""
        if self._call is not None:
            self._call.cancel()

    def writable(self, writable: bool) -> None:
        """Never matter: the answer is small."""

    def leave(self) -> None:
        """Go on: this is a request like any."""

    def head(self, head: ResponseHead) -> None:
        """Take the answer's head."""
        self._head = head

    def data(self, data: bytes) -> None:
        """Take a piece of the token."""
        self._body += data
        if len(self._body) > MAX_TOKEN and self._call is not None:
            self._call.cancel()
            self._way.reply(Reply(502, fault=True))

    def end(self) -> None:
        """Answer with the token, or with what else the backend has said."""
        head, body = self._head, self._body
        assert head is not None  # noqa: S101  # no end without one
        if head.status == CREATED:
            token = body.decode("latin-1").strip()
            if not token.isascii() or not token.isprintable() or not token:
                self._way.reply(Reply(502, fault=True))
                return
            body = self._tokens.bind(self._way.exchange, token).encode()
        headers = Headers.of(
            [(b"Content-Type", head.headers.get(b"content-type") or b"text/plain; charset=utf-8")]
        )
        self._way.reply(Reply(head.status, body=body, headers=headers))

    def failed(self, reply: Reply) -> None:
        """Pass on that there is no answer."""
        self._way.reply(reply)

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Never: no tunnel is asked for."""
        raise NotImplementedError
