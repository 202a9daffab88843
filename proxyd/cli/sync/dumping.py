"""Entities as a declarative file, always the same for the same entities.

What belongs to one other entity is nested in it, as decK does: so a route needs no name, and most references need not be
written. What belongs to several refers to them by name. Everything is in the order of its names. An id is written where it is
not the one that the file would come to without it, or something refers to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import yaml

from proxyd.model.flat import flat
from proxyd.model.scalars import resolve
from proxyd.model.shapes import FORMATS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from proxyd.model.flat import Document, Flat

    Key = tuple[str, str]

_NESTING: Final = frozenset({"service", "route", "consumer", "upstream", "certificate"})
_PASSES: Final = 8  # in which ids are found that have to be written; then all of those that are left are


class _Dumper(yaml.CSafeDumper):
    pass


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write a text so that it is read as one: by ourselves, and by whoever reads YAML 1.1."""
    style = None
    if "\n" in text:
        style = "|" if text.isprintable() or text.replace("\n", "").isprintable() else '"'
    elif not text or resolve(text) != text or text == "<<" or not text.isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]


def dump(entities: Flat, plugins: Mapping[str, type[BaseModel]]) -> str:
    """Return the text."""
    needed = _referred(entities)
    written = set(needed)
    for turn in range(_PASSES + 1):
        text, order = _write(entities, written)
        wrong = _wrong(entities, order, text, plugins)
        if not wrong:
            return text
        written |= wrong if turn < _PASSES else {key for keys in order.values() for key in keys}
    return _write(entities, written)[0]


def _wrong(
    entities: Flat, order: Mapping[str, list[Key]], text: str, plugins: Mapping[str, type[BaseModel]]
) -> set[Key]:
    """Return what comes to another id than its own, and not because what it belongs to does."""
    read = flat(text, "dump", plugins)
    wrong: set[Key] = set()
    for collection, keys in order.items():
        for key, identity in zip(keys, read.table[collection], strict=True):
            if identity != key[1]:
                wrong.add(key)
    return {key for key in wrong if wrong.isdisjoint(_parents(entities, key))} or wrong


def _parents(entities: Flat, key: Key) -> list[Key]:
    collection, identity = key
    document = entities.table[collection][identity]
    references = SHAPES[collection].references.items()
    return [(parent, document[field]) for field, parent in references if field in document]


def _referred(entities: Flat) -> set[Key]:
    """Return what others refer to by id, for it has no name."""
    found: set[Key] = set()
    for collection, documents in entities.table.items():
        for document in documents.values():
            nested = _nest(collection, document)
            for field, parent in SHAPES[collection].references.items():
                identity = document.get(field)
                if isinstance(identity, str) and field != nested and not _name(entities, parent, identity):
                    found.add((parent, identity))
            for identity in document.get("ca_certificates") or () if collection == "services" else ():
                found.add(("ca_certificates", identity))
    return found


def _name(entities: Flat, collection: str, identity: str) -> str:
    """Return the name by which an entity can be referred to, or nothing."""
    name = entities.table[collection].get(identity, {}).get(SHAPES[collection].name)
    return name if isinstance(name, str) else ""


def _nest(collection: str, document: Document) -> str:
    """Return the field whose entity a document is nested in, or nothing."""
    fields = [field for field in SHAPES[collection].references if field in document and field in _NESTING]
    return fields[0] if len(fields) == 1 else ""


# --- writing -------------------------------------------------------------------------------------------------


def _write(entities: Flat, written: set[Key]) -> tuple[str, dict[str, list[Key]]]:
    """Return the text, with the ids in ``written``, and per collection the entities in the order of the text."""
    below: dict[Key, dict[str, list[Key]]] = {}
    top: dict[str, list[Key]] = {}
    for collection, documents in entities.table.items():
        for identity in sorted(documents, key=lambda one: _rank(entities, collection, one)):
            document = documents[identity]
            field = _nest(collection, document)
            owner = (SHAPES[collection].references[field], document[field]) if field else None
            place = below.setdefault(owner, {}) if owner else top
            place.setdefault(collection, []).append((collection, identity))
    order: dict[str, list[Key]] = {collection: [] for collection in SHAPES}

    def entity(key: Key) -> Document:
        order[key[0]].append(key)
        made = _fields(entities, key, with_id=key in written)
        for collection, keys in sorted(below.get(key, {}).items()):
            made[collection] = [entity(one) for one in keys]
        return made

    whole: dict[str, Any] = {"_format_version": FORMATS[-1]}
    if not entities.transform and any(
        "password" in one for one in entities.table["basicauth_credentials"].values()
    ):
        whole["_transform"] = False
    if entities.vaults:
        whole["vaults"] = entities.vaults
    for collection in SHAPES:
        if collection in top:
            whole[collection] = [entity(key) for key in top[collection]]
    text = yaml.dump(
        whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10_000
    )
    return text, order


def _rank(entities: Flat, collection: str, identity: str) -> tuple[Any, ...]:
    """Return what an entity is sorted by: its names, those that it refers to, all of it, and its id at last."""
    document, shape = entities.table[collection][identity], SHAPES[collection]
    names = dict.fromkeys(field for fields in ((shape.name,), *shape.unique) for field in fields)
    values = [
        _name(entities, shape.references[field], str(document.get(field, "")))
        if field in shape.references
        else str(document.get(field) or "")
        for field in names
        if field
    ]
    return (*values, json.dumps(document, sort_keys=True), identity)


def _fields(entities: Flat, key: Key, *, with_id: bool) -> Document:
    collection, identity = key
    document, shape = entities.table[collection][identity], SHAPES[collection]
    nested = _nest(collection, document)
    made: Document = {"id": identity} if with_id else {}
    first = [shape.name, *(field for fields in shape.unique for field in fields)]
    for field in sorted(document, key=lambda one: (first.index(one) if one in first else len(first), one)):
        value = document[field]
        if field == nested:
            continue
        if field in shape.references:
            value = _name(entities, shape.references[field], value) or value
        made[field] = _sorted(value)
    return made


def _sorted(value: Any) -> Any:
    """Return a value with its keys in order; lists mean what they say."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    return value
