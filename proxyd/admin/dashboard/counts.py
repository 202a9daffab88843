"""What happened between two observations, and between any two moments that are kept: counts, and percentiles out of them.

Histograms are kept as they were counted, by the fine edges of ``telemetry.histogram``, so that those of many seconds or
routes can be added, and a percentile of the sum is that of all their requests. Percentiles themselves are never averaged.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from proxyd.telemetry.histogram import FINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxyd.telemetry.meter import RouteMeter

CLASSES: Final = ("ok", "limited", "client", "server")  # answers: up to 399, 429, other 4xx, 5xx
_LIMITED: Final = 429


def class_of(status: int) -> int:
    """Return the place in CLASSES of a status."""
    if status < 400:  # noqa: PLR2004  # RFC 9110 section 15
        return 0
    if status == _LIMITED:
        return 1
    return 2 if status < 500 else 3  # noqa: PLR2004


def quantile(counts: Mapping[int, float], share: float) -> float | None:
    """Return the value that a share of requests does not exceed, in seconds; None where there are none.

    Within a bucket, requests are taken to be spread evenly, as Prometheus does it; beyond the last edge, it is that edge.
    """
    total = sum(counts.values())
    if total <= 0:
        return None
    rank = share * total
    before = 0.0
    place = 0
    for place in sorted(counts):
        if counts[place] <= 0:
            continue
        if before + counts[place] >= rank:
            break
        before += counts[place]
    if place >= len(FINE):
        return FINE[-1]
    lower = FINE[place - 1] if place else 0.0
    return lower + (FINE[place] - lower) * min(max((rank - before) / counts[place], 0.0), 1.0)


class Counts:
    """Requests by class, and their latencies: the gateway's ``own`` part and the ``whole``, by place in FINE."""

    __slots__ = ("classes", "own", "whole")

    def __init__(self) -> None:
        self.classes = [0] * len(CLASSES)
        self.own: dict[int, int] = {}
        self.whole: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Counts {dict(zip(CLASSES, self.classes, strict=True))}>"

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(self.classes)

    def add(self, other: Counts) -> None:
        """Add others."""
        self.classes = [mine + more for mine, more in zip(self.classes, other.classes, strict=True)]
        _merge(self.own, other.own.items())
        _merge(self.whole, other.whole.items())

    def packed(self) -> array[int]:
        """Return them in little memory: classes, how many places ``own`` has, its places and counts, those of ``whole``."""
        flat = array("I", self.classes)
        flat.append(len(self.own))
        for counts in (self.own, self.whole):
            for place, count in counts.items():
                flat.append(place)
                flat.append(count)
        return flat

    def add_packed(self, flat: Sequence[int]) -> None:
        """Add what was packed."""
        first = len(CLASSES) + 1
        middle = first + 2 * flat[first - 1]
        self.classes = [mine + more for mine, more in zip(self.classes, flat, strict=False)]
        _merge(self.own, zip(flat[first:middle:2], flat[first + 1 : middle : 2], strict=True))
        _merge(self.whole, zip(flat[middle::2], flat[middle + 1 :: 2], strict=True))


def _merge(counts: dict[int, int], others: Iterable[tuple[int, int]]) -> None:
    for place, count in others:
        counts[place] = counts.get(place, 0) + count


class _Before:
    """What a meter had counted."""

    __slots__ = ("classes", "failures", "own", "total", "whole")

    def __init__(self) -> None:
        self.total = 0
        self.failures: dict[str, int] = {}
        self.classes = [0] * len(CLASSES)
        self.own = [0] * (len(FINE) + 1)
        self.whole = self.own


class Differences:
    """What each meter has counted since it was asked about last."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], _Before] = {}

    def __repr__(self) -> str:
        return f"<Differences meters={len(self._before)}>"

    def of(self, meter: RouteMeter) -> tuple[Counts, dict[str, int]] | None:
        """Return it, and failures by kind; None for nothing. A meter that has begun anew counts from nothing."""
        key = (meter.route, meter.service)
        total = meter.total()
        before = self._before.get(key)
        if before is None or total < before.total:
            before = self._before[key] = _Before()
        if total == before.total:
            return None
        counts = Counts()
        classes = [0] * len(CLASSES)
        for codes in meter.requests.values():
            for status, count in codes.items():
                classes[class_of(status)] += count
        own, whole = list(meter.own.counts), list(meter.whole.counts)
        counts.classes = [max(now - then, 0) for now, then in zip(classes, before.classes, strict=True)]
        counts.own = _more(own, before.own)
        counts.whole = _more(whole, before.whole)
        failures: dict[str, int] = {}
        for (kind, _), count in meter.failures.items():
            failures[kind] = failures.get(kind, 0) + count
        then = before.failures
        more = {
            kind: count - then.get(kind, 0) for kind, count in failures.items() if count > then.get(kind, 0)
        }
        before.total, before.classes, before.own, before.whole = total, classes, own, whole
        before.failures = failures
        return counts, more

    def retain(self, meters: Sequence[RouteMeter]) -> None:
        """Forget meters that are no more, once there are some."""
        if len(self._before) > len(meters):
            there = {(meter.route, meter.service) for meter in meters}
            self._before = {key: one for key, one in self._before.items() if key in there}


def _more(now: list[int], then: list[int]) -> dict[int, int]:
    if now == then:
        return {}
    return {
        place: count - before
        for place, (count, before) in enumerate(zip(now, then, strict=True))
        if count > before
    }
