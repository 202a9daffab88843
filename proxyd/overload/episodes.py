"""Events of the beginning and the end of an overload: two lines each, however often it comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = 5.0  # seconds without a refusal, after which it is over

log = get_logger("overload")


class Episode:
    """One kind of overload: of the gateway, or of a service."""

    __slots__ = ("_began", "_last", "_now", "_shed", "_what", "_where")

    def __init__(self, what: str, where: str, now: Callable[[], float]) -> None:
        self._what = what
        self._where = where
        self._now = now
        self._began = 0.0
        self._last = 0.0
        self._shed = 0

    def __repr__(self) -> str:
        return f"<Episode {self._what} {self._where} shed={self._shed}>"

    @property
    def on(self) -> bool:
        """Whether it goes on."""
        return self._began > 0.0

    def shed(self, **values: float) -> None:
        """Count a refusal; the first one is an event."""
        self._last = now = self._now()
        self._shed += 1
        if not self._began:
            self._began = now
            log.warning("overloaded, requests are shed", **self._named(), **values)

    def look(self) -> None:
        """Tell that it is over, where it is."""
        if self._began and self._last + QUIET <= self._now():
            seconds = round(self._last - self._began, 1)
            log.notice("no longer overloaded", **self._named(), seconds=seconds, shed=self._shed)
            self._began = 0.0
            self._shed = 0

    def _named(self) -> dict[str, str]:
        return {"reason": self._what, "service": self._where} if self._where else {"reason": self._what}
