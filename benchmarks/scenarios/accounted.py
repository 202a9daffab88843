"""Rounds over proxies that our own load tools are put on, with the CPU that each proxy used meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.load import LoadError
from benchmarks.origin import streaming_origin
from benchmarks.process import ServerError
from benchmarks.scenarios.compare import Probe, in_turn, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.peers.base import Peer
    from benchmarks.process import Server
    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

    Result = dict[str, Any]
    Load = Callable[[Server], Result]


def rounds(
    bench: Bench,
    section: Section,
    peers: Sequence[Peer],
    loads: dict[str, Load],
    unit: str,
    *,
    probe: Probe,
    make_origin: Callable[[Path, int], Server] = streaming_origin,
) -> dict[tuple[str, str], list[Result]]:
    """Put each of ``loads``, by its title, on each of ``peers``, ``bench.rounds`` times.

    ``unit`` names what a load counts: its result has so many of them under that name, and is given ``cpu_us``, the
    microseconds that the proxy used for each. Returns them by proxy and title; a proxy that fails has none, and a note.
    """
    taken: dict[tuple[str, str], list[Result]] = {(peer.name, title): [] for peer in peers for title in loads}
    failures: dict[str, str] = {}
    with make_origin(bench.directory, bench.load_core) as origin:
        for number, peer in in_turn(peers, bench.rounds):
            if peer.name in failures:
                continue
            try:
                with running(bench, peer, origin, probe) as server:
                    for title, load in loads.items():
                        result = accounted(server, load, unit)
                        taken[peer.name, title].append(result)
                        bench.say(
                            f"{section.name}: round {number + 1}/{bench.rounds} {peer.name}, {title}: "
                            f"{result['cpu_us']:.1f} µs each of {result[unit]:,} {unit}"
                        )
            except (ServerError, LoadError) as error:
                failures[peer.name] = " ".join(str(error).split())
                bench.say(f"{section.name}: {peer.name}: {error}")
    section.notes += [f"{peer}: invalid: {reason}" for peer, reason in failures.items()]
    section.raw = {f"{peer}, {title}": results for (peer, title), results in taken.items()}
    return {key: results for key, results in taken.items() if results and key[0] not in failures}


def accounted(server: Server, load: Load, unit: str) -> Result:
    """Return what ``load`` tells of ``server``, with the CPU microseconds for each ``unit``."""
    result = load(server)
    server.check()
    if not result[unit]:
        raise LoadError(f"no {unit} in {result['spent']:.1f} s")
    return result | {"cpu_us": result["cpu_ns"] / 1000 / result[unit]}
