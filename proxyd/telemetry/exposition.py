"""The text of ``/metrics``: prometheus_client's exposition, written piece by piece between requests."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from proxyd.telemetry import kong
from proxyd.telemetry.families import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource

_EOF = b"# EOF\n"  # ends an OpenMetrics text


class Exposition:
    """Writes every metric. ``registry`` holds those of the process, and what others register there."""

    def __init__(self, telemetry: Telemetry, source: StatusSource) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._telemetry = telemetry
        self._source = source

    def __repr__(self) -> str:
        return f"<Exposition of {self._telemetry!r}>"

    async def write(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its Content-Type, in the format that an Accept header prefers."""
        encode, content_type = choose_encoder(accept)
        ended = encode(self.registry)
        text = [ended.removesuffix(_EOF)]
        sources = self._telemetry, self._source
        for metric, continued in chain(pieces(*sources), kong.pieces(*sources)):
            part = encode(_Only(metric)).removesuffix(_EOF)
            if isinstance(metric, kong.BareCounter):
                part = part.replace(b" untyped\n", b" counter\n", 1)
            while continued and part.startswith(b"# "):
                part = part.partition(b"\n")[2]
            text.append(part)
            await asyncio.sleep(0)
        if ended.endswith(_EOF):
            text.append(_EOF)
        return b"".join(text), content_type


class _Only(Collector):
    """A registry of one family."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)
