"""Entities by their tags, with what they refer to: a file of them can be read by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.model.flat import Flat
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def select(entities: Flat, tags: Sequence[str]) -> Flat:
    """Return those that have all of the tags, and what they refer to; without tags, all of them."""
    if not tags:
        return entities
    found = Flat(transform=entities.transform, vaults=entities.vaults)
    left = [
        (collection, identity)
        for collection, documents in entities.table.items()
        for identity, document in documents.items()
        if set(tags) <= set(document.get("tags", ()))
    ]
    while left:
        collection, identity = left.pop()
        document = entities.table[collection].get(identity)
        if document is None or identity in found.table[collection]:
            continue
        found.table[collection][identity] = document
        left += _references(collection, document)
    return found


def _references(collection: str, document: dict[str, object]) -> Iterator[tuple[str, str]]:
    for field, parent in SHAPES[collection].references.items():
        if isinstance(wanted := document.get(field), str):
            yield parent, wanted
    listed = document.get("ca_certificates") if collection == "services" else None
    for wanted in listed if isinstance(listed, list) else ():
        yield "ca_certificates", wanted
