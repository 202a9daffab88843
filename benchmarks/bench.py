"""``python benchmarks/bench.py``: the same as ``python -m benchmarks``, from any directory."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # Replaced rather than extended: this directory holds a profile.py, which would hide the standard library's.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
