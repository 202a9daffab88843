"""How much memory a process holds, and how much there is."""

from __future__ import annotations

import os


def resident_bytes(pid: int | str = "self") -> int | None:
    """Return the memory that a process holds, this one by default, in bytes; None where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  # a file of the kernel's, no disk is read
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def physical_bytes() -> int:
    """Return the memory of the machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
