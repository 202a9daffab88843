"""Where a request comes from: its connection, and what a trusted peer in front of the gateway tells of it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from proxyd.gateway.forwarded import TrustedIPs

if TYPE_CHECKING:
    from aiohttp import web

    from proxyd.model.settings import Settings

UNIX: Final = "unix:"  # the address of whoever uses a unix socket


class Peers:
    """Tells addresses by ``trusted_ips``, ``real_ip_header`` and ``real_ip_recursive``, as of the gateway's clients."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = TrustedIPs(settings.trusted_ips)
        self._header = settings.real_ip_header
        self._recursive = settings.real_ip_recursive

    def address_of(self, request: web.Request) -> str:
        """Return the client's address, or ``unix:``."""
        peer = _peer(request)
        if peer not in self._trusted:
            return peer
        told = [one.strip() for line in request.headers.getall(self._header, ()) for one in line.split(",")]
        for address in reversed(told):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                return peer
            if not self._recursive or address not in self._trusted:
                return address
        return peer

    def is_secure(self, request: web.Request) -> bool:
        """Tell whether the client speaks TLS, to this listener or to a trusted peer in front."""
        if request.secure:
            return True
        return (
            _peer(request) in self._trusted
            and request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
        )

    def is_unix(self, request: web.Request) -> bool:
        """Tell whether a request came over a unix socket."""
        return _peer(request) == UNIX


def _peer(request: web.Request) -> str:
    transport = request.transport
    if transport is None:  # it has gone
        return ""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, (tuple, list)) and peer else UNIX
