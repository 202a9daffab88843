"""What another configuration changes, entity by entity, as the audit log tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.entities.show import show
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from proxyd.model.entities import Stored
    from proxyd.model.load import Loaded

LISTED: Final = 100  # entities that are told one by one; a whole file may have thousands
_TIMES: Final = ("created_at", "updated_at")  # of an entity out of a file, those of the file


def difference(before: Loaded, after: Loaded) -> dict[str, Any]:
    """Return how many entities have come, changed and gone, and the first of them as they are shown, without secrets."""
    counts = {"create": 0, "update": 0, "delete": 0}
    listed: list[dict[str, Any]] = []
    for collection in SHAPES:
        old: dict[str, Stored] = getattr(before.configuration, collection)
        new: dict[str, Stored] = getattr(after.configuration, collection)
        for identity in {**old, **new}:
            was, now = old.get(identity), new.get(identity)
            if was == now and before.plugin_configs.get(identity) == after.plugin_configs.get(identity):
                continue
            action = "create" if was is None else "delete" if now is None else "update"
            counts[action] += 1
            if len(listed) < LISTED:
                listed.append(
                    {
                        "action": action,
                        "collection": collection,
                        "entity": identity,
                        "before": _shown(collection, was, before),
                        "after": _shown(collection, now, after),
                    }
                )
    return {"counts": counts, "changes": listed}


def _shown(collection: str, entity: Stored | None, loaded: Loaded) -> dict[str, Any] | None:
    if entity is None:
        return None
    shown = show(collection, entity, loaded.plugin_configs, 0.0)
    return {name: value for name, value in shown.items() if name not in _TIMES and value is not None}
