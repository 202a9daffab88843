"""What rate-limiting does with every request: it is counted, and refused or let pass, and its answer tells the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.store.counters import CountersAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.bases.limits.fields import Fields
    from proxyd.bases.limits.ledger import Take
    from proxyd.bases.limits.whom import Whom
    from proxyd.exchange import Exchange
    from proxyd.http1.headers import Block
    from proxyd.store.counters import Taken, Window
    from proxyd.store.windows import Windows

_NAME: Final = "rate-limiting"  # under which the fields wait for the answer


class Limiter:
    """Counts for whom ``whom`` says, by keys that begin with ``prefix``; no ``fields`` where clients are told nothing.

    A refusal has the status ``code`` and says ``message``; ``by_cost`` counts GraphQL requests by what they cost. ``take`` counts at once, ``time`` gives seconds since the epoch.
    """

    def __init__(
        self,
        windows: Windows,
        fields: Fields | None,
        prefix: bytes,
        whom: Whom,
        take: Take,
        time: Callable[[], float],
        *,
        code: int,
        message: str,
        by_cost: bool,
    ) -> None:
        self._windows = windows
        self._fields = fields
        self._prefix = prefix
        self._whom = whom
        self._take = take
        self._time = time
        self._code = code
        self._message = message
        self._by_cost = by_cost

    def __repr__(self) -> str:
        return f"<Limiter {self._prefix.decode()}>"

    def access(self, exchange: Exchange) -> Reply | None:
        """Count the request, or refuse it."""
        now = self._time()
        windows = self._windows.at(now)
        amount = 1
        if self._by_cost:
            amount = self.amount(exchange)
            if amount > 1:
                refusal = self.beyond(exchange, windows, amount)
                if refusal is not None:
                    return refusal
                windows = with_room(windows, amount)
        try:
            taken = self._take(self.key(exchange), windows, now, amount)
        except CountersAway:
            return Reply(500)
        return self.decide(exchange, windows, taken, now, amount)

    def amount(self, exchange: Exchange) -> int:
        """Return what a request counts as."""
        graphql = exchange.graphql
        return graphql.cost if self._by_cost and graphql is not None and graphql.cost > 1 else 1

    def beyond(self, exchange: Exchange, windows: tuple[Window, ...], amount: int) -> Reply | None:
        """Refuse what would not pass in an unused window either; nothing is counted, and there is no time to come again."""
        least = min(window.limit for window in windows)
        if amount <= least:
            return None
        exchange.refusal = f"rate-limiting: it costs {amount}, and the limit is {least}"
        message = f"{self._message}: the request costs {amount}, which is more than the limit of {least}"
        return Reply(self._code, message)

    def key(self, exchange: Exchange) -> bytes:
        """Return what a request is counted under."""
        return self._prefix + self._whom(exchange)

    def windows(self) -> tuple[Window, ...]:
        """Return the windows that now lies in."""
        return self._windows.at(self._time())

    def decide(
        self, exchange: Exchange, windows: tuple[Window, ...], taken: Taken, now: float, amount: int
    ) -> Reply | None:
        """Let pass what was counted, or refuse what was not."""
        if self._fields is not None:
            told = windows
            if amount > 1:  # the limits as they are, and no longer less what this request needs
                told = tuple([window._replace(limit=window.limit + amount - 1) for window in windows])
            exchange.keep(_NAME, self._fields.block(told, taken, now, amount))
        if taken[0]:
            return None
        headers = None
        if self._fields is not None:
            again = max(
                window.retry_after(count, before, now)
                for window, (count, before) in zip(windows, taken[1], strict=True)
                if window.used(count, before, now) >= window.limit
            )
            headers = Headers.of([(b"Retry-After", b"%d" % again)])
        return Reply(self._code, self._message, headers=headers)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Tell the client its limits."""
        del status
        context = exchange.context
        if context is not None:
            block: Block | None = context.get(_NAME)
            if block is not None:
                headers.put(block)


def with_room(windows: tuple[Window, ...], amount: int) -> tuple[Window, ...]:
    """Return windows that are full where an amount would go beyond their limits."""
    return tuple([window.with_room(amount) for window in windows])
