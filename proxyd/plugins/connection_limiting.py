"""connection-limiting: so many requests at the same time, of one address or one consumer; not Kong's."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

_REMEMBERED = 4096  # IPv6 addresses whose network is remembered


class Config(plugin.Config):
    """Settings of connection-limiting."""

    per_ip: int | None = Field(None, ge=1)
    """Requests under way from one address, looked at before anything else."""
    per_consumer: int | None = Field(None, ge=1)
    """Requests under way of one consumer or, where there is none, one credential; looked at behind authentication."""
    ipv6_prefix: int = Field(64, ge=1, le=128)
    """Bits of an IPv6 address that count as one address: a household has the rest to itself."""
    error_code: Literal[429, 503] = 429
    """Status of a refusal."""
    error_message: str = Field("Too many connections", min_length=1)
    """Message of a refusal."""
    retry_after: int = Field(1, ge=0)
    """Seconds that a refusal tells in Retry-After; 0: it does not."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.per_ip is None and self.per_consumer is None:
            raise ValueError("at least one of per_ip, per_consumer is needed")
        return self


class ConnectionLimiting(plugin.Plugin[Config]):
    """Refuses requests while as many as the limit are under way, of one address or one consumer.

    A request is under way from its head to the last byte of its answer, a WebSocket until it ends. The workers of a
    master count together; what a killed one held is free when it has been replaced. A reload keeps the counts.
    """

    name = "connection-limiting"
    # A request that is refused here uses up nothing of rate-limiting's. Addresses are looked at in rewrite, before
    # any authentication.
    priority = 912
    answers = (("error_code", "as many requests are under way already"),)

    def prepare(self) -> None:
        """Write what the counts are known by."""
        scope = f"{self.scope.route or ''}:{self.scope.service or ''}"
        # An instance for one consumer may count an address that the one for all has counted.
        self._by_ip, self._by_consumer = f"ip:{scope}:{self.scope.consumer or ''}:", f"consumer:{scope}:"
        self._under_way = self.kit.counting.under_way

    def rewrite(self, exchange: Exchange) -> Reply | None:
        """Count the address; an instance for one consumer does not see this phase."""
        return self._enter_address(exchange)

    def _enter_address(self, exchange: Exchange) -> Reply | None:
        limit = self.config.per_ip
        if limit is None:
            return None
        address = exchange.client_ip
        if ":" in address and address != "unix:":  # which is what the peers on a Unix socket are called
            address = _network(address, self.config.ipv6_prefix)
        return self._enter(exchange, self._by_ip + address, limit)

    def access(self, exchange: Exchange) -> Reply | None:
        """Count the consumer, and the address where it was not yet known that this instance is to."""
        if self.scope.consumer is not None and (refusal := self._enter_address(exchange)) is not None:
            return refusal
        limit = self.config.per_consumer
        who = exchange.consumer or exchange.credential
        if limit is None or who is None:
            return None
        return self._enter(exchange, self._by_consumer + who.id, limit)

    def log(self, exchange: Exchange) -> None:
        """Let go of what the request held, whichever instance counted it."""
        context = exchange.context
        under_way = self._under_way
        for key in context.pop(self.name, ()) if context is not None else ():
            under_way.leave(key)

    def _enter(self, exchange: Exchange, key: str, limit: int) -> Reply | None:
        if not self._under_way.enter(key, limit):
            after = self.config.retry_after
            headers = Headers.of([(b"Retry-After", b"%d" % after)]) if after else None
            return Reply(self.config.error_code, self.config.error_message, headers=headers)
        held = exchange.context.get(self.name, ()) if exchange.context is not None else ()
        exchange.keep(self.name, (*held, key))
        return None


@lru_cache(_REMEMBERED)
def _network(address: str, prefix: int) -> str:
    """Return the network that an IPv6 address is counted as, or the IPv4 address that it stands for."""
    parsed = IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - prefix):x}/{prefix}"
