"""Certificates of a test's own authority, and a client that tells what its handshake came to."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import trustme


@dataclass
class Talk:
    """What came of one connection."""

    version: str
    cipher: str
    alpn: str | None
    names: set[str]
    answer: bytes

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ")[1])


def trusting(authority: trustme.CA | None = None, **attributes: Any) -> ssl.SSLContext:
    """Return a client's context; without an authority it believes anybody."""
    context = ssl.create_default_context()
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        authority.configure_trust(context)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


async def talk(
    port: int,
    context: ssl.SSLContext,
    name: str | None = None,
    host: str | None = None,
    path: str = "/",
    fields: str = "",
) -> Talk:
    """Ask once over a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host or name or 'h'}\r\nConnection: close\r\n{fields}\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        tls = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert() or {}
        names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
        return Talk(tls.version(), tls.cipher()[0], tls.selected_alpn_protocol(), names, answer)
    finally:
        writer.close()
        await writer.wait_closed()


def pem(authority: trustme.CA, *names: str, **options: Any) -> dict[str, str]:
    """Return a certificate for these names as an entity has it."""
    issued = authority.issue_cert(*names, **options)
    return {
        "cert": b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }
