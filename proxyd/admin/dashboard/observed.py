"""What the dashboard's figures are made of: the gateway as it is at one moment, one process or many."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from proxyd.control.crew import upstreams as upstreams_of_all
from proxyd.control.overload import overload
from proxyd.control.resilience import resilience
from proxyd.control.status import upstreams
from proxyd.telemetry.memory import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proxyd.control.crew import CrewSource
    from proxyd.telemetry.fleet import Total
    from proxyd.telemetry.meter import RouteMeter
    from proxyd.telemetry.record import Telemetry
    from proxyd.telemetry.source import StatusSource
    from proxyd.telemetry.sums import Sums
    from proxyd.telemetry.tally import Tally

_LAG = "proxyd_eventloop_lag_seconds"


@dataclass(frozen=True, slots=True)
class Process:
    """One worker, or the one process: ``name`` is its slot's number.

    ``cpu`` is seconds since the slot was first filled; ``lag`` how late its event loop's timers were, as cumulative counts
    by ``histogram.SECONDS``.
    """

    name: str
    pid: int
    state: str
    started_at: float
    cpu: float
    memory: int | None
    lag: tuple[float, ...]
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How everything around the traffic is now."""

    upstreams: Sequence[dict[str, Any]] = ()
    protections: Sequence[dict[str, Any]] = ()
    overload: dict[str, Any] | None = None
    redis: Mapping[str, bool] = field(default_factory=dict)
    certificates: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything at one moment. What counts, counts since the start; meters may be those that go on counting.

    ``standing`` is for who wants to see it: with ten thousand targets it takes a while.
    """

    meters: Sequence[RouteMeter]
    tallies: Sequence[Tally]
    connections: Mapping[str, int]
    processes: Sequence[Process]
    budget: tuple[float, float]
    standing: Callable[[], Standing]
    started_at: float
    restarts: Mapping[str, int] = field(default_factory=dict)


def of_one(telemetry: Telemetry, source: StatusSource) -> Observation:
    """Observe the process that this is."""
    counts = source.connections()
    spent = os.times()
    process = Process(
        "0",
        os.getpid(),
        "ready" if not source.not_ready() else source.not_ready(),
        telemetry.started_at,
        spent.user + spent.system,
        resident_bytes(),
        tuple(count for _, count in telemetry.loop_lag.buckets()),
        counts.open,
    )
    return Observation(
        list(telemetry.meters.used()),
        telemetry.tallies.all(),
        {
            "open": counts.open,
            "answering": counts.answering,
            "tunnels": counts.tunnels,
            "limit": counts.limit,
        },
        [process],
        telemetry.budget,
        lambda: _standing_of_one(source),
        telemetry.started_at,
    )


def _standing_of_one(source: StatusSource) -> Standing:
    state = source.overload()
    return Standing(
        upstreams(source),
        resilience(one.summary() for one in source.protections()),
        overload([state.summary()]) if state is not None else None,
        source.limits().redis,
        [asdict(one) for one in source.tls_state.certificates],
    )


def of_many(source: CrewSource, total: Total) -> Observation:
    """Observe all workers, as their files had it in ``total``."""
    states = total.summary.states
    now = [state["connections"] for state in states]
    return Observation(
        list(total.figures.meters.used()),
        total.figures.tallies.all(),
        {name: sum(counts[name] for counts in now) for name in ("open", "answering", "tunnels", "limit")},
        _processes(source, total),
        _budget(total.sums),
        lambda: _standing_of_many(total),
        source.started_at,
        dict(source.counts.restarts),
    )


def _standing_of_many(total: Total) -> Standing:
    states = total.summary.states
    return Standing(
        upstreams_of_all(states),
        resilience(row for state in states for row in state.get("resilience", ())),
        overload(state.get("overload") for state in states),
        {labels["redis"]: bool(value) for labels, value in _series(total.sums, "proxyd_redis_up")},
        [
            {**labels, "not_after": value}
            for labels, value in _series(total.sums, "proxyd_certificate_expiry_timestamp_seconds")
        ],
    )


def _processes(source: CrewSource, total: Total) -> list[Process]:
    cpu: dict[str, float] = {}
    for labels, value in _series(total.sums, "process_cpu_seconds", "process_cpu_seconds_total"):
        cpu[labels["worker"]] = value
    lag: dict[str, list[float]] = {}
    for labels, value in _series(total.sums, _LAG, f"{_LAG}_bucket"):
        lag.setdefault(labels["worker"], []).append(value)
    connections = {state["pid"]: state["connections"]["open"] for state in total.summary.states}
    return [
        Process(
            str(one.slot),
            one.pid,
            one.state,
            one.started_at,
            cpu.get(str(one.slot), 0.0),
            resident_bytes(one.pid),
            tuple(lag.get(str(one.slot), ())),
            connections.get(one.pid, 0),
        )
        for one in source.workers()
    ]


def _series(sums: Sums, family: str, sample: str = "") -> list[tuple[dict[str, str], float]]:
    found = sums.families.get(family)
    wanted = sample or family
    if found is None:
        return []
    return [(dict(labels), value) for (name, labels), value in found.values.items() if name == wanted]


def _budget(sums: Sums) -> tuple[float, float]:
    edges = {labels["edge"]: value for labels, value in _series(sums, "proxyd_latency_budget_seconds")}
    return edges.get("lower", 0.02), edges.get("upper", 0.04)
