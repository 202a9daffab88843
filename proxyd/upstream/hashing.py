"""What a consistent-hashing upstream hashes: a key read off each exchange, compiled from its settings."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange
    from proxyd.model.entities import HashOn, Upstream

    Key = Callable[[Exchange], str | None]

CONTEXT = "balancer"  # where in an exchange's context the Set-Cookie value for the client stands


def compile_key(upstream: Upstream) -> Key:
    """Return the function that reads the key: ``hash_on``, or else ``hash_fallback``, or else None."""
    first = _reader(
        upstream,
        upstream.hash_on,
        upstream.hash_on_header,
        upstream.hash_on_query_arg,
        upstream.hash_on_uri_capture,
    )
    second = _reader(
        upstream,
        upstream.hash_fallback,
        upstream.hash_fallback_header,
        upstream.hash_fallback_query_arg,
        upstream.hash_fallback_uri_capture,
    )
    if upstream.hash_fallback == "none" or upstream.hash_on == "cookie":
        return first  # a cookie is issued where it is missing, so there is nothing to fall back from

    def key(exchange: Exchange) -> str | None:
        value = first(exchange)
        return second(exchange) if value is None else value

    return key


def _reader(
    upstream: Upstream, source: HashOn, header: str | None, argument: str | None, capture: str | None
) -> Key:
    readers: dict[HashOn, Callable[[], Key]] = {
        "none": lambda: lambda _exchange: None,
        "consumer": lambda: _consumer,
        "ip": lambda: lambda exchange: exchange.client_ip,
        "path": lambda: lambda exchange: exchange.request.path,
        "header": lambda: _header((header or "").lower().encode("latin-1", "replace")),
        "query_arg": lambda: _query_argument(argument or ""),
        "uri_capture": lambda: _capture(capture or ""),
        "cookie": lambda: _cookie(upstream.hash_on_cookie or "", upstream.hash_on_cookie_path),
    }
    return readers[source]()


def _consumer(exchange: Exchange) -> str | None:
    entity = exchange.consumer or exchange.credential
    return entity.id if entity else None


def _header(name: bytes) -> Key:
    def key(exchange: Exchange) -> str | None:
        value = exchange.headers.get(name)
        return value.decode("latin-1") if value else None

    return key


def _query_argument(name: str) -> Key:
    def key(exchange: Exchange) -> str | None:
        query = exchange.request.query
        if len(query) < len(name):
            return None
        values = parse_qs(query[1:], keep_blank_values=True).get(name)
        # Several values are one key whatever their order.
        return "&".join(sorted(values)) if values else None

    return key


def _capture(name: str) -> Key:
    group: str | int = int(name) if name.isdecimal() else name

    def key(exchange: Exchange) -> str | None:
        return (exchange.captures or {}).get(group) or None

    return key


def _cookie(name: str, path: str) -> Key:
    prefix = name.encode("latin-1", "replace") + b"="

    def key(exchange: Exchange) -> str | None:
        for line in exchange.headers.get_all(b"cookie"):
            for pair in line.split(b";"):
                pair = pair.strip(b" \t")  # noqa: PLW2901
                if pair.startswith(prefix) and len(pair) > len(prefix):
                    return pair[len(prefix) :].decode("latin-1")
        issued: bytes | None = exchange.context.get(CONTEXT) if exchange.context is not None else None
        if issued is not None:  # by an earlier try
            return issued[len(prefix) :].partition(b";")[0].decode("latin-1")
        value = str(uuid.uuid4())
        cookie = (prefix, value.encode("ascii"), path.encode("latin-1", "replace"))
        exchange.keep(CONTEXT, b"%b%b; Path=%b; HttpOnly" % cookie)
        return value

    return key
