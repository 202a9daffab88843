"""ip-restriction: which addresses may call."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CACHED = 4096  # addresses whose verdict is remembered
_MAPPED = 96  # bits in front of an IPv4 address in an IPv4-mapped one


class Config(plugin.Config):
    """Settings of ip-restriction (Kong's ``kong/plugins/ip-restriction/schema.lua``)."""

    renamed: ClassVar[dict[str, str]] = {"whitelist": "allow", "blacklist": "deny"}

    allow: plugin.Listed = None
    """Addresses and CIDR blocks of which the client must be in one."""
    deny: plugin.Listed = None
    """Addresses and CIDR blocks of which it must be in none; this wins over allow."""
    status: int = Field(403, ge=400, le=599)
    """Status of a refusal."""
    message: str | None = Field(None, min_length=1)
    """Message of a refusal."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.allow is None and self.deny is None:
            raise ValueError("allow or deny is needed")
        _networks((*(self.allow or ()), *(self.deny or ())))
        return self


class IpRestriction(plugin.Plugin[Config]):
    """Refuses clients by address: the one that trusted proxies forwarded, where there are such."""

    name = "ip-restriction"
    priority = 990
    answers = (("status", "the address is not allowed"),)

    def prepare(self) -> None:
        """Parse the blocks."""
        config = self.config
        self._allow = _networks(config.allow) if config.allow is not None else None
        self._deny = _networks(config.deny or ())
        self._allows = lru_cache(_CACHED)(self._look_up)

    def access(self, exchange: Exchange) -> Reply | None:
        """Compare the address."""
        address = exchange.client_ip
        if self._allows(address):
            return None
        return Reply(self.config.status, self.config.message or f"IP address not allowed: {address}")

    def _look_up(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False  # a Unix socket has no address: nobody vouches for it
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in self._deny):
            return False
        return self._allow is None or any(address in network for network in self._allow)


def _networks(blocks: Iterable[str]) -> list[Network]:
    return [_network(block) for block in blocks]


def _network(block: str) -> Network:
    """Parse a block; one of IPv4-mapped addresses is the block of IPv4 that it stands for (RFC 4291, 2.5.5.2)."""
    try:
        written = ipaddress.ip_interface(block)
    except ValueError:
        raise ValueError(f"{block!r} is neither an address nor a CIDR block") from None
    network: Network = written.network
    mapped = getattr(written.ip, "ipv4_mapped", None)
    if mapped is None:
        return network
    if network.prefixlen < _MAPPED:
        raise ValueError(f"{block!r} holds more than IPv4's addresses: write it as IPv4, such as {mapped}/24")
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED), strict=False)
