"""Hosts and ports in text, as targets and name servers are written."""

from __future__ import annotations

from ipaddress import ip_address


def split_port(text: str, default: int) -> tuple[str, int]:
    """Split ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address; raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text}: not an address")
        port = rest[1:]
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    return host, int(port) if port else default


def join_port(host: str, port: int) -> str:
    """Write host and port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_address(host: str) -> bool:
    """Whether a host is an IP address and needs no resolving."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
