"""The documents that the dashboard draws: the gateway now, and its figures over time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from proxyd import __version__
from proxyd.admin.dashboard.counts import CLASSES, Counts
from proxyd.admin.dashboard.observed import Standing
from proxyd.admin.dashboard.rings import COLUMNS, SCALES, Moment, percentiles, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.admin.dashboard.rings import Kept, Ring
    from proxyd.admin.dashboard.sampler import Sampler
    from proxyd.telemetry.source import ConfigState, DatabaseState

RECENT: Final = 10  # seconds that "now" is
TOP: Final = 50  # rows of a table
SLICE: Final = 20  # places added up without a pause

# Which ring the tables of a range are added up from: places of it, so that a table is soon made.
_TABLES: Final = {"5m": ("1h", 30), "1h": ("24h", 60), "24h": ("24h", 1440)}


class Tables:
    """Routes, consumers and failures over a range, added up anew when a place of their ring is over."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._made: dict[str, tuple[int, Moment]] = {}

    def __repr__(self) -> str:
        return f"<Tables {list(self._made)}>"

    async def over(self, name: str) -> Moment:
        """Return everything of a range, what is not over yet included."""
        ring_name, places = _TABLES[name]
        ring = self._sampler.rings[ring_name]
        end = ring.end(self._sampler.at)
        made = self._made.get(name)
        if made is None or made[0] != end:
            made = self._made[name] = (end, await added(ring.window(end, places)))
        whole = Moment()
        whole.add(made[1])
        whole.add(ring.open)
        return whole


async def added(kept: Iterable[Kept | None]) -> Moment:
    """Return the sum of what is kept, each once; requests get through in between."""
    whole = Moment()
    before = None
    for number, one in enumerate(list(kept)):
        if not (number + 1) % SLICE:
            await asyncio.sleep(0)
        if one is None or one is before:
            continue
        before = one
        whole.seconds += one.seconds
        whole.total.add_packed(one.total)
        for name, flat in one.routes.items():
            whole.routes.setdefault(name, Counts()).add_packed(flat)
        whole.add_named(one.consumers, one.failures)
    return whole


def series(ring: Ring, now: float, budget: tuple[float, float]) -> dict[str, Any]:
    """Return a ring's columns, oldest first; a place without a sample is null in all of them."""
    end = ring.end(now)
    kept = list(ring.window(end))
    names = sorted({name for one in kept if one is not None for name in one.workers})
    return {
        **_times(ring, end),
        "budget": budget,
        "columns": {
            name: [None if one is None else one.row[at] for one in kept] for at, name in enumerate(COLUMNS)
        },
        "workers": {
            name: {
                measure: [None if one is None else one.workers.get(name, _NOBODY)[at] for one in kept]
                for at, measure in enumerate(("cpu", "lag", "memory"))
            }
            for name in names
        },
    }


_NOBODY: Final = (None, None, None)


async def series_of_route(ring: Ring, now: float, budget: tuple[float, float], route: str) -> dict[str, Any]:
    """Return the columns of one route; where it had no requests, its rates are 0, and null where that is not known."""
    end = ring.end(now)
    width = COLUMNS.index("websockets")
    rows: list[tuple[float | None, ...]] = []
    for number, one in enumerate(list(ring.window(end))):
        if not (number + 1) % SLICE:
            await asyncio.sleep(0)
        counts = Counts()
        if one is None or (route not in one.routes and len(one.routes) >= ring.scale.busiest):
            rows.append((None,) * width)  # it was not seen, or not among those that were kept
            continue
        if route in one.routes:
            counts.add_packed(one.routes[route])
        rows.append(row_of(counts, one.seconds))
    return {
        **_times(ring, end),
        "route": route,
        "budget": budget,
        "columns": {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS[:width])},
    }


def _times(ring: Ring, end: int) -> dict[str, Any]:
    scale = ring.scale
    return {"step": scale.step, "points": scale.places, "end": end * scale.step}


