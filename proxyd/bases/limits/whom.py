"""Whom a request is counted for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange

    Whom = Callable[[Exchange], bytes]

LONGEST: Final = 64  # bytes of a client's own choice that are kept as they are


def by_address(exchange: Exchange) -> bytes:
    """Return the client's address, which there always is."""
    return b"ip:" + exchange.client_ip.encode()


def by_consumer(exchange: Exchange) -> bytes:
    """Return the consumer, else the credential, else the address, as Kong does."""
    who = exchange.consumer or exchange.credential
    return b"id:" + who.id.encode() if who is not None else by_address(exchange)


def by_credential(exchange: Exchange) -> bytes:
    """Return the credential, else the address."""
    credential = exchange.credential
    return b"id:" + credential.id.encode() if credential is not None else by_address(exchange)


def by_service(exchange: Exchange) -> bytes:
    """Return the service, else the address."""
    service = exchange.service
    return b"id:" + service.id.encode() if service is not None else by_address(exchange)


def by_header(name: str) -> Whom:
    """Return what counts by the value of a header, else by the address."""
    key = name.lower().encode()

    def by_value(exchange: Exchange) -> bytes:
        value = exchange.headers.get(key)
        if not value:
            return by_address(exchange)
        if len(value) > LONGEST:  # or a crowd of long ones would take memory by the gigabyte
            return b"of:" + hashlib.blake2b(value, digest_size=32).digest()
        return b"id:" + value

    return by_value


def by_path(path: str) -> Whom:
    """Return what counts all requests of one path together, and others by the address."""
    key = b"id:" + path.encode()
    return lambda exchange: key if exchange.request.path == path else by_address(exchange)
