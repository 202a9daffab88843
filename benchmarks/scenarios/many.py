"""100 routes and 1,000 consumers with a key each: what finding both costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load import write_script
from benchmarks.peers.many import CONSUMERS, MANY_PEERS, ROUTES, key, prefix
from benchmarks.scenarios.compare import Probe, compare

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from benchmarks.report import Section
    from benchmarks.scenarios.base import Bench

REQUESTS = 5_000
PATH = f"{prefix(0)}/items/1"
HEADERS = {"apikey": key(0)}
TITLE = "many: 100 routes, 1,000 consumers, a key in every request"


def run(bench: Bench) -> Section:
    """Compare the proxies that know keys by themselves."""
    chosen = {peer.name for peer in bench.peers}
    peers = [peer for peer in MANY_PEERS if peer.name in chosen]
    return compare(bench, "many", TITLE, peers, Probe(script(bench.directory), PATH, HEADERS))


def script(directory: Path) -> Path:
    """Write the requests, which go over all routes with all keys."""
    return write_script(directory, "many", _path, REQUESTS, {"apikey": _key})


def _path(index: int, rng: random.Random) -> str:
    return f"{prefix(index * 37 % ROUTES)}/items/{rng.randrange(100_000)}?n={index}"


def _key(index: int) -> str:
    return key(index * 7919 % CONSUMERS)
