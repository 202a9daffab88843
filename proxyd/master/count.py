"""How many workers ``auto`` is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

QUOTA = Path(
    "/sys/fs/cgroup/cpu.max"
)  # of the container: microseconds of CPU, and the period in which they are used


def count_of(
    workers: int | Literal["auto"], cores: AbstractSet[int] | None = None, quota: Path = QUOTA
) -> int:
    """Return the number that the setting means: for ``auto``, one per core that this process may use."""
    if workers != "auto":
        return workers
    count = len(cores if cores is not None else os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
        count = min(count, math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError):
        pass  # no such limit: the file is not there, or says "max"
    return max(count, 1)
