"""How long each plugin takes, by the times at which they begin: only where somebody asks for it.

A stamp stands before each plugin of a phase and behind the last one, as one more step of the pipeline, so that what a
plugin waits for counts as its own. Whose time lies between two of them is worked out when it is told
(``telemetry.spent``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange

    Method = Callable[..., Any]
    Methods = dict[str, list[tuple[str, Method]]]  # phase -> plugins' names and bound methods

_STAMPED = ("rewrite", "access", "header_filter")


def stamped(phases: Methods, now: Callable[[], float]) -> Methods:
    """Return the phases with stamps between the plugins, and with every ``body_filter`` timed."""
    timed = dict(phases)
    for phase in _STAMPED:
        methods = phases[phase]
        if methods:
            make = _answer_stamp if phase == "header_filter" else _stamp
            steps = [((name, make((name, phase), now)), (name, method)) for name, method in methods]
            timed[phase] = [*(step for pair in steps for step in pair), ("", make(None, now))]
    timed["body_filter"] = [(name, _measured(name, method, now)) for name, method in phases["body_filter"]]
    return timed


def _stamp(label: tuple[str, str] | None, now: Callable[[], float]) -> Method:
    def stamp(exchange: Exchange) -> None:
        if exchange.stamps is None:
            exchange.stamps = [(label, now())]
        else:
            exchange.stamps.append((label, now()))

    return stamp


def _answer_stamp(label: tuple[str, str] | None, now: Callable[[], float]) -> Method:
    stamp = _stamp(label, now)
    return lambda exchange, _status, _headers: stamp(exchange)


def _measured(name: str, method: Method, now: Callable[[], float]) -> Method:
    def measured(exchange: Exchange, data: bytes, last: bool) -> bytes:
        begun = now()
        try:
            return method(exchange, data, last)  # type: ignore[no-any-return]
        finally:
            spent = exchange.filtering
            if spent is None:
                spent = exchange.filtering = {}
            spent[name] = spent.get(name, 0.0) + now() - begun

    return measured
