"""rate-limiting: so many requests in a second, minute, hour, day, month or year, and not one more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.bases.limits import ledger, whom
from proxyd.bases.limits.fields import Fields, Style
from proxyd.bases.limits.limiter import Limiter, with_room
from proxyd.bases.limits.periods import Periods
from proxyd.exchange import Reply
from proxyd.store.counters import CountersAway
from proxyd.store.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.bases.limits.whom import Whom
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.store.counters import Window
    from proxyd.store.redis import RedisCounters

LEAST_SYNC_RATE = 0.02  # Kong's


class Config(ledger.Config, Periods):
    """Settings of rate-limiting (Kong's ``kong/plugins/rate-limiting/schema.lua``)."""

    limit_by: Literal["consumer", "credential", "ip", "service", "header", "path"] = "consumer"
    """What is counted for itself; where a request does not have it, its client's address is."""
    header_name: str | None = Field(None, pattern=plugin.HEADER_NAME)
    """Header counted by, with limit_by: header."""
    path: str | None = Field(None, pattern=r"^/")
    """Path counted by, with limit_by: path."""
    window_type: Literal["fixed", "sliding"] = "fixed"
    """Whether windows begin with the calendar's, as in Kong, or the last one counts in part; not Kong's."""
    counts: Literal["requests", "cost"] = "requests"
    """Whether each request counts as one, or as what the plugin graphql says that it costs, one at least; not Kong's."""
    header_style: Style = "kong"
    """Which fields tell them: Kong's, ``RateLimit`` and ``RateLimit-Policy`` of the IETF's draft, or both; not Kong's."""
    error_code: int = Field(429, ge=200, le=599)
    """Status of a refusal."""
    error_message: str = Field("API rate limit exceeded", min_length=1)
    """Message of a refusal."""
    sync_rate: float = -1
    """Accepted for Kong's sake, with policy: redis: counts are always exact."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.limit_by == "header" and self.header_name is None:
            raise ValueError("limit_by: header needs header_name")
        if self.limit_by == "path" and self.path is None:
            raise ValueError("limit_by: path needs path")
        if self.sync_rate != -1:
            if self.policy != "redis":
                raise ValueError("sync_rate is for policy: redis")
            if self.sync_rate < LEAST_SYNC_RATE:
                raise ValueError(f"sync_rate is {LEAST_SYNC_RATE} at least, or -1")
        return self


class RateLimiting(plugin.Plugin[Config]):
    """Refuses requests beyond a limit; checking and counting are one step, so that exactly the limit passes."""

    name = "rate-limiting"
    priority = 910
    answers = (
        ("error_code", "a limit is used up; Retry-After says for how many seconds"),
        (500, "counters are away, unless fault_tolerant"),
    )

    def prepare(self) -> None:
        """Write what the counters know the limits by, and decide whom they count."""
        config = self.config
        limits = config.limits()
        self._ledger = ledger.Ledger(self.kit, config)
        self._limiter = Limiter(
            Windows(limits, sliding=config.window_type == "sliding"),
            Fields(tuple(limits), config.header_style) if not config.hide_client_headers else None,
            f"rl:{self.scope.route or ''}:{self.scope.service or ''}:{config.limit_by}:".encode(),
            self._counted_by(config),
            self._ledger.take,
            self.kit.clock.time,
            code=config.error_code,
            message=config.error_message,
            by_cost=config.counts == "cost",
        )
        self.direct = {"header_filter": self._limiter.header_filter}
        if config.policy == "local":
            self.direct["access"] = self._limiter.access

    async def start(self) -> None:
        """Begin to use Redis, where that is the policy."""
        self._ledger.start()

    async def stop(self) -> None:
        """Let go of it."""
        await self._ledger.stop()

    @staticmethod
    def _counted_by(config: Config) -> Whom:
        if config.header_name is not None and config.limit_by == "header":
            return whom.by_header(config.header_name)
        if config.path is not None and config.limit_by == "path":
            return whom.by_path(config.path)
        return {
            "consumer": whom.by_consumer,
            "credential": whom.by_credential,
            "service": whom.by_service,
        }.get(config.limit_by, whom.by_address)

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Count the request, or refuse it; waits for Redis only."""
        limiter, redis = self._limiter, self._ledger.there
        if redis is None:
            return limiter.access(exchange)
        windows, amount = limiter.windows(), limiter.amount(exchange)
        if amount > 1:
            refusal = limiter.beyond(exchange, windows, amount)
            if refusal is not None:
                return refusal
            windows = with_room(windows, amount)
        return self._ask(exchange, redis, limiter.key(exchange), windows, amount)

    async def _ask(
        self, exchange: Exchange, redis: RedisCounters, key: bytes, windows: tuple[Window, ...], amount: int
    ) -> Reply | None:
        try:
            windows, taken, now = await self._ledger.ask(redis, key, windows, amount)
        except CountersAway:
            return Reply(500)
        return self._limiter.decide(exchange, windows, taken, now, amount)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Tell the client its limits."""
        self._limiter.header_filter(exchange, status, headers)
