"""Metric families of how upstreams are kept from failing whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from proxyd.telemetry.source import StatusSource


def of_protections(source: StatusSource) -> Iterator[Metric]:
    """Yield them, one after the other."""
    ejected = GaugeMetricFamily(
        "proxyd_upstream_ejected",
        "Whether an address of a target gets no requests for a while: 1 or 0.",
        labels=("upstream", "target"),
    )
    ejections = CounterMetricFamily(
        "proxyd_upstream_ejections",
        "Ejections of a target's addresses, by what they were for.",
        labels=("upstream", "target", "reason"),
    )
    circuit = GaugeMetricFamily(
        "proxyd_upstream_circuit_state",
        "The circuit of an upstream: 0 closed, 1 half-open, 2 open.",
        labels=("upstream",),
    )
    rejected = CounterMetricFamily(
        "proxyd_upstream_circuit_rejected",
        "Requests that were not sent, because the circuit was open or a limit was reached.",
        labels=("upstream", "reason"),
    )
    exhausted = CounterMetricFamily(
        "proxyd_upstream_retry_budget_exhausted",
        "Further tries that were not made, because enough were under way.",
        labels=("upstream",),
    )
    protected = list(source.protections())
    names = {state.upstream for state in protected}
    out: dict[tuple[str, str], bool] = {}
    for target in source.targets():
        if target.upstream in names:
            key = (target.upstream, target.target)
            out[key] = out.get(key, False) or target.ejected
    for key, is_out in out.items():
        ejected.add_metric(key, is_out)
    for state in protected:
        for (label, reason), count in state.ejections.items():
            ejections.add_metric((state.upstream, label, reason), count)
        if state.circuit is not None:
            circuit.add_metric((state.upstream,), state.circuit)
        exhausted.add_metric((state.upstream,), state.exhausted)
        for reason, count in state.rejected.items():
            rejected.add_metric((state.upstream, reason), count)
    yield from (ejected, ejections, circuit, rejected, exhausted)
