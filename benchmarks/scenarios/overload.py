"""Half, one, two and three times what can be done, in an open loop, with overload control off and on.

Two things can be too slow: the gateway, with an application mounted in it so that a load tool on one core can ask for
three times what it does, and a backend that serves 50 requests at a time and takes 20 ms for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import accounting, load, queueing_origin
from benchmarks.open_loop import DEADLINE, WARM_UP
from benchmarks.peers.proxyd import ProxydPeer, one_route
from benchmarks.process import ROOT, Command, Server, free_port, pinned
from benchmarks.report import Section
from benchmarks.scenarios.base import fetch

if TYPE_CHECKING:
    from benchmarks.scenarios.base import Bench

LOADS = (0.5, 1.0, 2.0, 3.0)
KEYED = 0.1  # share of the requests that carry a key
CONNECTIONS = 5000  # that the clients may have open; more than come in a second, so that they can be late
BEHIND = 0.2  # seconds that the load tool may be late
KEY = "overload-bench-key"
REQUEST = "GET {path} HTTP/1.1\r\nHost: api.shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n{key}\r\n"
COLUMNS = [
    "too slow",
    "control",
    "load",
    "offered/s",
    "good/s",
    "of the peak",
    "with a key",
    "shed/s",
    "late or lost/s",
    "core",
    "p50 ms",
    "p99 ms",
]


@dataclass(frozen=True, slots=True)
class Case:
    """What is too slow: its URL and path, what it needs, and the requests it does in a second, 0.0 for not known."""

    name: str
    url: str
    path: str
    env: dict[str, str]
    capacity: float = 0.0


def run(bench: Bench) -> Section:
    """Load both, and hold the good answers at three times the load against the most that there were."""
    section = Section(
        "overload", f"overload: more than can be done, good is 2xx within {DEADLINE:g} s", COLUMNS, raw=[]
    )
    peer = ProxydPeer()
    if reason := peer.missing():
        section.notes.append(f"skipped: {reason}")
        return section
    port = free_port()
    command = Command([sys.executable, "-m", "benchmarks.queueing_origin", str(port)])
    with Server("origin", command, port=port, core=bench.load_core, directory=bench.directory):
        app = {"PROXYD_APPS": "shop=proxyd.apps.demo.app:build_app"}
        for case in (
            Case("gateway", "memory://shop", "/orders", app),
            Case(
                "backend",
                f"http://127.0.0.1:{port}",
                "/",
                {},
                queueing_origin.SERVERS / queueing_origin.SECONDS,
            ),
        ):
            _measure(section, bench, case)
    section.notes += [
        f"{KEYED:.0%} of the requests carry a key, from an address of their own; with a key: how many of those were good",
        "core: the share of its core that the gateway used; where it is below 90 % at full load, others took the rest",
        f"every run starts afresh, and counts after {WARM_UP:g} s; a client goes away after {DEADLINE:g} s",
    ]
    return section


def _measure(section: Section, bench: Bench, case: Case) -> None:
    peer = ProxydPeer()
    document = one_route(0)
    document["services"][0]["url"] = case.url
    document |= {
        "plugins": [{"name": "key-auth", "config": {"anonymous": "anybody"}}],
        "consumers": [{"username": "app", "keyauth_credentials": [{"key": KEY}]}, {"username": "anybody"}],
    }
    capacity = case.capacity
    rows: list[tuple[str, float, dict[str, float]]] = []
    for control in ("off", "on"):
        for times in LOADS:
            listen = free_port()
            made = peer.command_for(bench.directory, document, listen=listen)
            env = made.env | case.env | {"PROXYD_OVERLOAD_CONTROL": control}
            with Server(
                peer.name,
                Command(made.argv, env),
                port=listen,
                core=bench.proxy_core,
                directory=bench.directory,
            ) as server:
                fetch(listen, case.path)
                if not capacity:
                    capacity = _capacity(bench, listen, case)
                cpu = accounting.cpu_ns(server.pid)
                row = _load(bench, listen, case.path, times * capacity)
                row["core"] = (accounting.cpu_ns(server.pid) - cpu) / 1e9 / (bench.seconds + WARM_UP)
                rows.append((control, times, row))
                server.check()
            bench.say(f"overload: {case.name}, control {control}, {times:g} times: {rows[-1][2]}")
    behind = max(row["behind"] for _, _, row in rows)
    if behind > BEHIND:
        section.notes.append(
            f"{case.name}: the load tool was {behind:.1f} s behind, do not believe these rows"
        )
    peak = max(row["good"] for _, _, row in rows)
    for control, times, row in rows:
        section.raw.append({"case": case.name, "control": control, "times": times, **row})
        section.rows.append(
            [
                case.name,
                control,
                f"{times:g}x",
                f"{row['offered']:,.0f}",
                f"{row['good']:,.0f}",
                f"{row['good'] / peak:.0%}",
                f"{row['keyed']:.0%}",
                f"{row['shed']:,.0f}",
                f"{row['lost']:,.0f}",
                f"{row['core']:.0%}",
                f"{row['p50'] * 1000:.1f}",
                f"{row['p99'] * 1000:.1f}",
            ]
        )


def _capacity(bench: Bench, port: int, case: Case) -> float:
    script = load.write_script(bench.directory, "overload", lambda _number, _random: case.path, 64)
    return load.run(script, port=port, seconds=max(2.0, bench.seconds), core=bench.load_core).rate


def _load(bench: Bench, port: int, path: str, rate: float) -> dict[str, float]:
    """Send for the bench's seconds; returns figures per second, and latencies in seconds."""
    kinds: list[dict[str, Any]] = [
        {
            "address": address,
            "request": REQUEST.format(path=path, key=key),
            "rate": rate * share,
            "connections": int(CONNECTIONS * share),
        }
        for address, key, share in (
            ("127.0.0.2", "", 1 - KEYED),
            ("127.0.0.3", f"apikey: {KEY}\r\n", KEYED),
        )
    ]
    with pinned(bench.load_core):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.open_loop"],
            input=json.dumps({"port": port, "seconds": bench.seconds, "kinds": kinds}),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    if done.returncode:
        raise load.LoadError(f"the open loop failed: {done.stderr.strip()[-500:]}")
    answer = json.loads(done.stdout)
    results = answer["kinds"]
    total = {
        name: sum(one[name] for one in results) / bench.seconds for name in results[0] if name != "latencies"
    }
    latencies = sorted(latency for one in results for latency in one["latencies"]) or [float("nan")]
    return {
        "offered": total["offered"],
        "good": total["good"],
        "shed": total["shed"],
        "lost": total["late"] + total["failed"] + total["unsent"],
        "keyed": results[1]["good"] / max(1, results[1]["offered"]),
        "behind": answer["behind"],
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(len(latencies) * 0.99)],
    }
