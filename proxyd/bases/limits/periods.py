"""A limit for each period: how many in a second, a minute, and so on."""

from __future__ import annotations

from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.store.windows import PERIODS

Limit = Field(None, gt=0)


class Periods(plugin.Config):
    """Limits by period, at least one; that of a longer period is not lower."""

    second: int | None = Limit
    """How many in a second."""
    minute: int | None = Limit
    """How many in a minute."""
    hour: int | None = Limit
    """How many in an hour."""
    day: int | None = Limit
    """How many in a day, which begins at midnight UTC."""
    month: int | None = Limit
    """How many in a calendar month."""
    year: int | None = Limit
    """How many in a calendar year."""

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        limits = self.limits()
        if not limits:
            raise ValueError(f"at least one of {', '.join(PERIODS)} is needed")
        for (shorter, less), (longer, more) in pairwise(limits.items()):
            if more < less:
                raise ValueError(f"the limit for {longer} is lower than the one for {shorter}")
        return self

    def limits(self) -> dict[str, int]:
        """Return the limits that were given, by period, the shortest first."""
        return {name: getattr(self, name) for name in PERIODS if getattr(self, name) is not None}
