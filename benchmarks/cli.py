"""The command line of the bench."""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import chart, load, machine, published, report
from benchmarks.peers import PEERS
from benchmarks.process import ROOT, ServerError
from benchmarks.progress import Progress
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.base import Peer

QUICK = ("plain", "policies", "latency")
QUICK_PEERS = ("nginx", "proxyd", "envoy", "aiohttp")
RESULTS = ROOT / "benchmarks" / "results"


def main(argv: list[str] | None = None) -> int:
    """Run the scenarios asked for and print their report; 0 when all ran, 1 when one failed, 2 when none could."""
    options = _options(argv)
    progress = Progress()
    try:
        load.find_wrk()
    except load.LoadError as error:
        progress.tell(str(error))
        return 2
    peers, skipped = _present(options.peers or [peer.name for peer in PEERS], progress)
    proxy_core, load_core = machine.cores()
    facts = machine.describe() | {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "load": f"wrk, 1 thread, {load.CONNECTIONS} keep-alive connections, closed loop, {options.seconds:g} s a run, "
        f"median of {options.rounds} round{'s' if options.rounds > 1 else ''}; where a scenario needs it, a tool of ours",
        "placed": f"the proxy on core {proxy_core}, load tool and backend on core {load_core}",
    }
    facts |= {f"{peer.name} {peer.version()}": peer.settings for peer in peers}
    facts |= {f"{name} skipped": reason for name, reason in skipped.items()}
    with tempfile.TemporaryDirectory(prefix="proxyd-bench-") as directory:
        bench = Bench(
            options.rounds, options.seconds, peers, Path(directory), proxy_core, load_core, progress.say
        )
        sections = []
        wanted = options.scenario or list(SCENARIOS)
        for number, name in enumerate(wanted, 1):
            progress.title = f"[{number}/{len(wanted)}]"
            progress.say(name)
            sections.append(_run(name, bench))
    facts["took"] = f"{progress.spent()} minutes"
    return _deliver(facts, sections, options, progress)


def _present(wanted: list[str], progress: Progress) -> tuple[list[Peer], dict[str, str]]:
    """Return the wanted proxies that can run here, and why the others cannot."""
    peers: list[Peer] = []
    skipped: dict[str, str] = {}
    for peer in PEERS:
        if peer.name not in wanted:
            continue
        if reason := peer.missing():
            skipped[peer.name] = reason
            progress.tell(f"skipped {peer.name}: {reason}")
        else:
            peers.append(peer)
    return peers, skipped


def _run(name: str, bench: Bench) -> report.Section:
    try:
        return SCENARIOS[name](bench)
    except (ServerError, load.LoadError, OSError) as error:
        return report.Section(name, f"{name}: failed", [], notes=[" ".join(str(error).split())], failed=True)


def _deliver(
    facts: dict[str, str], sections: list[report.Section], options: argparse.Namespace, progress: Progress
) -> int:
    progress.tell(f"took {facts['took']}")
    print(report.document(facts, sections))
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    written = report.write(options.out, stamp, facts, sections)
    figures = {section.name: section.figures for section in sections if section.figures}
    if reason := chart.missing():
        progress.tell(f"no picture: {reason}")
    elif picture := chart.draw(figures, options.out / f"{stamp}.png"):
        written.append(picture)
    failed = any(section.failed for section in sections)
    if options.docs and not failed:
        written += published.update(options.docs, facts, sections)
    for path in written:
        progress.tell(f"wrote {path}")
    return 1 if failed else 0


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
        "--quick", action="store_true", help=f"a first look in about a minute: {', '.join(QUICK)}"
    )
    parser.add_argument("--rounds", type=int, help="runs per proxy, in alternating order (default: 3)")
    parser.add_argument("--seconds", type=float, help="length of a run (default: 4)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="DIR", help="where report and raw figures go"
    )
    parser.add_argument(
        "--docs",
        type=_tree,
        nargs="?",
        const=ROOT,
        metavar="DIR",
        help="also put tables and picture into the documents of this tree (default: this one)",
    )
    options = parser.parse_args(argv)
    if options.quick:
        options.scenario = options.scenario or list(QUICK)
        options.peers = options.peers or list(QUICK_PEERS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 4.0)
    return options


def _tree(text: str) -> Path:
    if not (Path(text) / published.PAGE).is_file():
        raise argparse.ArgumentTypeError(f"{text}: has no {published.PAGE}")
    return Path(text)


def _chosen_from(known: list[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return chosen

    return names
