"""Where the gateway listens, in the syntax of kong.conf: ``0.0.0.0:8443 ssl backlog=1024, unix:/run/p.sock``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, Final

from proxyd.model.grammar import is_address, is_host_name, split_port
from proxyd.model.suggest import nearest
from proxyd.model.units import switch, words

_SWITCHES: Final = ("ssl", "http2", "proxy_protocol", "reuseport", "deferred", "bind")
_FLAGS: Final = (*_SWITCHES, "backlog", "so_keepalive", "ipv6only")
DEFAULT_BACKLOG: Final = 2048  # connections; the kernel caps it at net.core.somaxconn


@dataclass(frozen=True, slots=True)
class Listen:
    """One listening address: ``host`` and ``port``, or the ``path`` of a unix socket.

    ``backlog`` counts connections not yet accepted. ``http2`` is what the file asks for, not what is offered.
    """

    host: str = ""
    port: int = 0
    path: str | None = None
    ssl: bool = False
    http2: bool = False
    proxy_protocol: bool = False
    reuseport: bool = False
    deferred: bool = False
    so_keepalive: bool = False
    ipv6only: bool = True
    backlog: int = DEFAULT_BACKLOG

    def __str__(self) -> str:
        """Write the address as the settings do, without its flags but for ssl."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"unix:{self.path}" if self.path is not None else f"{host}:{self.port}"
        return f"{address} ssl" if self.ssl else address

    @property
    def local(self) -> bool:
        """Whether this machine alone reaches it."""
        return self.path is not None or self.host == "localhost" or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is an address of the machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_listen(value: object) -> tuple[Listen, ...]:
    """Return the addresses of a setting; none for ``off``.

    Raises:
        ValueError: An address or a flag is not understood.
    """
    if value is False or value == "off":
        return ()
    if isinstance(value, (list, tuple)) and all(isinstance(item, Listen) for item in value):
        return tuple(value)
    items = words(value)
    if not items:
        raise ValueError("must be an address, or off", "such as 0.0.0.0:8000")
    return tuple(_parse_one(item) for item in items)


def _parse_one(text: str) -> Listen:
    address, *flags = text.split()
    options = dict(_parse_flag(flag) for flag in flags)
    if address.startswith("unix:"):
        if not address.startswith("unix:/"):
            raise ValueError("a unix socket needs an absolute path", "unix:/run/proxyd/proxy.sock")
        return Listen(path=address.removeprefix("unix:"), **options)
    host, port = split_port(address)
    if port is None:
        raise ValueError(f"'{address}' has no port", f"{address}:8000")
    if host.startswith("[") and host.endswith("]") and is_address(host):
        host = host[1:-1]
    elif host == "*":
        host = "0.0.0.0"  # noqa: S104 - what the user asked for
    elif not is_address(host) and not is_host_name(host):
        raise ValueError(f"'{host}' is no address to listen on")
    return Listen(host=host, port=port, **options)


def _parse_flag(flag: str) -> tuple[str, Any]:
    name, equals, value = flag.partition("=")
    if name in _SWITCHES and not equals:
        return name, True
    if name == "backlog" and value.isascii() and value.isdigit() and int(value) > 0:
        return name, int(value)
    if name in ("so_keepalive", "ipv6only") and equals:
        return name, switch(value)
    if name in _FLAGS:
        raise ValueError(f"flag '{name}' is not written so", "as in: ssl backlog=1024 so_keepalive=on")
    raise ValueError(f"unknown flag '{name}'", nearest(name, _FLAGS) or f"known are {', '.join(_FLAGS)}")
