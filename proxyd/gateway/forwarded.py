"""What the upstream is told of the client, and which of that is believed from whoever stands in front.

Kong's rules: ``X-Forwarded-For`` grows by the direct peer, trusted or not; ``-Proto``, ``-Host``, ``-Port``,
``-Path`` and ``-Prefix`` are the client's only where the direct peer is in ``trusted_ips``, and describe this
hop otherwise; ``X-Real-IP`` is the address the gateway believes in.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from proxyd.gateway.marks import VIA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Client, Exchange

_BELIEVED: Final[tuple[bytes, ...]] = (
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-path",
    b"x-forwarded-prefix",
)


class TrustedIPs:
    """The addresses whose forwarding headers are believed, as CIDR blocks; ``unix:`` trusts Unix sockets."""

    def __init__(self, blocks: Iterable[str]) -> None:
        blocks = tuple(blocks)
        self._trusts_unix = "unix:" in blocks
        self._networks = [ipaddress.ip_network(block, strict=False) for block in blocks if block != "unix:"]

    def __contains__(self, address: object) -> bool:
        if address == "unix:" or not self._networks:
            return self._trusts_unix and address == "unix:"
        try:
            parsed = ipaddress.ip_address(str(address))
        except ValueError:
            return False
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)


class RealIP:
    """Corrects the client's address and scheme from the headers of a trusted peer.

    ``header`` is ``real_ip_header``, lower-case bytes; with ``recursive``, the last address of the list that
    is not trusted itself counts, otherwise the last one (nginx's ``real_ip_recursive``).
    """

    def __init__(self, trusted: TrustedIPs, header: bytes, *, recursive: bool) -> None:
        self.trusted = trusted
        self._header = header
        self._recursive = recursive

    def correct(self, exchange: Exchange) -> None:
        """Set the exchange's client address, scheme and, where one was forwarded, nothing else."""
        headers = exchange.request.headers
        forwarded = headers.get(self._header)
        if forwarded is not None:
            address = self._pick(forwarded)
            if address:
                exchange.client_ip = address
        proto = headers.get(b"x-forwarded-proto")
        if proto is not None and proto.lower() in {b"http", b"https"}:
            exchange.scheme = proto.lower().decode()

    def _pick(self, forwarded: bytes) -> str:
        found = ""
        for part in reversed(forwarded.decode("latin-1").split(",")):
            address = _address(part.strip())
            if not address:
                break
            found = address
            if not self._recursive or address not in self.trusted:
                break
        return found


def _address(text: str) -> str:
    """Return the address in ``1.2.3.4``, ``1.2.3.4:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``, or nothing."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if getattr(parsed, "scope_id", None):
        return ""  # a zone is of the machine that names it, and may hold anything
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def lines_for(client: Client) -> bytes:
    """Return the lines that say the same of every request on a connection whose peer forwarded nothing.

    Via stands in them for requests of every kind: behind the lines of proxies in front it is the next member of
    the list, as RFC 9110 section 7.6.3 wants it.
    """
    peer = client.peer
    return (
        f"X-Forwarded-For: {peer}\r\nX-Real-IP: {peer}\r\n"
        f"X-Forwarded-Proto: {client.scheme}\r\nX-Forwarded-Port: {client.port}\r\nVia: {VIA.decode()}\r\n"
    ).encode()


def without_port(host: str) -> str:
    """Return a host without its port."""
    return host.rpartition(":")[0] if ":" in host and host[-1:] != "]" else host


def rewrite_forwarded(exchange: Exchange) -> dict[bytes, bytes] | None:
    """Take out what a client or a proxy in front wrote in these fields, and return the lines to send for it.

    None where nothing was written: ``lines_for`` the client serves then.
    """
    headers = exchange.request.headers
    client = exchange.client
    if exchange.client_ip == client.peer and (headers.raw is not None or _OURS.isdisjoint(headers.lines)):
        return None
    lines = headers.lines
    before = headers.get(b"x-forwarded-for")
    peer = client.peer.encode()
    chain = b"%b, %b" % (before, peer) if before else peer
    sent = {name: lines.pop(name) for name in _OURS if name in lines}
    result = {
        b"x-forwarded-for": b"X-Forwarded-For: %b\r\n" % chain,
        b"x-real-ip": b"X-Real-IP: %b\r\n" % exchange.client_ip.encode(),
        b"x-forwarded-proto": b"X-Forwarded-Proto: %b\r\n" % client.scheme.encode(),
        b"x-forwarded-port": b"X-Forwarded-Port: %d\r\n" % client.port,
    }
    if client.trusted:
        result |= {name: line for name, line in sent.items() if name in _BELIEVED}
    return result


# What the gateway writes itself, and Proxy, which CGI programs would take for a setting (CVE-2016-5385).
_OURS: Final = frozenset({*_BELIEVED, b"x-forwarded-for", b"x-real-ip", b"x-kong-request-id", b"proxy"})
