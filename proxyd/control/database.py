"""The part of ``/status`` about the database of entities; ``reachable`` is Kong's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.telemetry.access_line import timestamp

if TYPE_CHECKING:
    from proxyd.telemetry.source import Followed


def database(followed: Followed | None) -> dict[str, Any] | None:
    """Tell how it fares; None where there is none."""
    if followed is None:
        return None
    state = followed.state
    return {
        "reachable": state.reachable,
        "since": timestamp(state.since) if state.since else None,
        "error": state.error or None,
        "revision": state.revision,
        "applied_revision": state.applied,
    }