async def overview(
    sampler: Sampler, tables: Tables, name: str, config: ConfigState, database: DatabaseState | None = None
) -> dict[str, Any]:
    """Return how the gateway is now, and who asked for what over a range."""
    seen = sampler.latest
    fine = sampler.rings["5m"]
    recent = await added(fine.window(fine.end(sampler.at), RECENT))
    whole = await tables.over(name)
    standing = seen.standing() if seen is not None else Standing()
    return {
        "at": sampler.at,
        "range": name,
        "ranges": {key: scale.step * scale.places for key, scale in SCALES.items()},
        "version": __version__,
        "started_at": seen.started_at if seen else None,
        "budget": seen.budget if seen else None,
        "now": _now(recent),
        "connections": dict(seen.connections) if seen else {},
        "routes": _routes(whole),
        "consumers": _consumers(whole),
        "consumers_counted": bool(seen and any(tally.consumer for tally in seen.tallies)),
        "failures": whole.failures,
        "limited": whole.total.classes[CLASSES.index("limited")],
        "requests": whole.total.requests,
        "seconds": round(whole.seconds, 3),
        "workers": _workers(sampler),
        "restarts": dict(seen.restarts) if seen else {},
        "upstreams": list(standing.upstreams),
        "resilience": list(standing.protections),
        "overload": standing.overload,
        "stores": [
            *({"kind": "redis", "name": place, "up": up} for place, up in standing.redis.items()),
            *([_database(database)] if database is not None else ()),
        ],
        "certificates": sorted(standing.certificates, key=lambda one: one["not_after"]),
        "config": {
            "generation": config.generation,
            "digest": config.digest,
            "last_attempt": config.last_attempt or None,
            "last_success": config.last_success or None,
            "success": config.last_succeeded,
            "problems": list(config.problems),
        },
    }


def _database(state: DatabaseState) -> dict[str, Any]:
    return {
        "kind": "database",
        "name": "database",
        "up": state.reachable,
        "since": state.since or None,
        "error": state.error or None,
        "revision": state.revision,
        "applied": state.applied,
    }


def _now(recent: Moment) -> dict[str, Any] | None:
    if not recent.seconds:
        return None
    row = row_of(recent.total, recent.seconds)
    return {"seconds": round(recent.seconds, 3), **dict(zip(COLUMNS, row, strict=False))}


def _routes(whole: Moment) -> list[dict[str, Any]]:
    seconds = whole.seconds or 1.0
    busiest = sorted(whole.routes.items(), key=lambda one: -one[1].requests)[:TOP]
    return [
        {
            "route": name or None,
            "requests": counts.requests,
            "rate": round(counts.requests / seconds, 3),
            **dict(zip(CLASSES[1:], counts.classes[1:], strict=True)),
            "own": percentiles(counts.own),
            "whole": percentiles(counts.whole),
        }
        for name, counts in busiest
    ]


def _consumers(whole: Moment) -> list[dict[str, Any]]:
    seconds = whole.seconds or 1.0
    busiest = sorted(whole.consumers.items(), key=lambda one: -one[1][0])[:TOP]
    return [
        {"consumer": name, "requests": requests, "rate": round(requests / seconds, 3), "failed": failed}
        for name, (requests, failed) in busiest
    ]


def _workers(sampler: Sampler) -> list[dict[str, Any]]:
    if sampler.latest is None:
        return []
    fine = sampler.rings["5m"]
    kept = [one for one in fine.window(fine.end(sampler.at), RECENT) if one is not None]
    rows = []
    for process in sampler.latest.processes:
        told = [one.workers[process.name] for one in kept if process.name in one.workers]
        lags = [lag for _, lag, _ in told if lag is not None]
        rows.append(
            {
                "name": process.name,
                "pid": process.pid,
                "state": process.state,
                "started_at": process.started_at,
                "memory": process.memory,
                "connections": process.connections,
                "cpu": round(sum(cpu for cpu, _, _ in told) / len(told), 4) if told else None,
                "lag": max(lags) if lags else None,
            }
        )
    return rows
