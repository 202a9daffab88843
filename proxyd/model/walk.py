"""The second step of a load: the entities of the file, nested or not, as a flat list of drafts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxyd.model.document import DATABASE
from proxyd.model.element import Element, descend, find, render
from proxyd.model.shapes import (
    CHILDREN,
    FOREIGN_KEYS,
    IGNORED_FIELDS,
    OWN_KEYS,
    REFUSED_COLLECTIONS,
    REFUSED_FIELDS,
    SHAPES,
    UNUSED_COLLECTIONS,
    Shape,
)
from proxyd.model.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.errors import Place
    from proxyd.model.element import Step
    from proxyd.model.entities import Stored
    from proxyd.model.report import Report
    from proxyd.model.secrets import Secrets

_SHORTHANDS: Final = {"services": frozenset({"url"})}
_FROM_URL: Final = frozenset({"protocol", "host", "port", "path"})
_KNOWN: Final = {
    collection: frozenset(shape.entity.model_fields)
    | _SHORTHANDS.get(collection, frozenset())
    | IGNORED_FIELDS
    | frozenset(CHILDREN.get(collection, ()))
    for collection, shape in SHAPES.items()
}


@dataclass(slots=True, eq=False)
class Draft:
    """An entity on its way from the file: where it stands, its decoded fields, and who it belongs to.

    ``parents`` holds, per reference field, the draft that it leads to, and ``unresolved`` the fields that lead
    nowhere or are not known: what would follow from those alone is not told as well. ``entity`` is set once it is valid.
    """

    collection: str
    shape: Shape
    element: Element
    path: str
    parents: dict[str, Draft]
    fields: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    unresolved: set[str] = field(default_factory=set)
    entity: Stored | None = None

    def __repr__(self) -> str:
        return f"<Draft {self.path} {self.id or 'unidentified'}>"

    def locate(self, steps: tuple[Step, ...], file: str) -> tuple[Place, str, Element]:
        """Return place, path and nearest element of a location within this entity, as validators give it.

        A field that came out of ``url`` is located there; a missing one at what it is missing from.
        """
        if steps and steps[0] in _FROM_URL and self.element.get("url") is not None:
            steps = ("url",)
        if steps and steps[-1] == "[key]":  # pydantic's name for the key itself
            holder, _ = descend(self.element, steps[:-2])
            return holder.key_place(file, str(steps[-2])), f"{self.path}.{render(steps[:-1])}", holder
        element, _ = descend(self.element, steps)
        suffix = render(steps)
        return element.place(file), f"{self.path}.{suffix}" if suffix else self.path, element

    def shown(self, name: str, secrets: Secrets) -> str:
        """Return a field's text as messages may show it: quoted, or nothing where it is secret."""
        element = self.element.get(name)
        hidden = name in self.shape.hidden or (element is not None and id(element) in secrets.expanded)
        value = self.fields.get(name)
        return "" if hidden or not isinstance(value, str) else f"'{value}'"


