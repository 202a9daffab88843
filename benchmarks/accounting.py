"""What a process used: CPU nanoseconds, resident memory, and how busy each core was, as the kernel counts them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """Return ``pid`` and every descendant that is alive, parents first."""
    found = [pid]
    for parent in found:
        for task in PROC.glob(f"{parent}/task/*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue  # the thread ended between the listing and the reading
    return found


def cpu_ns(pid: int) -> int:
    """Return the CPU time, user and system, of ``pid`` and its live descendants, in nanoseconds.

    Read from each process's CPU clock, which counts all of its threads, ended ones included, and is not
    sampled by the timer tick as utime and stime are. ProcessLookupError when ``pid`` itself is gone.
    """
    total = _process_cpu_ns(pid)
    for child in tree(pid)[1:]:
        try:
            total += _process_cpu_ns(child)
        except ProcessLookupError:
            continue
    return total


def _process_cpu_ns(pid: int) -> int:
    # clock_getcpuclockid(3): the clock's number is the inverted pid with the "scheduler's count" kind below it.
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError as error:
        raise ProcessLookupError(f"no process {pid}") from error


def rss_bytes(pid: int) -> int:
    """Return the resident memory of ``pid`` and its live descendants, in bytes; shared pages count in each."""
    total = 0
    for process in tree(pid):
        try:
            total += int((PROC / str(process) / "statm").read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Ticks that each core spent busy, stolen by the hypervisor, and in all, since the machine started."""

    busy: dict[int, int]
    stolen: dict[int, int]
    total: dict[int, int]

    def busy_share(self, before: CoreTimes, core: int) -> float:
        """Return the share (0 to 1) of the time since ``before`` that ``core`` worked."""
        return _share(self.busy[core] - before.busy[core], self.total[core] - before.total[core])

    def stolen_share(self, before: CoreTimes, core: int) -> float:
        """Return the share (0 to 1) of the time since ``before`` that the hypervisor took from ``core``."""
        return _share(self.stolen[core] - before.stolen[core], self.total[core] - before.total[core])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def core_times(text: str | None = None) -> CoreTimes:
    """Read /proc/stat, or ``text`` in its format (proc(5): user nice system idle iowait irq softirq steal)."""
    busy: dict[int, int] = {}
    stolen: dict[int, int] = {}
    total: dict[int, int] = {}
    for line in (text if text is not None else (PROC / "stat").read_text()).splitlines():
        name, _, values = line.partition(" ")
        if not name.startswith("cpu") or name == "cpu":
            continue
        user, nice, system, idle, iowait, irq, softirq, steal = (int(value) for value in values.split()[:8])
        core = int(name[3:])
        busy[core] = user + nice + system + irq + softirq
        stolen[core] = steal
        total[core] = busy[core] + idle + iowait + steal
    return CoreTimes(busy, stolen, total)
