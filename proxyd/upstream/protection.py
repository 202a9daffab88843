"""What outlasts a reload of how an upstream is protected: one for each upstream that has a ``resilience``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from proxyd.upstream.health import HealthKey


class Tell(Protocol):
    """Who hears of what happens: a log of events."""

    def __call__(self, event: str, **values: Any) -> None:
        """Take an event with its values."""


def unheard(event: str, **values: Any) -> None:
    """Tell nobody."""


class Protection:
    """The figures of one upstream. ``ejections`` counts by target and reason."""

    __slots__ = ("_tell", "ejections", "name")

    def __init__(self, name: str, tell: Tell = unheard) -> None:
        self.name = name
        self.ejections: dict[tuple[str, str], int] = {}
        self._tell = tell

    def __repr__(self) -> str:
        return f"<Protection {self.name} ejections={sum(self.ejections.values())}>"

    def ejected(self, key: HealthKey, reason: str, seconds: float) -> None:
        """Count an ejection of an address, and tell of it."""
        entry = (key.label, reason)
        self.ejections[entry] = self.ejections.get(entry, 0) + 1
        self._tell(
            "target ejected",
            upstream=self.name,
            target=key.label,
            address=key.address,
            reason=reason,
            seconds=seconds,
        )

    def readmitted(self, key: HealthKey, reason: str) -> None:
        """Tell that an address is back."""
        self._tell(
            "target readmitted", upstream=self.name, target=key.label, address=key.address, reason=reason
        )
