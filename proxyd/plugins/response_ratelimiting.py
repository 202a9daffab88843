"""response-ratelimiting: upstreams say in their answers what a request has cost, of limits that have names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from proxyd import plugin
from proxyd.bases.limits import ledger, whom
from proxyd.bases.limits.periods import Periods
from proxyd.exchange import Reply
from proxyd.store.counters import CountersAway
from proxyd.store.windows import Windows
from proxyd.transform.rules import Changeable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Headers
    from proxyd.store.counters import Counts, Taken, Window
    from proxyd.store.redis import RedisCounters

MAX_COST = 10**9  # that one answer may name


class Config(ledger.Config):
    """Settings of response-ratelimiting (Kong's ``kong/plugins/response-ratelimiting/schema.lua``)."""

    limits: dict[Annotated[str, Field(pattern=plugin.HEADER_NAME)], Periods] = Field(min_length=1)
    """Limits by name, and of each by period; answers name what was used: ``X-Kong-Limit: videos=1, images=2``."""
    header_name: Annotated[str, Changeable] = Field("x-kong-limit", pattern=plugin.HEADER_NAME)
    """Header in which upstreams tell it; clients do not get to see it."""
    limit_by: Literal["consumer", "credential", "ip"] = "consumer"
    """What is counted for itself; where a request does not have it, its client's address is."""
    block_on_first_violation: bool = False
    """Whether a request is refused beforehand as soon as any of the limits is used up."""


class Limit(NamedTuple):
    """One of the limits, ready to be counted: ``fields`` are its windows' header names, with limit and remaining."""

    name: str
    prefix: bytes
    windows: Windows
    upstream: bytes
    fields: tuple[tuple[bytes, bytes], ...]


class State:
    """What is known of an exchange: who it is counted for, of each limit the counts, and the lines to tell."""

    __slots__ = ("counts", "lines", "now", "redis", "who", "windows")

    def __init__(self, who: bytes, now: float) -> None:
        self.who = who
        self.now = now
        self.redis: RedisCounters | None = None
        self.windows: list[tuple[Window, ...]] = []
        self.counts: list[Taken] = []
        self.lines: list[tuple[bytes, bytes]] | None = None


class ResponseRatelimiting(plugin.Plugin[Config]):
    """Counts what upstreams say that a request has cost; an answer that costs of what is used up is held back.

    What an answer costs is known when it comes, so the last one may go beyond the limit.
    """

    name = "response-ratelimiting"
    priority = 900
    answers = (
        (429, "what the answer costs is used up; or any limit is, with block_on_first_violation"),
        (500, "counters are away, unless fault_tolerant"),
    )

    def prepare(self) -> None:
        """Write the names of the fields, and what the counters know the limits by."""
        config = self.config
        scope = f"{self.scope.route or ''}:{self.scope.service or ''}:{config.limit_by}"
        self._limits = tuple(
            Limit(
                name,
                f"rr:{scope}:{name}:".encode(),
                Windows(periods.limits()),
                f"X-RateLimit-Remaining-{name}".encode(),
                tuple(
                    (
                        f"X-RateLimit-Limit-{name}-{period}".encode(),
                        f"X-RateLimit-Remaining-{name}-{period}".encode(),
                    )
                    for period in periods.limits()
                ),
            )
            for name, periods in config.limits.items()
        )
        self._header = config.header_name.lower().encode()
        ways = {"consumer": whom.by_consumer, "credential": whom.by_credential}
        self._whom = ways.get(config.limit_by, whom.by_address)
        self._ledger = ledger.Ledger(self.kit, config)

    async def start(self) -> None:
        """Begin to use Redis, where that is the policy."""
        self._ledger.start()

    async def stop(self) -> None:
        """Let go of it."""
        await self._ledger.stop()

    # --- before ----------------------------------------------------------------------------------------------

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Look at what is used, and tell the upstream what is left; waits for Redis only."""
        state = State(self._whom(exchange), self.kit.clock.time())
        state.windows = [limit.windows.at(state.now) for limit in self._limits]
        redis = self._ledger.there
        if redis is not None:
            return self._ask(exchange, redis, state)
        try:
            for limit, windows in zip(self._limits, state.windows, strict=True):
                state.counts.append(self._ledger.take(limit.prefix + state.who, windows, state.now, 0))
        except CountersAway:
            return Reply(500)
        return self._decide(exchange, state)

    async def _ask(self, exchange: Exchange, redis: RedisCounters, state: State) -> Reply | None:
        state.redis = redis
        asked = [
            self._ledger.ask(redis, limit.prefix + state.who, windows, 0)
            for limit, windows in zip(self._limits, state.windows, strict=True)
        ]
        try:
            answers = await asyncio.gather(*asked)
        except CountersAway:
            return Reply(500)
        state.windows = [windows for windows, _, _ in answers]
        state.counts = [taken for _, taken, _ in answers]
        return self._decide(exchange, state)

    def _decide(self, exchange: Exchange, state: State) -> Reply | None:
        for limit, windows, (_, counts) in zip(self._limits, state.windows, state.counts, strict=True):
            left = min(_left(windows, counts))
            if left <= 0 and self.config.block_on_first_violation:
                return Reply(429, f"API rate limit exceeded for '{limit.name}'")
            exchange.headers.set(limit.upstream, b"%d" % max(0, left))
        exchange.keep(self.name, state)
        return None

    # --- behind ----------------------------------------------------------------------------------------------

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """Count what the answer has cost, hold it back where that is used up, and tell the client what is left."""
        del status
        costs = _costs(headers.get(self._header), self.config.limits)
        headers.remove(self._header)
        state: State | None = exchange.context.get(self.name) if exchange.context is not None else None
        if state is None:
            return None
        refusal = None
        if state.lines is None:
            try:
                refusal = self._count(state, costs)
            except CountersAway:
                refusal = Reply(500)
        for name, value in state.lines or ():
            headers.set(name, value)
        return refusal

    def _count(self, state: State, costs: Mapping[str, int]) -> Reply | None:
        state.lines = []
        refused = False
        for place, limit in enumerate(self._limits):
            cost = costs.get(limit.name, 0)
            windows, taken = state.windows[place], state.counts[place]
            if cost:
                taken = self._take(state, limit, windows, taken, cost)
                refused = refused or not taken[0]
            if self.config.hide_client_headers:
                continue
            spent = cost if taken[0] else 0
            for (total, remaining), window, left in zip(
                limit.fields, windows, _left(windows, taken[1]), strict=True
            ):
                state.lines += (total, b"%d" % window.limit), (remaining, b"%d" % max(0, left - spent))
        return Reply(429, body=b"") if refused else None

    def _take(self, state: State, limit: Limit, windows: tuple[Window, ...], seen: Taken, cost: int) -> Taken:
        """Count a cost, unless the limit is used up: on this machine by what is so now, in Redis by what was before."""
        key = limit.prefix + state.who
        if state.redis is None or state.redis.away:
            return self._ledger.take(key, windows, self.kit.clock.time(), cost)
        if seen[0]:
            state.redis.add(key, windows, cost)
        return seen


def _left(windows: tuple[Window, ...], counts: Counts) -> list[int]:
    return [window.limit - count for window, (count, _) in zip(windows, counts, strict=True)]


def _costs(value: bytes | None, limits: Mapping[str, Periods]) -> dict[str, int]:
    """Return what an answer says that it has cost, by limit; none of what is no limit, or no number."""
    costs: dict[str, int] = {}
    for part in value.decode("latin-1").split(",") if value else ():
        name, _, amount = part.partition("=")
        name, amount = name.strip(), amount.strip()
        if name in limits and amount.isascii() and amount.isdigit():
            costs[name] = min(int(amount[:10]), MAX_COST)
    return costs
