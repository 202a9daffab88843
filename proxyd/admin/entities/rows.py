"""Entities as readers get them, whether they come from a file that runs or from a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from proxyd.admin.entities.paging import One
from proxyd.admin.entities.show import show
from proxyd.admin.entities.typed import filled
from proxyd.database.masking import Masking
from proxyd.database.text import in_order
from proxyd.model.shapes import SHAPES
from proxyd.plugins import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.database.entries import Contents, Document, Entry
    from proxyd.model.entities import Stored
    from proxyd.model.load import Loaded


_masking: Final = Masking({name: plugin.Config for name, plugin in BY_NAME.items()})


class Row(One, Protocol):
    """One entity."""

    def get(self, field: str) -> Any:
        """Return a field; references are ids."""

    def show(self) -> dict[str, Any]:
        """Return all of it as an answer has it, without secrets."""


class Rows(Protocol):
    """Every entity of one moment."""

    def of(self, collection: str) -> Iterable[Row]:
        """Iterate over a collection, in its order."""


class LoadedRows:
    """Those of a configuration that runs, which was loaded at a time."""

    def __init__(self, loaded: Loaded, at: float) -> None:
        self._loaded = loaded
        self._at = at

    def of(self, collection: str) -> Iterable[Row]:
        """Iterate over a collection, in the order of the file."""
        entities = getattr(self._loaded.configuration, collection).values()
        return (_LoadedRow(collection, one, self._loaded.plugin_configs, self._at) for one in entities)


class StoredRows:
    """Those of a database."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def of(self, collection: str) -> Iterable[Row]:
        """Iterate over a collection, the oldest first."""
        return map(_StoredRow, in_order(self._contents.entries.get(collection, {})))


class _LoadedRow:
    def __init__(self, collection: str, entity: Stored, configs: dict[str, Any], at: float) -> None:
        self._collection, self._entity, self._configs, self._at = collection, entity, configs, at
        self.id, self.tags = entity.id, entity.tags

    def get(self, field: str) -> Any:
        return getattr(self._entity, field)

    def show(self) -> dict[str, Any]:
        return show(self._collection, self._entity, self._configs, self._at)


class _StoredRow:
    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self.id, self.tags = entry.id, entry.document.get("tags") or ()

    def get(self, field: str) -> Any:
        return self._entry.document.get(field)

    def show(self) -> dict[str, Any]:
        return shown(self._entry)


def shown(entry: Entry, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an entity of a database as an answer has it; ``told`` are secrets that are shown this once."""
    collection, document = entry.collection, _masking(entry.collection, entry.document)
    shape = SHAPES[collection]
    found: dict[str, Any] = filled(shape.entity, {**document, "id": entry.id})
    for name in shape.references:
        found[name] = None if found[name] is None else {"id": found[name]}
    if collection == "plugins":
        found["config"] = _config(document)
    found["tags"] = found["tags"] or None
    found["created_at"], found["updated_at"] = int(entry.created_at), int(entry.updated_at)
    return {**found, **(told or {})}


def _config(document: Document) -> Any:
    plugin = BY_NAME.get(str(document.get("name")))
    config = document.get("config") or {}
    return filled(plugin.Config, config) if plugin is not None else {}
