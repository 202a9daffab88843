"""Who a request comes from, as the upstream is told: the identity headers, and who may write them.

A client that sends one of these headers would name itself to the backend, so they are taken out of every
request, on routes without any authentication too; only ``identify`` writes them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

from proxyd.http1.headers import Block
from proxyd.model.credentials import KeyAuthCredential

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.model.entities import Consumer, Stored

_REMEMBERED: Final = 4096  # identities whose lines are kept

# Kong's (kong/constants.lua, HEADERS), and what is told of a client's certificate and of a key's scopes.
IDENTITY_HEADERS: Final = frozenset(
    {
        b"x-anonymous-consumer",
        b"x-authenticated-groups",
        b"x-authenticated-scope",
        b"x-authenticated-userid",
        b"x-client-cert-dn",
        b"x-client-cert-fingerprint",
        b"x-client-cert-san",
        b"x-client-cert-serial",
        b"x-consumer-custom-id",
        b"x-consumer-groups",
        b"x-consumer-id",
        b"x-consumer-username",
        b"x-credential-identifier",
        b"x-credential-scopes",
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
    lines = identity_lines(consumer, identifier, anonymous=anonymous)
    introduce(exchange, consumer, credential, lines, anonymous=anonymous)


def introduce(
    exchange: Exchange,
    consumer: Consumer | None,
    credential: Stored | None,
    lines: Block,
    *,
    anonymous: bool = False,
) -> None:
    """Do as ``identify`` does, with lines that ``identity_lines`` has written."""
    exchange.consumer = consumer
    exchange.credential = credential
    exchange.anonymous = anonymous
    exchange.request.headers.put(lines)


def identity_lines(
    consumer: Consumer | None,
    identifier: str | None,
    *,
    anonymous: bool = False,
    scopes: tuple[str, ...] = (),
) -> Block:
    """Return the lines by which the upstream is told of an identity, the same ones every time."""
    return _lines(
        consumer.id if consumer is not None else None,
        consumer.custom_id if consumer is not None else None,
        consumer.username if consumer is not None else None,
        identifier,
        anonymous,
        " ".join(scopes),
    )


@lru_cache(maxsize=_REMEMBERED)
def _lines(
    identity: str | None,
    custom_id: str | None,
    username: str | None,
    identifier: str | None,
    anonymous: bool,  # a part of the key
    scopes: str,
) -> Block:
    """Write the lines that tell of an identity, and name those that it leaves out."""
    told = []
    absent = []
    for name, value in (
        (b"X-Consumer-ID", identity),
        (b"X-Consumer-Custom-ID", custom_id),
        (b"X-Consumer-Username", username),
        (b"X-Credential-Identifier", identifier),
        (b"X-Credential-Scopes", scopes),
        (b"X-Anonymous-Consumer", "true" if anonymous else None),
    ):
        if value:
            told.append((name, header_value(value)))
        else:
            absent.append(name)
    return Block.of(told, absent)


def scope_groups(credential: Stored | None) -> tuple[str, ...]:
    """Return the scopes of an API key as groups, ``scope:NAME``: what groups open, they can open too."""
    if isinstance(credential, KeyAuthCredential) and credential.scopes:
        return _scope_groups(credential.scopes)
    return ()


@lru_cache(maxsize=_REMEMBERED)
def _scope_groups(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([f"scope:{scope}" for scope in scopes])


def is_known(exchange: Exchange) -> bool:
    """Whether an authentication plugin has let the request in; who counts as anonymous is not known."""
    return not exchange.anonymous and (
        exchange.consumer is not None or exchange.claims is not None or exchange.groups is not None
    )


def header_value(text: str) -> bytes:
    """Return a text as it can stand in a header line: UTF-8, controls replaced by spaces."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(" " if character < " " or character == "\x7f" else character for character in text).encode(
        "utf-8", "replace"
    )


def challenge(scheme: str, realm: str | None) -> bytes:
    """Return what WWW-Authenticate asks for (RFC 9110 section 11.6.1)."""
    if not realm:
        return scheme.encode()
    quoted = header_value(realm).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'%b realm="%b"' % (scheme.encode(), quoted)


# What would make one name look like two, or like another one, to whoever splits and trims the line.
# The look behind keeps it linear: white space inside a name is tried from its first character only.
_UNCLEAR: Final = re.compile(r"^\s+|(?<!\s)\s+$|[%,\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def header_list(names: Iterable[str]) -> bytes:
    """Return names as one header line lists them; what is unclear in a name is percent-encoded."""
    return ", ".join([_UNCLEAR.sub(_encoded, name) for name in names]).encode()


def _encoded(match: re.Match[str]) -> str:
    return quote_from_bytes(match[0].encode("utf-8", "surrogatepass"), safe="")


def texts_at(claims: dict[str, Any], path: str) -> tuple[str, ...]:
    """Return the texts at a path into claims: of a list, or of one text separated by spaces; none of anything else."""
    value = claim_at(claims, path)
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(one for one in value if isinstance(one, str) and one) if isinstance(value, list) else ()


def claim_at(value: Any, path: str) -> Any:
    """Follow a path; a name may hold dots itself, as ``https://example.com/roles`` does: the longest one counts."""
    if not isinstance(value, dict):
        return None
    name, rest = path, ""
    while name:
        if name in value:
            return claim_at(value[name], rest) if rest else value[name]
        name, _, last = name.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return None
