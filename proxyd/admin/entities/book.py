"""Contents of a database, as questions are asked of them: by id or name, by parent, and with what they refer to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.database.entries import Entry
from proxyd.model.shapes import CHILDREN, SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from proxyd.admin.entities.catalog import Collection
    from proxyd.database.entries import Change, Contents, Document

Above = tuple[
    tuple[str, str], ...
]  # collections that a path names as parents, each with the field of the child


class Book:
    """One state of the contents."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._entries = contents.entries

    def having(self, changes: Iterable[Change]) -> Book:
        """Return the contents as they will be after changes."""
        entries = {collection: dict(some) for collection, some in self._contents.entries.items()}
        for one in changes:
            some = entries.setdefault(one.collection, {})
            if one.document is None:
                some.pop(one.id, None)
            else:
                some[one.id] = Entry(one.collection, one.id, one.document, 0.0, 0.0)
        return Book(replace(self._contents, entries=entries))

    def all(self, collection: str) -> Mapping[str, Entry]:
        """Return the entities of a collection by id."""
        return self._entries.get(collection, {})

    def find(self, one: Collection, wanted: str, within: Iterable[Entry] | None = None) -> Entry | None:
        """Return the entity with an id or a name."""
        if within is None:
            found = self.all(one.name).get(wanted.lower())
            if found is not None:
                return found
            within = self.all(one.name).values()
        for entry in within:
            if entry.id == wanted.lower() or (one.key and entry.document.get(one.key) == wanted):
                return entry
        return None

    def owner(self, above: Above, match: Mapping[str, str]) -> dict[str, str]:
        """Return the references that a path gives, as field and id; raises Refusal where it leads nowhere."""
        owners = {}
        for parent, field in above:
            found = self.find(COLLECTIONS[parent], match[parent])
            if found is None:
                raise Refusal.not_found()
            owners[field] = found.id
        return owners

    def below(self, one: Collection, owners: Mapping[str, str]) -> Iterator[Entry]:
        """Iterate over the entities of a collection that belong to all owners."""
        for entry in self.all(one.name).values():
            if all(entry.document.get(field) == owner for field, owner in owners.items()):
                yield entry

    def referring(self, collection: str, identity: str) -> Iterator[tuple[str, str, Entry]]:
        """Iterate over what refers to an entity: collection, field and the entity itself."""
        for child, field in CHILDREN.get(collection, {}).items():
            for entry in self.all(child).values():
                if entry.document.get(field) == identity:
                    yield child, field, entry

    def closure(self, collection: str, document: Document) -> dict[str, dict[str, Document]]:
        """Return all that a document refers to, on and on, by collection and id."""
        found: dict[str, dict[str, Document]] = {}
        left: list[tuple[str, Mapping[str, Any]]] = [(collection, document)]
        while left:
            name, one = left.pop()
            for parent, identity in _references(name, one):
                entry = self.all(parent).get(identity)
                if entry is not None and identity not in found.setdefault(parent, {}):
                    found[parent][identity] = entry.document
                    left.append((parent, entry.document))
        return found


def _references(collection: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, parent in SHAPES[collection].references.items():
        identity = document.get(field)
        if isinstance(identity, str):
            yield parent, identity
    for identity in listed_authorities(collection, document):
        yield "ca_certificates", identity


def listed_authorities(collection: str, document: Mapping[str, Any]) -> list[str]:
    """Return the ids of CA certificates that a service, or the settings of a plugin, lists."""
    holder = document.get("config") if collection == "plugins" else document
    listed = holder.get("ca_certificates") if isinstance(holder, dict) else None
    if collection not in {"services", "plugins"} or not isinstance(listed, list):
        return []
    return [identity.lower() for identity in listed if isinstance(identity, str)]
