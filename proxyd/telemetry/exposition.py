"""The text of ``/metrics``: prometheus_client's exposition, written piece by piece between requests."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from proxyd.telemetry import kong
from proxyd.telemetry.families import Piece, pieces
from proxyd.telemetry.sums import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from proxyd.telemetry.fleet import Fleet
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource

_EOF = b"# EOF\n"  # ends an OpenMetrics text
MASTER = "master"  # in place of the number of a slot


class Exposition:
    """Writes every metric. ``registry`` holds those of the process, and what others register there.

    ``own`` are families that no worker of several has.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        source: StatusSource,
        own: Callable[[], Iterable[Metric]] = lambda: (),
    ) -> None:
        self.registry = process_registry()
        self._telemetry = telemetry
        self._source = source
        self._own = own

    def __repr__(self) -> str:
        return f"<Exposition of {self._telemetry!r}>"

    async def write(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its Content-Type, in the format that an Accept header prefers."""
        sources = self._telemetry, self._source
        parts = chain(_whole(self.registry), pieces(*sources), kong.pieces(*sources), map(Piece, self._own()))
        return await _write(parts, accept)


class FleetExposition:
    """Writes the metrics of several workers, and of their master.

    ``ask`` returns when every worker that answers has written down its figures; ``own`` are the master's families, and
    ``kongs`` those of Kong's that are the master's, told where the others of the node are.
    """

    def __init__(
        self,
        fleet: Fleet,
        ask: Callable[[], Awaitable[None]],
        own: Callable[[], Iterable[Metric]],
        kongs: Callable[[], Iterable[Metric]] = lambda: (),
    ) -> None:
        self._fleet = fleet
        self._ask = ask
        self._own = own
        self._kongs = kongs
        self._registry = process_registry()

    def __repr__(self) -> str:
        return f"<FleetExposition of {self._fleet!r}>"

    async def write(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its Content-Type, in the format that an Accept header prefers."""
        await self._ask()
        total = await self._fleet.total()
        total.sums.add((plain(metric) for metric in self._registry.collect()), MASTER)
        kongs = self._kongs() if kong.NODE in total.sums.families else ()
        return await _write(chain(total.pieces(), map(Piece, chain(kongs, self._own()))), accept)


def process_registry() -> CollectorRegistry:
    """Return a registry that tells of this process: its memory, files and time, and its garbage collector."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _whole(registry: CollectorRegistry) -> Iterable[Piece]:
    return (Piece(metric) for metric in registry.collect())


async def _write(parts: Iterable[Piece], accept: str) -> tuple[bytes, str]:
    encode, content_type = choose_encoder(accept)
    text: list[bytes] = []
    ended = False
    for metric, continued in parts:
        part = encode(_Only(metric))
        ended = part.endswith(_EOF)
        part = part.removesuffix(_EOF)
        if isinstance(metric, kong.BareCounter):
            part = part.replace(b" untyped\n", b" counter\n", 1)
        while continued and part.startswith(b"# "):
            part = part.partition(b"\n")[2]
        text.append(part)
        await asyncio.sleep(0)
    if ended:
        text.append(_EOF)
    return b"".join(text), content_type


class _Only(Collector):
    """A registry of one family."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
