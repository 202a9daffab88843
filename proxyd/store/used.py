"""When credentials were last used, noted as requests come and taken away in batches."""

from __future__ import annotations

from typing import Final

MOST: Final = (
    65_536  # credentials between two times that somebody takes what is noted; others are noted a minute later
)


class LastUsed:
    """Times of credentials by id, in seconds since the epoch, since they were last taken; of ``most`` credentials."""

    __slots__ = ("_most", "_times")

    def __init__(self, most: int = MOST) -> None:
        self._times: dict[str, float] = {}
        self._most = most

    def __repr__(self) -> str:
        return f"<LastUsed {len(self._times)}>"

    def note(self, credential: str, time: float) -> None:
        """Note that a credential was used; who calls does so once a minute, and not with every request."""
        if len(self._times) < self._most or credential in self._times:
            self._times[credential] = time

    def take(self) -> dict[str, float]:
        """Return what was noted, and begin anew."""
        times, self._times = self._times, {}
        return times