class Walk:
    """Goes through the file once, in its order; ``drafts`` is what it finds."""

    def __init__(self, report: Report, secrets: Secrets) -> None:
        self.drafts: list[Draft] = []
        self._report = report
        self._secrets = secrets

    def document(self, root: Element) -> None:
        """Collect what stands at the top level."""
        for key, element in root.children():
            name, place = str(key), root.key_place(self._report.file, str(key))
            if name in SHAPES:
                self._collection(name, element, name, None)
            elif name in FOREIGN_KEYS:
                self._report.warn(place, name, "ignored: it is meant for other tools")
            elif not self._unserved(name, element, name, place) and name not in OWN_KEYS:
                hint = "" if name.startswith("x-") else nearest(name, [*SHAPES, *OWN_KEYS])
                hint = hint or "what only holds YAML anchors belongs under _ignore"
                self._report.error(place, name, "unknown top-level key", hint)

    def _unserved(self, name: str, element: Element, path: str, place: Place) -> bool:
        """Refuse or pass over a collection of Kong's that proxyd does not serve; True if it is one."""
        if name in REFUSED_COLLECTIONS:
            if element.value:
                self._report.error(place, path, REFUSED_COLLECTIONS[name])
            return True
        if name in UNUSED_COLLECTIONS:
            if element.value:
                self._report.warn(place, path, "ignored: no plugin of proxyd uses it")
            return True
        return False

    def _collection(self, name: str, element: Element, path: str, parent: tuple[str, Draft] | None) -> None:
        if element.value is None:
            return
        if not isinstance(element.value, list):
            self._report.error(element.place(self._report.file), path, "must be a list")
            return
        for index, item in enumerate(element.value):
            self._entity(name, item, path + self._label(item, index), parent)

    def _label(self, item: Element, index: int) -> str:
        """Return what stands for an entity in its path: its number, or its id where nobody has written the text."""
        identity = item.get("id") if self._report.file == DATABASE else None
        return f"[{index}]" if identity is None else f"/{identity.value}"

    def _entity(self, collection: str, element: Element, path: str, parent: tuple[str, Draft] | None) -> None:
        if collection == "snis" and parent and isinstance(element.value, str):  # snis: [a.example, b.example]
            place = (element.line, element.column)
            element = Element({"name": element}, *place, keys={"name": place})
        if not isinstance(element.value, dict):
            self._report.error(element.place(self._report.file), path, "must be a mapping")
            return
        draft = Draft(collection, SHAPES[collection], element, path, dict((parent,)) if parent else {})
        self.drafts.append(draft)
        children = CHILDREN.get(collection, {})
        refused = REFUSED_FIELDS.get(collection, {})
        known = _KNOWN[collection]
        for key, value in element.value.items():
            if value.value is None or key in IGNORED_FIELDS:
                continue
            if key in children:
                self._collection(key, value, f"{path}.{key}", (children[key], draft))
            elif key in known:
                draft.fields[key] = self.plain(value)
            else:
                self._unknown(draft, key, value, refused, known)
        self.tell_failures(element, path)

    def _unknown(
        self,
        draft: Draft,
        key: str,
        value: Element,
        refused: Mapping[str, str],
        known: frozenset[str],
    ) -> None:
        draft.unresolved.add(key)
        path, place = f"{draft.path}.{key}", draft.element.key_place(self._report.file, key)
        if key in refused:
            if value.value not in ([], {}, False):
                self._report.error(place, path, refused[key])
        elif not self._unserved(key, value, path, place):
            self._report.error(place, path, "unknown field", nearest(key, known) or _elsewhere(key))

    def plain(self, element: Element) -> Any:
        """Return what an element holds as plain values: null entries left out, lists as tuples."""
        value = element.value
        if isinstance(value, str):
            return self._secrets.expand(element, value) if "{" in value or value[:1] == "$" else value
        if isinstance(value, dict):
            return {key: self.plain(below) for key, below in value.items() if below.value is not None}
        if isinstance(value, list):
            return tuple([self.plain(below) for below in value])
        return value

    def tell_failures(self, root: Element, path: str) -> None:
        """Report the placeholders that could not be resolved while ``root`` was read, and those left alone."""
        secrets, file = self._secrets, self._report.file
        for element, message in secrets.failures:
            self._report.error(element.place(file), _join(path, render(find(root, element))), message)
        for element in secrets.literal:
            self._report.warn(
                element.place(file),
                _join(path, render(find(root, element))),
                "looks like a placeholder and is taken literally",
                "set PROXYD_EXPAND_ENV=on to have ${NAME} resolved",
            )
        secrets.failures.clear()
        secrets.literal.clear()


def _elsewhere(key: str) -> str:
    """Return a hint for a field that other entities have."""
    owners = [collection for collection, known in _KNOWN.items() if key in known - IGNORED_FIELDS]
    return f"{owners[0]} have such a field" if owners else ""


def _join(path: str, suffix: str) -> str:
    return f"{path}.{suffix}" if path and suffix else path or suffix
