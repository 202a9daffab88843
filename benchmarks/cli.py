"""The command line of the bench."""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load, machine, report
from benchmarks.peers import PEERS
from benchmarks.process import ROOT, ServerError
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.base import Peer

RESULTS = ROOT / "benchmarks" / "results"


def main(argv: list[str] | None = None) -> int:
    """Run the scenarios asked for and print their report; 0 when all ran, 1 when one failed, 2 when none could."""
    options = _options(argv)
    try:
        load.find_wrk()
    except load.LoadError as error:
        say(str(error))
        return 2
    peers, skipped = _present(options.peers or [peer.name for peer in PEERS])
    proxy_core, load_core = machine.cores()
    facts = machine.describe() | {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "load": f"wrk, 1 thread, {load.CONNECTIONS} keep-alive connections, closed loop, {options.seconds:g} s a run, "
        f"median of {options.rounds} rounds",
        "placed": f"the proxy on core {proxy_core}, load tool and backend on core {load_core}",
    }
    facts |= {f"{peer.name} {peer.version()}": peer.settings for peer in peers}
    facts |= {f"{name} skipped": reason for name, reason in skipped.items()}
    with tempfile.TemporaryDirectory(prefix="proxyd-bench-") as directory:
        bench = Bench(options.rounds, options.seconds, peers, Path(directory), proxy_core, load_core, say)
        sections = [_run(name, bench) for name in options.scenario or SCENARIOS]
    return _deliver(facts, sections, options.out, options.docs)


def say(line: str) -> None:
    """Print progress where the report does not go."""
    print(line, file=sys.stderr, flush=True)


def _present(wanted: list[str]) -> tuple[list[Peer], dict[str, str]]:
    """Return the wanted proxies that can run here, and why the others cannot."""
    peers: list[Peer] = []
    skipped: dict[str, str] = {}
    for peer in PEERS:
        if peer.name not in wanted:
            continue
        if reason := peer.missing():
            skipped[peer.name] = reason
            say(f"skipped {peer.name}: {reason}")
        else:
            peers.append(peer)
    return peers, skipped


def _run(name: str, bench: Bench) -> report.Section:
    try:
        return SCENARIOS[name](bench)
    except (ServerError, load.LoadError, OSError) as error:
        return report.Section(name, f"{name}: failed", [], notes=[" ".join(str(error).split())], failed=True)


def _deliver(facts: dict[str, str], sections: list[report.Section], out: Path, docs: Path | None) -> int:
    print(report.document(facts, sections))
    for path in report.write(out, f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}", facts, sections):
        say(f"wrote {path}")
    if any(section.failed for section in sections):
        return 1
    if docs:
        report.update_docs(docs, facts, sections)
        say(f"updated {docs}")
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Compare proxyd with other proxies; docs/benchmarks.md explains the columns.",
    )
    peers = [peer.name for peer in PEERS]
    for option, known, otherwise in (
        ("--scenario", list(SCENARIOS), "all"),
        ("--peers", peers, "all installed"),
    ):
        text = f"of {', '.join(known)} (default: {otherwise})"
        parser.add_argument(option, type=_chosen_from(known), default=[], metavar="NAME,…", help=text)
    parser.add_argument(
        "--rounds", type=int, default=5, help="runs per proxy, in alternating order (default: 5)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a run (default: 5)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="DIR", help="where report and raw figures go"
    )
    parser.add_argument("--docs", type=Path, metavar="FILE", help="also replace the results in this page")
    return parser.parse_args(argv)


def _chosen_from(known: list[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return chosen

    return names
