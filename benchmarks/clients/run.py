"""Starts one of our load tools on the load core and reads what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.load import LoadError
from benchmarks.process import ROOT, pinned

if TYPE_CHECKING:
    from benchmarks.process import Server

PATIENCE = 60.0  # seconds beyond the length of the run


def run(module: str, server: Server, options: dict[str, Any], *, seconds: float, core: int) -> dict[str, Any]:
    """Run ``benchmarks.clients.MODULE`` on ``server``, with ``options`` as JSON; LoadError with its last words if it fails."""
    options = {"port": server.port, "pid": server.pid, "seconds": seconds, **options}
    argv = [sys.executable, "-m", f"benchmarks.clients.{module}", json.dumps(options)]
    with pinned(core):
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=seconds + PATIENCE
            )
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"{module} did not end after {error.timeout:.0f} s") from error
    if done.returncode or not done.stdout:
        lines = (done.stderr or "no output").strip().splitlines()
        raise LoadError(f"{module} exited with {done.returncode}: {lines[-1]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
