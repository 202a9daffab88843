"""Runs wrk against a port and reads what it measured."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.heads import lua_script, requests
from benchmarks.process import pinned

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from benchmarks.heads import Header

CONNECTIONS = 32
ERRORS = ("connect", "read", "write", "status", "timeout")


class LoadError(Exception):
    """wrk is absent, failed, or printed something unknown."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the load tool: requests answered, seconds, latencies in microseconds, errors by kind."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float
    received_bytes: int
    errors: dict[str, int]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


def find_wrk() -> str:
    """Return wrk's path; LoadError says how to install it."""
    path = shutil.which("wrk")
    if path is None:
        raise LoadError("wrk is not installed: apt-get install wrk")
    return path


def parse(output: str) -> Load:
    """Read the RESULT line that our script makes wrk print; LoadError when there is none."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if len(lines) != 1:
        raise LoadError(f"wrk printed no result: {output.strip()[-500:]}")
    values = json.loads(lines[0].removeprefix("RESULT "))
    return Load(
        requests=values["requests"],
        seconds=values["duration_us"] / 1e6,
        p50_us=values["p50_us"],
        p99_us=values["p99_us"],
        max_us=values["max_us"],
        received_bytes=values["bytes"],
        errors={kind: values[kind] for kind in ERRORS if values[kind]},
    )


def write_script(
    directory: Path,
    name: str,
    path: Callable[[int, random.Random], str],
    count: int,
    headers: Mapping[str, Header] | None = None,
    upload: int | str = 0,
) -> Path:
    """Write the wrk script whose requests have the paths that ``path`` makes, and ``headers`` beside the usual.

    With ``upload``, they are POSTs of this body, or of so many bytes.
    """
    script = directory / f"{name}.lua"
    length = len(upload) if isinstance(upload, str) else upload
    script.write_text(lua_script(requests(path, count, headers, length), upload), encoding="ascii")
    return script


def run(script: Path, *, port: int, seconds: float, core: int, tls: bool = False) -> Load:
    """Load 127.0.0.1:``port`` for ``seconds`` from one thread on ``core``; LoadError when wrk fails."""
    # wrk counts whole seconds; it is interrupted for less, and then tells what there was.
    argv = [find_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{math.ceil(seconds) + 1}s", "--timeout", "10s"]
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/"
    # Where it was only unpacked, its libraries lie beside it.
    libraries = Path(argv[0]).resolve().parents[1] / f"lib/{platform.machine()}-linux-gnu"
    with pinned(core):
        process = subprocess.Popen(
            [*argv, "-s", str(script), url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
        )
    with process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    if process.returncode:
        raise LoadError(f"wrk exited with {process.returncode}: {(errors or out).strip()[-500:]}")
    return parse(out)
