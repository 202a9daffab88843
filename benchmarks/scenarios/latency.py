"""What a proxy adds to a request's latency, at 10, 50 and 80 % of what it can do at most."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks import accounting, load
from benchmarks.clients.run import run as run_client
from benchmarks.clients.steady import FAILED
from benchmarks.heads import COUNT, default_path, requests
from benchmarks.load import LoadError, write_script
from benchmarks.origin import static_origin
from benchmarks.origin_server import SMALL
from benchmarks.peers.policies import HEADERS, PolicyNginx, PolicyProxyd
from benchmarks.process import ServerError
from benchmarks.quantiles import QUANTILES, summary
from benchmarks.report import Section
from benchmarks.scenarios.base import WARM_UP_SECONDS
from benchmarks.scenarios.compare import Probe, in_turn, running

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Peer
    from benchmarks.process import Server
    from benchmarks.scenarios.base import Bench

    Result = dict[str, Any]

PEERS = ("nginx", "proxyd", "haproxy", "envoy", "caddy", "aiohttp")
LEVELS = (0.1, 0.5, 0.8)
FULL = 0.9  # of the load core, beyond which its own queue is seen
COLUMNS = [
    "proxy",
    "load",
    "requests/s",
    f"direct {', '.join(QUANTILES)} ms",
    *(f"added {name} ms" for name in QUANTILES),
    "pairs p50, p99 ms",
    "CPU µs/request",
    "load core",
]
HOW = (
    "medians of the rounds; added: the quantile through the proxy less the quantile straight to the backend (direct); "
    "pairs: quantiles of the difference between requests that were due at the same moment, one each way"
)


class AllPoliciesNginx(PolicyNginx):
    """nginx as in the scenario ``policies``."""

    name = "nginx-policies"


class AllPoliciesProxyd(PolicyProxyd):
    """proxyd as in the scenario ``policies``."""

    name = "proxyd-policies"


def run(bench: Bench) -> Section:
    """Find each proxy's most, then send requests at a constant rate, through it and straight to the backend."""
    section = Section("latency", "latency: what is added at 10, 50 and 80 % of the most", COLUMNS)
    chosen = {peer.name for peer in bench.peers}
    more = [
        peer for peer in (AllPoliciesNginx(), AllPoliciesProxyd()) if peer.name.partition("-")[0] in chosen
    ]
    peers = [*bench.among(*PEERS), *more]
    taken: dict[tuple[str, float], list[Result]] = {
        (peer.name, level): [] for peer in peers for level in LEVELS
    }
    failures: dict[str, str] = {}
    script = write_script(bench.directory, "latency", default_path, COUNT, HEADERS)
    heads = bench.directory / "latency.json"
    heads.write_text(json.dumps(requests(headers=HEADERS)), encoding="utf-8")
    with static_origin(bench.directory, bench.load_core) as origin:
        for number, peer in in_turn(peers, bench.rounds):
            if peer.name in failures:
                continue
            try:
                for level, result in _one(bench, peer, origin, script, heads).items():
                    taken[peer.name, level].append(result)
                    bench.say(
                        f"latency: round {number + 1}/{bench.rounds} {peer.name} at {level:.0%}: "
                        f"{result['rate']:,.0f} requests/s, added p99 {result['added']['p99'] / 1000:.2f} ms"
                    )
            except (ServerError, LoadError) as error:
                failures[peer.name] = " ".join(str(error).split())
                bench.say(f"latency: {peer.name}: {error}")
    for (peer_name, level), results in taken.items():
        if results and peer_name not in failures:
            section.rows.append(_row(peer_name, level, results))
            section.figures.setdefault(peer_name, {}).update(_figures(level, results))
    section.notes += [f"{name}: invalid: {reason}" for name, reason in failures.items()]
    section.notes += notes(taken)
    section.raw = {f"{name}, {level:.0%}": results for (name, level), results in taken.items()}
    return section


def _one(bench: Bench, peer: Peer, origin: Server, script: Path, heads: Path) -> dict[float, Result]:
    """Return what came of each level, the proxy's most being measured just before."""
    with running(bench, peer, origin, Probe(script, "/api/v1/orders/1", HEADERS)) as server:
        for seconds in (min(WARM_UP_SECONDS, bench.seconds), bench.seconds):
            closed = load.run(script, port=server.port, seconds=seconds, core=bench.load_core)
        if closed.errors or not closed.requests:
            raise LoadError(f"{closed.requests} answers, errors {closed.errors} while its most was measured")
        made = {}
        for level in LEVELS:
            rate = closed.rate * level
            options = {"direct": origin.port, "rate": rate, "heads": str(heads), "end": SMALL.decode()}
            cores = accounting.core_times()
            result = run_client("steady", server, options, seconds=bench.seconds, core=bench.load_core)
            server.check()
            busy = accounting.core_times().busy_share(cores, bench.load_core)
            made[level] = digest(result) | {"rate": rate, "most": closed.rate, "load_share": busy}
        return made


def digest(result: Result) -> Result:
    """Return the quantiles of what ``steady`` measured; LoadError where a request failed."""
    if result["failed"]:
        raise LoadError(f"{result['failed']} of {len(result['through'])} requests at a constant rate failed")
    pairs = [
        through - straight
        for through, straight in zip(result["through"][:: result["every"]], result["straight"], strict=True)
        if FAILED not in {through, straight}
    ]
    through, straight = summary(result["through"]), summary(result["straight"])
    return {
        "through": through,
        "straight": straight,
        "added": {name: through[name] - straight[name] for name in QUANTILES},
        "pairs": summary(pairs),
        "requests": result["requests"],
        "compared": len(pairs),
        "latest_us": result["latest_us"],
        "cpu_us": result["cpu_ns"] / 1000 / max(1, result["requests"]),
    }


def _row(peer: str, level: float, results: list[Result]) -> list[str]:
    def middle(kind: str, name: str) -> str:
        return f"{statistics.median(result[kind][name] for result in results) / 1000:.2f}"

    return [
        peer,
        f"{level:.0%}",
        f"{statistics.median(result['rate'] for result in results):,.0f}",
        ", ".join(middle("straight", name) for name in QUANTILES),
        *(middle("added", name) for name in QUANTILES),
        f"{middle('pairs', 'p50')}, {middle('pairs', 'p99')}",
        f"{statistics.median(result['cpu_us'] for result in results):.1f}",
        f"{statistics.median(result['load_share'] for result in results):.0%}",
    ]


def _figures(level: float, results: list[Result]) -> dict[str, float]:
    return {
        f"{name} at {level:.0%}": statistics.median(result["added"][name] for result in results)
        for name in QUANTILES
    }


def notes(taken: dict[tuple[str, float], list[Result]]) -> list[str]:
    """Return what a reader has to know: how the columns were made, and where the load side was at its limit."""
    lines = [HOW]
    full: dict[str, list[str]] = {}
    for (peer, level), results in taken.items():
        if any(result["load_share"] > FULL for result in results):
            full.setdefault(peer, []).append(f"{level:.0%}")
    if full:
        named = ", ".join(f"{peer} at {', '.join(levels)}" for peer, levels in full.items())
        lines.append(f"{named}: load tool and backend filled their core, so that the tail is theirs too")
    return lines
