"""What has to happen for the entities that there are to become those of a file.

An entity of the file is the one that has its id, its names, or else the very same fields. In a file without ids, an entity
that was made over the Admin API is found by its name, and keeps its id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from proxyd.errors import ProxydError
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxyd.model.flat import Document, Flat, Table

    Seal = Callable[[str, Document], Document]

# Collections in which what is referred to comes before what refers to it.
ORDER: Final = tuple(
    TopologicalSorter(
        {
            name: {*shape.references.values(), *(("ca_certificates",) if name == "services" else ())}
            for name, shape in SHAPES.items()
        }
    ).static_order()
)


class PlanError(ProxydError):
    """What a file says cannot be made of what is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entity that is made (``before`` is None), changed, or taken away (``after`` is None)."""

    collection: str
    id: str
    before: Document | None = field(repr=False)
    after: Document | None = field(repr=False)

    @property
    def action(self) -> str:
        """What happens to it: create, update or delete."""
        return "create" if self.before is None else "delete" if self.after is None else "update"

    @property
    def label(self) -> str:
        """What it is called: a name, or its id."""
        shape, document = SHAPES[self.collection], self.after or self.before or {}
        for name in (shape.name, *(fields[0] for fields in shape.unique)):
            value = document.get(name)
            if isinstance(value, str) and name not in shape.hidden:
                return value
        return self.id


def plan(current: Table, desired: Flat, seal: Seal, tags: Iterable[str] = ()) -> list[Step]:
    """Return the steps in an order in which they can be made.

    ``seal`` hides what is only compared, as it is stored. With ``tags``, only entities that have all of them are changed or
    taken away; the others of the file are made where they are missing, for those refer to them. Raises PlanError.
    """
    wanted = frozenset(tags)
    matcher = _Matcher(current, desired)
    made: list[Step] = []
    for collection in ORDER:
        for identity, document in desired.table[collection].items():
            after = seal(collection, matcher.resolved(collection, document))
            found = matcher.match(collection, identity, after)
            before = current.get(collection, {}).get(found)
            if before is None or (before != after and wanted <= set(after.get("tags", ()))):
                made.append(Step(collection, found, before, after))
    for collection in reversed(ORDER):
        for identity, document in current.get(collection, {}).items():
            if (collection, identity) not in matcher.taken and wanted <= set(document.get("tags", ())):
                made.append(Step(collection, identity, document, None))
    return made


class _Matcher:
    """Finds the entity that there is for one of a file."""

    def __init__(self, current: Table, desired: Flat) -> None:
        self.taken: set[tuple[str, str]] = set()
        self._current = current
        self._desired = desired
        self._ids: dict[tuple[str, str], str] = {}  # of the file's entities, those that there are
        self._by_names: dict[tuple[Any, ...], str] = {}
        self._by_fields: dict[tuple[str, str], list[str]] = {}
        for collection, documents in current.items():
            for identity, document in documents.items():
                for key in _names(collection, document):
                    self._by_names[key] = identity
                self._by_fields.setdefault((collection, _text(document)), []).append(identity)

    def resolved(self, collection: str, document: Document) -> Document:
        """Return a document that refers to what there is."""
        made = dict(document)
        for name, parent in SHAPES[collection].references.items():
            if name in made:
                made[name] = self._ids.get((parent, made[name]), made[name])
        if collection == "services" and "ca_certificates" in made:
            made["ca_certificates"] = [
                self._ids.get(("ca_certificates", one), one) for one in made["ca_certificates"]
            ]
        return made

    def match(self, collection: str, identity: str, document: Document) -> str:
        """Return the id that an entity has, or is to have. Raises PlanError."""
        found = self._find(collection, identity, document)
        if found != identity and (collection, identity) in self._desired.given:
            noun = SHAPES[collection].noun
            raise PlanError(
                f"{noun} '{Step(collection, found, None, document).label}' has the id {found}, and {identity} in the file: "
                "leave the id out, or delete it first"
            )
        self.taken.add((collection, found))
        self._ids[collection, identity] = found
        return found

    def _find(self, collection: str, identity: str, document: Document) -> str:
        there = self._current.get(collection, {})
        if identity in there and (collection, identity) not in self.taken:
            return identity
        for key in _names(collection, document):
            found = self._by_names.get(key)
            if found is not None and (collection, found) not in self.taken:
                return found
        for found in self._by_fields.get((collection, _text(document)), ()):
            if (collection, found) not in self.taken and (collection, identity) not in self._desired.given:
                return found
        return identity


def _names(collection: str, document: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return what no two entities share."""
    found = []
    for fields in SHAPES[collection].unique:
        values = [document.get(name) for name in fields]
        if values[0] is not None:
            found.append((collection, fields, *values))
    return found


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)
