"""Where a request's time went: each plugin's part, out of the stamps that the pipeline has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


def by_plugin(exchange: Exchange, end: float) -> dict[tuple[str, str], float]:
    """Return seconds by plugin and phase; ``end`` is when the last of them was over, should no stamp tell.

    Empty where plugins are not timed. What a plugin waited for is its own, the client's body included.
    """
    spent: dict[tuple[str, str], float] = {}
    running: tuple[str, str] | None = None
    since = 0.0
    for label, at in exchange.stamps or ():
        if running is not None:
            spent[running] = spent.get(running, 0.0) + at - since
        running, since = label, at
    if running is not None:  # it answered, failed, or the client left while it waited
        spent[running] = spent.get(running, 0.0) + max(end - since, 0.0)
    for name, seconds in (exchange.filtering or {}).items():
        spent[name, "body_filter"] = seconds
    return spent


def queued(exchange: Exchange) -> float:
    """Return the seconds from the complete head until the first plugin began, or whatever came of it without one."""
    stamps = exchange.stamps
    begun = stamps[0][1] if stamps else exchange.dialled or exchange.sent or exchange.ended
    return begun - exchange.started
