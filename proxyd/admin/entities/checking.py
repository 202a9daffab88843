"""Whether an entity may stand where it is put: by the loader's own rules, by its references, and beside all others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.admin.entities.show import MASK
from proxyd.database.entries import Change
from proxyd.database.text import write
from proxyd.errors import ConfigError
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxyd.admin.entities.book import Book
    from proxyd.admin.entities.catalog import Collection
    from proxyd.database.entries import Document
    from proxyd.database.text import Frame
    from proxyd.errors import Problem
    from proxyd.model.load import Loaded

_STEP: Final = re.compile(r"[^.\[\]]+")
_FROM_URL: Final = ("protocol", "host", "port", "path")


class Checker:
    """``load`` loads a text as a process would; ``frame`` is what stands around the entities of one."""

    def __init__(self, load: Callable[[str], Loaded], frame: Frame) -> None:
        self._load = load
        self._frame = frame

    def change(self, book: Book, one: Collection, identity: str, document: Document) -> Change:
        """Return the change that puts an entity in; raises Refusal."""
        _check_references(book, one, document)
        own = {"id": identity, **document}
        found = book.closure(one.name, document)
        documents: dict[str, list[Document]] = {
            name: [{"id": each, **below} for each, below in some.items()] for name, some in found.items()
        }
        documents[one.name] = [own, *documents.get(one.name, ())]
        try:
            loaded = self._load(write(self._frame, documents))
        except ConfigError as error:
            raise refused(error.problems, f"{one.name}/{identity}") from None
        entity = getattr(loaded.configuration, one.name).get(identity)
        stored = _normal(one, document, entity) if entity is not None else document
        self._check_unique(book, one, identity, stored, entity)
        return Change(one.name, identity, stored)

    def _check_unique(
        self, book: Book, one: Collection, identity: str, document: Document, entity: Any
    ) -> None:
        """Refuse what others have, as it is written and as it is read: a placeholder may come to what another one says."""
        others = self._resolved(book, one, identity)
        for fields in SHAPES[one.name].unique:
            values = [document.get(field) for field in fields]
            if values[0] is None:
                continue
            taken = [values, *([] if entity is None else [_read(entity, fields)])]
            for other in book.all(one.name).values():
                if other.id == identity:
                    continue
                written = [other.document.get(field) for field in fields]
                read = _read(others[other.id], fields) if other.id in others else written
                if written in taken or read in taken:
                    raise Refusal.unique(_told(one, fields, values))

    def _resolved(self, book: Book, one: Collection, identity: str) -> Mapping[str, Any]:
        """Return the others whose names or keys hold placeholders, as the loader reads them; none where one has no value."""
        names = {field for fields in SHAPES[one.name].unique for field in fields}
        documents: dict[str, dict[str, Document]] = {}
        for entry in book.all(one.name).values():
            texts = (entry.document.get(name) for name in names)
            if entry.id != identity and any(isinstance(each, str) and _is_resolved(each) for each in texts):
                documents.setdefault(one.name, {})[entry.id] = entry.document
                for name, some in book.closure(one.name, entry.document).items():
                    documents.setdefault(name, {}).update(some)
        if not documents:
            return {}
        text = {name: [{"id": each, **one} for each, one in some.items()] for name, some in documents.items()}
        try:
            found: Mapping[str, Any] = getattr(self._load(write(self._frame, text)).configuration, one.name)
        except ConfigError:
            return {}
        return found


def refused(problems: Iterable[Problem], own: str) -> Refusal:
    """Tell what is wrong with an entity by its fields; ``own`` is the path of the entity itself."""
    fields: dict[str, Any] = {}
    for one in problems:
        message = f"{one.message} ({one.hint})" if one.hint else one.message
        if one.path.startswith(own):
            steps = _STEP.findall(one.path.removeprefix(own))
        else:
            steps, message = [], f"{one.path}: {message}" if one.path else message
        if not steps:
            fields.setdefault("@entity", []).append(message)
            continue
        inner = fields
        for step in steps[:-1]:
            below = inner.setdefault(step, {})
            if not isinstance(below, dict):
                break
            inner = below
        else:
            inner.setdefault(steps[-1], message)
    return Refusal.fields(fields)


def _check_references(book: Book, one: Collection, document: Document) -> None:
    for field, parent in SHAPES[one.name].references.items():
        wanted = document.get(field)
        if isinstance(wanted, str) and wanted not in book.all(parent):
            raise Refusal.foreign(field, {"id": wanted}, parent)


def resolved(book: Book, one: Collection, field: str, given: Any) -> str | None:
    """Return the id that a reference of a body means: ``{"id": ...}``, ``{"name": ...}``, or either alone."""
    parent = COLLECTIONS[SHAPES[one.name].references[field]]
    wanted = given
    if isinstance(given, dict):
        wanted = next((given[key] for key in ("id", parent.key, "name") if given.get(key)), None)
    if wanted is None and not given:
        return None
    if not isinstance(wanted, str):
        raise Refusal.schema(field, "must be an object with an id or a name")
    found = book.find(parent, wanted)
    if found is None:
        raise Refusal.foreign(field, given if isinstance(given, dict) else {"id": given}, parent.name)
    return found.id


def _normal(one: Collection, document: Document, entity: Any) -> Document:
    """Write what others are compared with, and what was short, as the loader has it; placeholders stay."""
    stored = dict(document)
    url = stored.get("url")
    if one.name == "services" and isinstance(url, str) and not _is_placeholder(url):
        del stored["url"]
        stored |= {name: value for name in _FROM_URL if (value := getattr(entity, name)) is not None}
    if one.name == "upstreams" and entity.algorithm != "round-robin":
        stored["algorithm"] = entity.algorithm
    for field in {name for fields in SHAPES[one.name].unique for name in fields}:
        value = stored.get(field)
        if isinstance(value, str) and not _is_placeholder(value):
            stored[field] = getattr(entity, field)
    return stored


def _is_placeholder(text: str) -> bool:
    return "{" in text or text.startswith("$")


def _is_resolved(text: str) -> bool:
    return "{vault://" in text or "${" in text


def _read(entity: Any, fields: Iterable[str]) -> list[Any]:
    return [getattr(entity, field) for field in fields]


def _told(one: Collection, fields: Iterable[str], values: Iterable[Any]) -> Mapping[str, Any]:
    """Return what is not unique as an answer may show it: no secret, references as objects."""
    shape = SHAPES[one.name]
    told: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if field in shape.hidden:
            told["key" if field == "hash" else field] = MASK
        else:
            told[field] = {"id": value} if field in shape.references and value is not None else value
    return told
