"""rate-limiting: so many requests in a second, minute, hour, day, month or year, and not one more."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.store.windows import PERIODS, Windows

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.store.counters import Taken, Window

Limit = Field(None, gt=0)


class Config(plugin.Config):
    """Settings of rate-limiting (Kong's ``kong/plugins/rate-limiting/schema.lua``)."""

    second: int | None = Limit
    """Requests in a second."""
    minute: int | None = Limit
    """Requests in a minute."""
    hour: int | None = Limit
    """Requests in an hour."""
    day: int | None = Limit
    """Requests in a day, which begins at midnight UTC."""
    month: int | None = Limit
    """Requests in a calendar month."""
    year: int | None = Limit
    """Requests in a calendar year."""
    limit_by: Literal["consumer", "credential", "ip", "service", "header", "path"] = "consumer"
    """What is counted for itself; where a request does not have it, its client's address is."""
    header_name: str | None = Field(None, pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")
    """Header counted by, with limit_by: header."""
    path: str | None = Field(None, pattern=r"^/")
    """Path counted by, with limit_by: path."""
    policy: Literal["local"] = "local"
    """Where counts are kept: in this machine's memory. Kong's redis is not there yet."""
    window_type: Literal["fixed", "sliding"] = "fixed"
    """Whether windows begin with the calendar's, as in Kong, or the last one counts in part; not Kong's."""
    fault_tolerant: bool = True
    """Accepted for Kong's sake: memory does not fail."""
    hide_client_headers: bool = False
    """Whether the client is not told its limits."""
    error_code: int = Field(429, ge=400, le=599)
    """Status of a refusal."""
    error_message: str = Field("API rate limit exceeded", min_length=1)
    """Message of a refusal."""
    sync_rate: float = -1
    """Accepted for Kong's sake: counts are always exact."""

    @model_validator(mode="after")
    def _limits(self) -> Self:
        limits = self.limits()
        if not limits:
            raise ValueError(f"at least one of {', '.join(PERIODS)} is needed")
        for (shorter, less), (longer, more) in pairwise(limits.items()):
            if more < less:
                raise ValueError(f"the limit for {longer} is lower than the one for {shorter}")
        if self.limit_by == "header" and self.header_name is None:
            raise ValueError("limit_by: header needs header_name")
        if self.limit_by == "path" and self.path is None:
            raise ValueError("limit_by: path needs path")
        return self

    def limits(self) -> dict[str, int]:
        """Return the limits that were given, by period, the shortest first."""
        return {name: getattr(self, name) for name in PERIODS if getattr(self, name) is not None}


class RateLimiting(plugin.Plugin[Config]):
    """Refuses requests beyond a limit; checking and counting are one step, so that exactly the limit passes."""

    name = "rate-limiting"
    priority = 910
    answers = (("error_code", "a limit is used up; Retry-After says for how many seconds"),)

    def prepare(self) -> None:
        """Write the names of the limits and what the counters know them by."""
        config = self.config
        limits = config.limits()
        self._windows = Windows(limits, sliding=config.window_type == "sliding")
        self._names = [
            (
                b"X-RateLimit-Limit-%b" % name.title().encode(),
                b"X-RateLimit-Remaining-%b" % name.title().encode(),
            )
            for name in limits
        ]
        self._prefix = f"rl:{self.scope.route or ''}:{self.scope.service or ''}:{config.limit_by}:".encode()
        self._header = (config.header_name or "").lower().encode()

    def access(self, exchange: Exchange) -> Reply | None:
        """Count the request, or refuse it."""
        now = self.kit.clock.time()
        windows = self._windows.at(now)
        taken = self.kit.counters.take(self._prefix + self._identity(exchange), windows)
        if not self.config.hide_client_headers:
            exchange.keep(self.name, self._fields(windows, taken, now))
        if taken.admitted:
            return None
        full = [window for window, used in zip(windows, taken.used, strict=True) if used >= window.limit]
        again = max(_left(window, now) for window in full)
        headers = (
            Headers() if self.config.hide_client_headers else Headers.of([(b"Retry-After", b"%d" % again)])
        )
        return Reply(self.config.error_code, self.config.error_message, headers=headers)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Tell the client its limits."""
        del status
        if exchange.context is not None:
            for name, value in exchange.context.get(self.name, ()):
                headers.set(name, value)

    def _identity(self, exchange: Exchange) -> bytes:
        by = self.config.limit_by
        found: str | bytes | None = None
        if by == "consumer":
            who = exchange.consumer or exchange.credential
            found = who.id if who is not None else None
        elif by == "credential":
            found = exchange.credential.id if exchange.credential is not None else None
        elif by == "service":
            found = exchange.service.id if exchange.service is not None else None
        elif by == "header":
            found = exchange.headers.get(self._header)
        elif by == "path" and exchange.request.path == self.config.path:
            found = exchange.request.path
        if not found:
            return b"ip:" + exchange.client_ip.encode()
        return b"id:" + (found if isinstance(found, bytes) else found.encode())

    def _fields(self, windows: tuple[Window, ...], taken: Taken, now: float) -> list[tuple[bytes, bytes]]:
        fields: list[tuple[bytes, bytes]] = []
        tightest: tuple[int, int, Window] | None = None
        for (limit, remaining), window, used in zip(self._names, windows, taken.used, strict=True):
            left = max(0, window.limit - used - taken.admitted)
            fields += (limit, b"%d" % window.limit), (remaining, b"%d" % left)
            # Of windows with as much left, the longer one holds the client back for longer.
            if tightest is None or left <= tightest[0]:
                tightest = left, window.limit, window
        if tightest is not None:
            left, most, window = tightest
            fields += (b"RateLimit-Limit", b"%d" % most), (b"RateLimit-Remaining", b"%d" % left)
            fields.append((b"RateLimit-Reset", b"%d" % _left(window, now)))
        return fields


def _left(window: Window, now: float) -> int:
    """Return the seconds until a window is over, 1 at least."""
    return max(1, -int(now - window.end))
