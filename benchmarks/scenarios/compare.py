"""Rounds over all proxies in alternating order, each alone on its core and freshly started, and their table."""

from __future__ import annotations

import shutil
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.load import LoadError
from benchmarks.origin import static_origin, streaming_origin
from benchmarks.process import Server, ServerError, free_port
from benchmarks.report import Section, median_and_range
from benchmarks.scenarios.base import Sample, fetch, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers.base import Certificate, Peer
    from benchmarks.scenarios.base import Bench

REFERENCE = "nginx"


def columns(reference: str = REFERENCE) -> list[str]:
    """Return the columns of a table that holds every row to the one of ``reference``."""
    measured = ["proxy", "requests/s", "CPU µs/request", "p50 ms", "p99 ms"]
    return [*measured, f"requests/s ÷ {reference}", f"CPU ÷ {reference}", "proxy core", "load core"]


COLUMNS = columns()
SATURATED = 0.95
NOISE = 0.03


@dataclass(frozen=True, slots=True)
class Probe:
    """What is sent, and how the answer is checked before: the wrk script, and a path whose body is the backend's.

    With ``tls``, the proxy is spoken to over TLS, and shows that certificate. ``streams`` asks for the backend that
    counts uploads.
    """

    script: Path
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: Certificate | None = None
    streams: bool = False


def compare(
    bench: Bench, name: str, title: str, peers: Sequence[Peer], probe: Probe, reference: str = REFERENCE
) -> Section:
    """Measure each of ``peers`` ``bench.rounds`` times; one that fails or errs is shown as invalid."""
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
    failures: dict[str, str] = {}
    make_origin = streaming_origin if probe.streams else static_origin
    with make_origin(bench.directory, bench.load_core) as origin:
        for number, peer in in_turn(peers, bench.rounds):
            if peer.name in failures:
                continue
            try:
                with running(bench, peer, origin, probe) as server:
                    sample = measure(bench, server, probe.script, tls=probe.tls is not None)
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
        columns(reference),
        rows(samples, failures, reference),
        notes(samples, failures),
        {"samples": raw, "failed": failures},
        figures={peer: figures(taken) for peer, taken in samples.items() if _valid(peer, taken, failures)},
    )


def in_turn(peers: Sequence[Peer], rounds: int) -> Iterator[tuple[int, Peer]]:
    """Yield the number of the round and the proxy whose turn it is.

    Every other round runs backwards, so that a drift of the machine falls on all alike.
    """
    for number in range(rounds):
        for peer in peers if number % 2 == 0 else peers[::-1]:
            yield number, peer


@contextmanager
def running(bench: Bench, peer: Peer, origin: Server, probe: Probe) -> Iterator[Server]:
    """Start ``peer`` before ``origin``, alone and with nothing left of the round before, and check an answer."""
    home = bench.directory / peer.name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    listen = free_port()
    command = peer.command(home, listen=listen, origin=origin.port, tls=probe.tls)
    with Server(peer.name, command, port=listen, core=bench.proxy_core, directory=bench.directory) as server:
        answer = fetch(listen, probe.path, probe.headers, tls=probe.tls is not None)
        if answer != fetch(origin.port, probe.path):
            raise ServerError("the body of its answer is not the backend's")
        yield server


def figures(taken: list[Sample]) -> dict[str, float]:
    """Return the medians that pictures and the README are drawn from."""
    return {name: statistics.median(getattr(sample, name) for sample in taken) for name in ("cpu_us", "rate")}


def median_cpu(samples: list[dict[str, Any]]) -> float:
    """Return the median CPU microseconds per request of raw samples."""
    return statistics.median(sample["cpu_us"] for sample in samples)


def _median_taken(taken: list[Sample]) -> float:
    return statistics.median(sample.proxy_share + sample.others_share + sample.stolen for sample in taken)


def _valid(peer: str, taken: list[Sample], failures: dict[str, str]) -> bool:
    return peer not in failures and bool(taken) and not any(sample.errors for sample in taken)


def rows(
    samples: dict[str, list[Sample]], failures: dict[str, str], reference: str = REFERENCE
) -> list[list[str]]:
    """Return one row per proxy; medians, with the lowest and highest round beside them."""
    base = samples.get(reference) or []
    base_rate = statistics.median(sample.rate for sample in base) if base else 0.0
    base_cpu = statistics.median(sample.cpu_us for sample in base) if base else 0.0
    lines = []
    for peer, taken in samples.items():
        if not _valid(peer, taken, failures):
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
