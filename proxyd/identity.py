"""Who a request comes from, as the upstream is told: the identity headers, and who may write them.

A client that sends one of these headers would name itself to the backend, so they are taken out of every
request, on routes without any authentication too; only ``identify`` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.model.entities import Consumer, Stored

# Kong's (kong/constants.lua, HEADERS).
IDENTITY_HEADERS = frozenset(
    {
        b"x-anonymous-consumer",
        b"x-authenticated-groups",
        b"x-authenticated-scope",
        b"x-authenticated-userid",
        b"x-consumer-custom-id",
        b"x-consumer-groups",
        b"x-consumer-id",
        b"x-consumer-username",
        b"x-credential-identifier",
        b"x-credential-username",
    }
)


def forget_claimed(headers: Headers) -> None:
    """Take out the identity that a client claims; names with ``_`` too, which CGI and WSGI read as ``-``."""
    lines = headers.lines
    for name in [
        name
        for name in lines
        if name.startswith((b"x-", b"x_")) and name.replace(b"_", b"-") in IDENTITY_HEADERS
    ]:
        del lines[name]


def identify(
    exchange: Exchange,
    consumer: Consumer | None,
    credential: Stored | None = None,
    identifier: str | None = None,
    *,
    anonymous: bool = False,
) -> None:
    """Set who calls, and tell the upstream; what was told of another identity before is taken back.

    ``identifier`` is what X-Credential-Identifier says: the credential's id, name or key, as the plugin has it.
    """
    exchange.consumer = consumer
    exchange.credential = credential
    exchange.anonymous = anonymous
    headers = exchange.headers
    for name, value in (
        (b"X-Consumer-ID", consumer and consumer.id),
        (b"X-Consumer-Custom-ID", consumer and consumer.custom_id),
        (b"X-Consumer-Username", consumer and consumer.username),
        (b"X-Credential-Identifier", identifier),
        (b"X-Anonymous-Consumer", "true" if anonymous else None),
    ):
        if value:
            headers.set(name, header_value(value))
        else:
            headers.remove(name.lower())


def header_value(text: str) -> bytes:
    """Return a text as it can stand in a header line: UTF-8, controls replaced by spaces."""
    return "".join(
        " " if character < " " or character == "\x7f" else character for character in text
    ).encode()
