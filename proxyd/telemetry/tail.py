"""Finished requests for whoever watches: a fair sample, kept until it is fetched. While nobody does, none of it is asked.

A process is told who watches each time that they fetch (``Tail.take``). Of what they have asked for, it keeps a few
exchanges, chosen among all so that each is as likely as another, and counts the rest; lines are the access log's, made
when they are fetched. Nobody fetching for a while is nobody watching.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from proxyd.telemetry.access_line import access_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.telemetry.record import Telemetry

KEPT: Final = 50  # exchanges for one watcher between two fetches: more than anybody reads
WATCHERS: Final = 8  # at a time: each is asked with every request
IDLE: Final = 5.0  # seconds without a fetch after which nobody watches

_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_LONGEST: Final = 256  # characters of a text that is looked for


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests are asked for; what is empty or 0 is not.

    ``route`` and ``consumer`` are names or ids, ``status`` is one (404) or a class (4xx), ``path`` a part of a path without
    regard to case, ``slow`` the milliseconds that a request took at least.
    """

    route: str = ""
    consumer: str = ""
    status: str = ""
    method: str = ""
    path: str = ""
    slow: float = 0.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read a filter out of texts; raises ValueError with the name of a part that is wrong, and why."""
        texts = {
            name: str(values.get(name) or "") for name in ("route", "consumer", "status", "method", "path")
        }
        for name, text in texts.items():
            if len(text) > _LONGEST:
                raise ValueError(name, f"is longer than {_LONGEST} characters")
        status = texts["status"].lower()
        if status and status not in _CLASSES and not (status.isascii() and status.isdigit()):
            raise ValueError("status", "is a status, such as 404, or a class of them, such as 4xx")
        try:
            slow = float(values.get("slow") or 0)
        except ValueError:
            slow = -1.0
        if not 0 <= slow < float("inf"):
            raise ValueError("slow", "is a number of milliseconds")
        texts.update(status=status, method=texts["method"].upper(), path=texts["path"].lower())
        return cls(**texts, slow=slow)

    def accepts(self, exchange: Exchange) -> bool:
        """Whether a finished exchange is asked for."""
        if self.status and not _is_of(exchange.status, self.status):
            return False
        if self.method and exchange.request.method != self.method:
            return False
        if self.path and self.path not in exchange.request.path.lower():
            return False
        if self.slow and (exchange.ended - exchange.started) * 1000 < self.slow:
            return False
        route, consumer = exchange.route, exchange.consumer
        if self.route and (route is None or self.route not in {route.name, route.id}):
            return False
        return not self.consumer or (
            consumer is not None and self.consumer in {consumer.username, consumer.custom_id, consumer.id}
        )


def _is_of(status: int, wanted: str) -> bool:
    return status // 100 == int(wanted[0]) if wanted[1:] == "xx" else str(status) == wanted


class _Watch:
    """What one watcher is to be told: ``seen`` counts what was asked for since it began, ``new`` since the last fetch."""

    __slots__ = ("filter", "kept", "new", "seen")

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.kept: list[Exchange] = []
        self.new = self.seen = 0

    def note(self, exchange: Exchange) -> None:
        if not self.filter.accepts(exchange):
            return
        self.seen += 1
        self.new += 1
        if len(self.kept) < KEPT:
            self.kept.append(exchange)
        elif (place := random.randrange(self.new)) < KEPT:  # noqa: S311  # any choice will do
            self.kept[place] = exchange


class Tail:
    """What one process has for watchers."""

    def __init__(self, telemetry: Telemetry, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._loop = loop
        self._watches: dict[str, _Watch] = {}
        self._end: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Tail watchers={len(self._watches)}>"

    def take(self, filters: Mapping[str, Mapping[str, Any]]) -> bytes:
        """Return what those who watch now, by any name, are to be told, and go on for them, and for nobody else.

        That is JSON: by name, ``seen`` requests since it began to watch, and the ``lines`` of some of those that are new.
        """
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._watches = {
            name: self._watches.get(name) or _Watch(Filter.of(values))
            for name, values in list(filters.items())[:WATCHERS]
        }
        self._telemetry.watch(self._note if self._watches else None)
        if self._watches:
            self._end = self._loop.call_later(IDLE, self.stop)
        wall = self._clock.time() - self._clock.now()
        return orjson.dumps({name: self._told(one, wall) for name, one in self._watches.items()})

    def _told(self, watch: _Watch, wall: float) -> dict[str, Any]:
        kept, watch.kept, watch.new = watch.kept, [], 0
        kept.sort(key=lambda exchange: exchange.started)
        redactor = self._telemetry.redactor
        lines = [orjson.Fragment(access_line(exchange, wall, redactor)) for exchange in kept]
        return {"seen": watch.seen, "lines": lines}

    def _note(self, exchange: Exchange) -> None:
        for watch in self._watches.values():
            watch.note(exchange)

    def stop(self) -> None:
        """Look at requests no longer."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._watches = {}
        self._telemetry.watch(None)
