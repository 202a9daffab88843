"""Rounds over all proxies in alternating order, each alone on its core and freshly started, and their table."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.load import LoadError
from benchmarks.origin import static_origin
from benchmarks.process import Server, ServerError, free_port
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.base import Bench, Sample, fetch, measure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.peers.base import Peer

COLUMNS = [
    "proxy",
    "requests/s",
    "CPU µs/request",
    "p50 ms",
    "p99 ms",
    "requests/s ÷ nginx",
    "CPU ÷ nginx",
    "proxy core",
    "load core",
]
REFERENCE = "nginx"
SATURATED = 0.95
NOISE = 0.03


@dataclass(frozen=True, slots=True)
class Probe:
    """What is sent, and how the answer is checked before: the wrk script, a path, and the body that belongs to it."""

    script: Path
    path: str
    body: bytes
    headers: Mapping[str, str]


def compare(
    bench: Bench,
    name: str,
    title: str,
    script: Path,
    check_path: str,
    headers: Mapping[str, str] | None = None,
) -> Section:
    """Measure every peer ``bench.rounds`` times with ``script``; a peer that fails or errs is shown as invalid."""
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in bench.peers}
    failures: dict[str, str] = {}
    with static_origin(bench.directory, bench.load_core) as origin:
        probe = Probe(script, check_path, fetch(origin.port, check_path), headers or {})
        for number in range(bench.rounds):
            # Every other round runs backwards, so that a drift of the machine falls on all alike.
            for peer in bench.peers if number % 2 == 0 else bench.peers[::-1]:
                if peer.name in failures:
                    continue
                try:
                    sample = _one(bench, peer, origin, probe)
                except (ServerError, LoadError) as error:
                    failures[peer.name] = str(error)
                    bench.say(f"{name}: {peer.name}: {error}")
                    continue
                samples[peer.name].append(sample)
                bench.say(
                    f"{name}: round {number + 1}/{bench.rounds} {peer.name}: {sample.rate:,.0f} requests/s, "
                    f"{sample.cpu_us:.1f} µs/request, errors {sample.errors or 'none'}"
                )
    raw = {peer: [sample.raw() for sample in taken] for peer, taken in samples.items()}
    return Section(
        name,
        title,
        COLUMNS,
        rows(samples, failures),
        notes(samples, failures),
        {"samples": raw, "failed": failures},
    )


def median_cpu(samples: list[dict[str, Any]]) -> float:
    """Return the median CPU microseconds per request of raw samples."""
    return statistics.median(sample["cpu_us"] for sample in samples)


def _median_taken(taken: list[Sample]) -> float:
    return statistics.median(sample.proxy_share + sample.others_share + sample.stolen for sample in taken)


def _one(bench: Bench, peer: Peer, origin: Server, probe: Probe) -> Sample:
    home = bench.directory / peer.name
    shutil.rmtree(home, ignore_errors=True)  # the logs of the round before
    home.mkdir()
    listen = free_port()
    command = peer.command(home, listen=listen, origin=origin.port)
    with Server(peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory) as server:
        if fetch(listen, probe.path, probe.headers) != probe.body:
            raise ServerError("the body of its answer is not the backend's")
        return measure(bench, server, probe.script)


def rows(samples: dict[str, list[Sample]], failures: dict[str, str]) -> list[list[str]]:
    """Return one row per proxy; medians, with the lowest and highest round beside them."""
    reference = samples.get(REFERENCE) or []
    base_rate = statistics.median(sample.rate for sample in reference) if reference else 0.0
    base_cpu = statistics.median(sample.cpu_us for sample in reference) if reference else 0.0
    lines = []
    for peer, taken in samples.items():
        if peer in failures or not taken or any(sample.errors for sample in taken):
            lines.append([peer, "invalid", *["-"] * (len(COLUMNS) - 2)])
            continue
        rate = statistics.median(sample.rate for sample in taken)
        cpu = statistics.median(sample.cpu_us for sample in taken)
        lines.append(
            [
                peer,
                median_and_range([sample.rate for sample in taken], ",.0f"),
                median_and_range([sample.cpu_us for sample in taken]),
                median_and_range([sample.p50_us / 1000 for sample in taken], ".2f"),
                median_and_range([sample.p99_us / 1000 for sample in taken], ".2f"),
                f"{rate / base_rate:.2f}" if base_rate else "-",
                f"{cpu / base_cpu:.2f}" if base_cpu else "-",
                f"{statistics.median(sample.proxy_share for sample in taken):.0%}",
                f"{statistics.median(sample.load_share for sample in taken):.0%}",
            ]
        )
    return lines


def notes(samples: dict[str, list[Sample]], failures: dict[str, str]) -> list[str]:
    """Return what a reader has to know beside the table: invalid rows, stolen time, a load side at its limit."""
    lines = [f"{peer}: invalid: {' '.join(reason.split())}" for peer, reason in failures.items()]
    for peer, taken in samples.items():
        if peer not in failures and any(sample.errors for sample in taken):
            lines.append(f"{peer}: invalid: errors {[sample.errors for sample in taken if sample.errors]}")
    limited = [peer for peer, taken in samples.items() if taken and _median_taken(taken) < SATURATED]
    if limited:
        lines.append(
            f"{', '.join(limited)}: the core had time left, so the load side limits requests/s and sets the latencies; "
            "CPU per request is the proxy's own"
        )
    every = [sample for taken in samples.values() for sample in taken]
    for share, who in ((lambda s: s.others_share, "other processes"), (lambda s: s.stolen, "the hypervisor")):
        highest = max(map(share, every), default=0.0)
        if highest > NOISE:
            lines.append(f"{who} took up to {highest:.0%} of the proxy's core in a round")
    return lines
