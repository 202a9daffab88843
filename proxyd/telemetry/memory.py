"""How much memory this process holds, and how much there is."""

from __future__ import annotations

import os


def resident_bytes() -> int | None:
    """Return the memory that this process holds, in bytes; None where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # a file of the kernel's, no disk is read
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def physical_bytes() -> int:
    """Return the memory of the machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
