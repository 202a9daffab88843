"""Who is refused first: every request has one of four ranks, by its route and by who sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order in which they are kept; what routes do not rank is by identity.
CRITICAL, KNOWN, ANONYMOUS, SHEDDABLE = range(4)
NAMES: Final = ("critical", "authenticated", "anonymous", "sheddable")
COUNT: Final = len(NAMES)

_BY_TAG: Final = {"priority:critical": CRITICAL, "priority:sheddable": SHEDDABLE}


def rank_of(*tagged: Iterable[str] | None) -> int:
    """Return the rank that tags give, the first that says something: a route's before its service's."""
    for tags in tagged:
        for tag in tags or ():
            if tag in _BY_TAG:
                return _BY_TAG[tag]
    return ANONYMOUS
