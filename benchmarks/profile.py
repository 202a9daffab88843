"""Profiles the gateway under the load of a scenario and prints where its time goes.

    python -m benchmarks.profile --tool cprofile   each Python function's calls and time; itself costs about half
    python -m benchmarks.profile --tool perf       kernel, uvloop and interpreter; Python frames from 3.12 on
    python -m benchmarks.profile --tool py-spy     a flame graph of Python frames, sampled from outside

To be run with -m: as a script, this file would hide the standard library's ``profile``.
"""

from __future__ import annotations

import argparse
import pstats
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import load, machine
from benchmarks.heads import COUNT, default_path
from benchmarks.origin import static_origin, streaming_origin
from benchmarks.peers.many import ManyProxyd
from benchmarks.peers.policies import HEADERS, PolicyFileLog, PolicyProxyd
from benchmarks.peers.proxyd import ProxydPeer
from benchmarks.process import Command, Server, ServerError, free_port
from benchmarks.scenarios import download, many, routes, upload
from benchmarks.scenarios.base import WARM_UP_SECONDS, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.peers.base import Certificate

TOP = 45


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario as it is profiled: how the gateway runs, and what makes the script of its load."""

    peer: ProxydPeer
    script: Callable[[Path], Path]
    path: str = "/api/v1/orders/1"
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = False


class RoutesProxyd(ProxydPeer):
    """The gateway with the scenario ``routes``' file of 10,000 routes."""

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write kong.json."""
        return self.command_for(directory, routes.document(routes.FILES[1], origin), listen=listen, tls=tls)


def _usual(directory: Path) -> Path:
    return load.write_script(directory, "usual", default_path, COUNT, HEADERS)


CASES = {
    "plain": Case(ProxydPeer(), lambda d: load.write_script(d, "plain", default_path, COUNT)),
    "policies": Case(PolicyProxyd(), _usual, headers=HEADERS),
    "policies-file-log": Case(PolicyFileLog(), _usual, headers=HEADERS),
    "many": Case(ManyProxyd(), many.script, path=many.PATH, headers=many.HEADERS),
    "routes": Case(RoutesProxyd(), lambda d: routes.script(d, routes.FILES[1]), path="/s0/r0/items/1"),
    "download": Case(ProxydPeer(), download.script),
    "upload": Case(ProxydPeer(), upload.script, streams=True),
}


def main(argv: list[str] | None = None) -> int:
    """Start gateway and backend, load them while the tool records, and show the result."""
    options = _options(argv)
    recorders: dict[str, Callable[[Path, argparse.Namespace], int]] = {
        "cprofile": _cprofile,
        "perf": _perf,
        "py-spy": _py_spy,
    }
    if options.tool != "cprofile" and shutil.which(options.tool) is None:
        print(f"{options.tool} is not installed", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="proxyd-profile-") as directory:
        try:
            return recorders[options.tool](Path(directory), options)
        except (ServerError, load.LoadError) as error:
            print(error, file=sys.stderr)
            return 1


def _cprofile(directory: Path, options: argparse.Namespace) -> int:
    target = options.out / "profile.pstats"
    wrap = ["-m", "cProfile", "-o", str(target)]
    _under_load(directory, options, lambda argv: [*argv[:2], *wrap, *argv[2:]], None)
    for order in ("tottime", "cumtime"):
        pstats.Stats(str(target)).strip_dirs().sort_stats(order).print_stats(TOP)
    print(f"wrote {target}")
    return 0


def _perf(directory: Path, options: argparse.Namespace) -> int:
    target = options.out / "perf.data"

    def record(pid: int) -> list[str]:
        duration = str(round(options.seconds))
        return ["perf", "record", "-q", "-g", "-o", str(target), "-p", str(pid), "--", "sleep", duration]

    _under_load(directory, options, list, record)
    shown = f"perf report -i {target} --stdio --no-children -g none --percent-limit 0.5 --sort".split()
    for order in ("dso", "dso,symbol"):
        print(f"\nby {order}", flush=True)
        subprocess.run([*shown, order], check=False)
    return 0


def _py_spy(directory: Path, options: argparse.Namespace) -> int:
    target = options.out / "flame.svg"

    def record(pid: int) -> list[str]:
        return [
            "py-spy",
            "record",
            "--pid",
            str(pid),
            "--duration",
            str(round(options.seconds)),
            "-o",
            str(target),
        ]

    _under_load(directory, options, list, record)
    print(f"wrote {target}")
    return 0


def _under_load(
    directory: Path,
    options: argparse.Namespace,
    wrap: Callable[[list[str]], list[str]],
    record: Callable[[int], list[str]] | None,
) -> None:
    """Run the gateway, its command passed through ``wrap``, under load, with the command of ``record`` beside it."""
    proxy_core, load_core = machine.cores()
    case = CASES[options.scenario]
    script = case.script(directory)
    listen = free_port()
    make_origin = streaming_origin if case.streams else static_origin
    with make_origin(directory, load_core) as origin:
        made = case.peer.command(directory, listen=listen, origin=origin.port)
        command = Command(wrap(made.argv), made.env | {"PYTHONPERFSUPPORT": "1"})
        with Server("proxyd", command, port=listen, core=proxy_core, directory=directory) as server:
            fetch(listen, case.path, case.headers)
            load.run(script, port=listen, seconds=WARM_UP_SECONDS, core=load_core)
            recorder = subprocess.Popen(record(server.pid)) if record else None
            result = load.run(script, port=listen, seconds=options.seconds + 1, core=load_core)
            if recorder:
                recorder.wait(timeout=options.seconds + 30)
            print(f"{result.rate:,.0f} requests/s while recorded, errors {result.errors or 'none'}")


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="profile", description="Profile the gateway under load; docs/benchmarks.md tells how to read it."
    )
    parser.add_argument("--tool", choices=("cprofile", "perf", "py-spy"), default="cprofile")
    parser.add_argument("--scenario", choices=tuple(CASES), default="plain")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to record (default: 5)")
    parser.add_argument(
        "--out", type=Path, default=Path("artifacts"), metavar="DIR", help="default: artifacts/"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
