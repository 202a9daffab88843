"""The third step of a load: references by name or id become ids, and absent ids are derived.

An id is derived by UUID version 5 from what identifies the entity, so that it stays the same from load to load,
and never from a secret, for ids are sent to backends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from proxyd.model.grammar import check_uuid
from proxyd.model.shapes import SHAPES
from proxyd.model.suggest import nearest

if TYPE_CHECKING:
    from proxyd.model.report import Report
    from proxyd.model.secrets import Secrets
    from proxyd.model.walk import Draft

# The namespace that Kong derives ids in (kong/db/schema/others/declarative_config.lua): a service, route, consumer or
# upstream that has a name has the id here that it has there.
_ROOT: Final = UUID("fd02801f-0957-4a15-a55a-c8d9606f30b5")
_NAMESPACES: Final = {collection: uuid5(_ROOT, collection) for collection in SHAPES}


class References:
    """Connects the drafts of one file. Afterwards each has an id, and the ids of others in its reference fields."""

    def __init__(self, drafts: list[Draft], report: Report, secrets: Secrets) -> None:
        self._drafts = drafts
        self._report = report
        self._secrets = secrets
        self._ids: dict[str, dict[str, Draft]] = {collection: {} for collection in SHAPES}
        self._names: dict[str, dict[str, Draft]] = {collection: {} for collection in SHAPES}
        self._derived: dict[tuple[str, str], int] = {}

    def connect(self) -> None:
        """Resolve every reference, then give every draft its id."""
        for draft in self._drafts:
            self._index(draft)
        for draft in self._drafts:
            for field, collection in draft.shape.references.items():
                if field in draft.fields:
                    self._resolve(draft, field, collection)
        for draft in self._drafts:
            self._identify(draft)
        for draft in self._drafts:
            draft.fields |= {field: parent.id for field, parent in draft.parents.items()}
            draft.fields["id"] = draft.id
            self._check_ca_certificates(draft)

    def _index(self, draft: Draft) -> None:
        given = draft.fields.pop("id", None)
        if given is not None:
            place, path, _ = draft.locate(("id",), self._report.file)
            try:
                draft.id = check_uuid(given) if isinstance(given, str) else ""
            except ValueError as error:
                self._report.error(place, path, *map(str, error.args))
            if not isinstance(given, str):
                self._report.error(place, path, "must be a string")
            first = self._ids[draft.collection].setdefault(draft.id, draft) if draft.id else draft
            if first is not draft:
                where, _, _ = first.locate(("id",), self._report.file)
                self._report.error(place, path, "this id is already used", f"first at {where}: {first.path}")
        name = draft.fields.get(draft.shape.name)
        if isinstance(name, str):
            self._names[draft.collection].setdefault(name, draft)

    def _resolve(self, draft: Draft, field: str, collection: str) -> None:
        draft.unresolved.add(field)
        place, path, element = draft.locate((field,), self._report.file)
        wanted = _wanted(draft.fields.pop(field), SHAPES[collection].name)
        if wanted is None:
            self._report.error(place, path, "must be a name, an id, or a mapping with one of them")
            return
        found = self._ids[collection].get(wanted.lower()) or self._names[collection].get(wanted)
        if found is None and id(element) in self._secrets.failed:
            return
        if found is None:
            noun = SHAPES[collection].noun
            if self._secrets.touched(element):
                self._report.error(place, path, f"there is no such {noun}")
            else:
                hint = nearest(wanted, self._names[collection])
                self._report.error(place, path, f"there is no {noun} '{wanted}'", hint)
            return
        draft.unresolved.discard(field)
        nested = draft.parents.setdefault(field, found)
        if nested is not found:
            self._report.error(place, path, f"contradicts the nesting: this stands in {nested.path}")

    def _identify(self, draft: Draft) -> str:
        if draft.id:
            return draft.id
        values = [
            self._identify(draft.parents[field]) if field in draft.parents else draft.fields.get(field)
            for field in draft.shape.identity
        ]
        if values and values[0] is not None:
            key = ":".join("" if value is None else str(value) for value in values)
        else:
            shown = {field: value for field, value in draft.fields.items() if field not in draft.shape.hidden}
            parents = {field: self._identify(parent) for field, parent in draft.parents.items()}
            key = json.dumps([self._without_secrets(draft, shown), parents], sort_keys=True, default=str)
        repeated = self._derived.get((draft.collection, key), 0)
        self._derived[draft.collection, key] = repeated + 1
        draft.id = str(uuid5(_NAMESPACES[draft.collection], f"{key}#{repeated}" if repeated else key))
        self._ids[draft.collection].setdefault(draft.id, draft)
        return draft.id

    def _without_secrets(self, draft: Draft, fields: dict[str, Any]) -> dict[str, Any]:
        """Leave out what came from the environment."""
        return {
            name: value
            for name, value in fields.items()
            if (element := draft.element.get(name)) is None or not self._secrets.touched(element)
        }

    def _check_ca_certificates(self, draft: Draft) -> None:
        """See that a service's list of ids leads somewhere: it is the one reference that is a list."""
        wanted = draft.fields.get("ca_certificates")
        if draft.collection != "services" or not isinstance(wanted, tuple):
            return
        for index, each in enumerate(wanted):
            if isinstance(each, str) and each.lower() not in self._ids["ca_certificates"]:
                place, path, _ = draft.locate(("ca_certificates", index), self._report.file)
                self._report.error(place, path, "there is no CA certificate with this id")


def _wanted(value: object, name: str) -> str | None:
    """Return the name or id that a reference gives; None if it is none."""
    if isinstance(value, dict):
        known = [value[key] for key in ("id", "name", name) if key in value]
        value = known[0] if known else None
    return value if isinstance(value, str) and value else None


def check_unique(drafts: list[Draft], report: Report, secrets: Secrets) -> None:
    """Refuse what two entities of a kind may not share: names, keys, scopes."""
    seen: dict[tuple[str, tuple[str, ...], tuple[Any, ...]], Draft] = {}
    for draft in drafts:
        source = draft.entity.__dict__ if draft.entity else draft.fields
        for fields in draft.shape.unique:
            values = tuple([source.get(field) for field in fields])
            if not isinstance(values[0], str):
                continue
            first = seen.setdefault((draft.collection, fields, values), draft)
            if first is not draft:
                place, path, _ = draft.locate((fields[0],), report.file)
                where, origin, _ = first.locate((fields[0],), report.file)
                report.error(place, path, _already(draft, fields, secrets), f"first at {where}: {origin}")


def _already(draft: Draft, fields: tuple[str, ...], secrets: Secrets) -> str:
    text = draft.shown(fields[0], secrets)
    if draft.collection == "plugins" and len(fields) > 1:
        return f"plugin {text} is already given for the same scope"
    if len(fields) > 1:
        return f"{draft.shape.noun} {text} is already given for the same {fields[1]}"
    return f"the {fields[0]} {text} is already used" if text else f"this {fields[0]} is already used"
