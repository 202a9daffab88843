"""Resident memory of the gateway's own processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.health.look import DownError

if TYPE_CHECKING:
    from proxyd.health.look import Around, Processes
    from proxyd.model.indicators import Memory


class MemoryLook:
    """Adds them up."""

    def __init__(self, config: Memory, processes: Processes) -> None:
        self._config = config
        self._processes = processes

    def __repr__(self) -> str:
        return f"<MemoryLook {self._config!r}>"

    async def look(self) -> dict[str, Any]:
        """Hold each process, and all together, to their limits; raises DownError."""
        limits, held = self._config, self._processes.resident()
        total = sum(held.values())
        seen = {"rss_bytes": total, "processes": held}
        for name, size in held.items():
            if 0 < limits.max_each < size:
                raise DownError(f"{name} holds {size} bytes, more than {limits.max_each}", seen)
        if 0 < limits.max_total < total:
            raise DownError(f"all processes hold {total} bytes, more than {limits.max_total}", seen)
        return seen

    async def close(self) -> None:
        """Nothing is kept."""


def make(config: Memory, around: Around) -> MemoryLook:
    """Set it up."""
    return MemoryLook(config, around.processes)
