"""The processes of a gateway with workers, as health indicators see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.memory import resident_bytes

if TYPE_CHECKING:
    from proxyd.control.crew import CrewSource


class ManyProcesses:
    """A master and its workers; implements ``health.look.Processes``."""

    def __init__(self, source: CrewSource) -> None:
        self._source = source

    def __repr__(self) -> str:
        return f"<ManyProcesses {len(self._source.workers())}>"

    def resident(self) -> dict[str, int]:
        """Return the memory of each; one that drains has its process id in its name."""
        held = {"master": resident_bytes() or 0}
        for one in self._source.workers():
            held[_name(one.slot, one.pid, held)] = resident_bytes(one.pid) or 0
        return held

    def lags(self) -> dict[str, float]:
        """Return how late the loop of each worker was: no request waits for the master's."""
        found: dict[str, float] = {}
        for state in self._source.fleet.summary().states:
            found[_name(state["slot"], state["pid"], found)] = state.get("lag", 0.0)
        return found


def _name(slot: int, pid: int, taken: dict[str, int] | dict[str, float]) -> str:
    name = f"worker {slot}"
    return f"{name} ({pid})" if name in taken else name
