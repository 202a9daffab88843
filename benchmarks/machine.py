"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.accounting import core_times


def cores() -> tuple[int, int]:
    """Return the core for the proxy and the core for load and origin; the same one twice on a single-core machine."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1] if len(usable) > 1 else usable[0]


def describe() -> dict[str, str]:
    """Return the machine's facts, in the order in which they are printed."""
    return {
        "CPU": f"{_cpu_model()}, {len(core_times().total)} cores",
        "kernel": platform.release(),
        "system": _os_name(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "not shown"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _first_line(path: Path, otherwise: str) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return otherwise
