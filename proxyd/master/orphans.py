"""Who accepts in place of whom: connections must not wait in the sockets of a slot without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def share(serving: Mapping[int, Iterable[int]], orphans: Iterable[int]) -> dict[int, list[int]]:
    """Return the slots that each serving slot covers, given those that it covers now; each orphan has one.

    Who covers a slot already goes on; the others go to whoever covers the fewest.
    """
    plan: dict[int, list[int]] = {slot: [] for slot in serving}
    if not plan:
        return {}
    left = []
    for orphan in sorted(orphans):
        keeper = next((slot for slot, covers in serving.items() if orphan in covers), None)
        if keeper is None:
            left.append(orphan)
        else:
            plan[keeper].append(orphan)
    for orphan in left:
        least = min(plan, key=lambda slot: (len(plan[slot]), (slot - orphan) % 1024))
        plan[least].append(orphan)
    return plan
