"""A declarative text as a flat table of documents: every entity by its id, references as ids, placeholders as they are.

It is the form in which entities are compared with one another. No variables are needed for it, and what has its default
is left out, as one text may say it and another not. ``model.documents`` is for what goes into a database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from proxyd.errors import ConfigError, Problem
from proxyd.model.document import parse
from proxyd.model.documents import plain
from proxyd.model.references import References
from proxyd.model.report import Report
from proxyd.model.secrets import Secrets
from proxyd.model.shapes import FORMATS, SHAPES
from proxyd.model.shorthand import EXPANSIONS, ShorthandError
from proxyd.model.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.element import Element
    from proxyd.model.walk import Draft

Document = dict[str, Any]
Table = dict[str, dict[str, Document]]  # collection -> id -> document, which has no id in it


@dataclass(slots=True)
class Flat:
    """``given`` are collection and id of the entities whose ids stand in the text.

    ``transform`` tells whether passwords are in clear; ``vaults`` are those that the text defines.
    """

    table: Table = field(default_factory=lambda: {collection: {} for collection in SHAPES}, repr=False)
    transform: bool = True
    given: set[tuple[str, str]] = field(default_factory=set)
    vaults: list[Any] = field(default_factory=list)


class _Kept(Secrets):
    """Placeholders that stay what they are."""

    def __init__(self) -> None:
        super().__init__({})

    def expand(self, element: Element, text: str) -> str:  # noqa: ARG002
        return text


def flat(text: str, name: str, plugins: Mapping[str, type[BaseModel]]) -> Flat:
    """Return what a text has; raises ConfigError where it is none, or refers to what is not there.

    Whether the values are right is for a load to say.
    """
    report = Report(name)
    root = parse(text, name)
    if not isinstance(root.value, dict):
        raise ConfigError([Problem(root.place(name), "", "must be a mapping")])
    secrets = _Kept()
    walk = Walk(report, secrets)
    walk.document(root)
    stated = root.get("_format_version")
    version = str(stated.value) if stated is not None else FORMATS[-1]
    given = {id(draft) for draft in walk.drafts if draft.fields.get("id") is not None}
    for draft in walk.drafts:
        _expand(draft, version, report)
    References(walk.drafts, report, secrets).connect()
    report.raise_errors()
    transform = root.get("_transform")
    found = Flat(transform=transform is None or transform.value is not False)
    vaults = root.get("vaults")
    found.vaults = list(plain(walk.plain(vaults)) or ()) if vaults is not None else []
    for draft in walk.drafts:
        document = plain({key: value for key, value in draft.fields.items() if key != "id"})
        found.table[draft.collection][draft.id] = spare(draft.collection, document, plugins)
        if id(draft) in given:
            found.given.add((draft.collection, draft.id))
    return found


def _expand(draft: Draft, version: str, report: Report) -> None:
    url = draft.fields.get("url")
    if isinstance(url, str) and ("{" in url or url.startswith("$")):
        draft.unresolved.add("host")
        return
    expansion = EXPANSIONS.get(draft.collection)
    if expansion is None:
        return
    try:
        expansion(draft.fields, version)
    except ShorthandError as error:
        place, path, _ = draft.locate((error.field,), report.file)
        report.error(place, path, error.message, error.hint)


# --- without defaults ----------------------------------------------------------------------------------------

_NOTHING: Final = (None, PydanticUndefined)


def spare(collection: str, document: Mapping[str, Any], plugins: Mapping[str, type[BaseModel]]) -> Document:
    """Return a document without what has its default, or is null."""
    kept = _without_defaults(document, SHAPES[collection].entity)
    config = document.get("config")
    if collection == "plugins" and isinstance(config, dict):
        model = plugins.get(str(document.get("name")))
        kept["config"] = _without_defaults(config, model) if model is not None else config
        if not kept["config"]:
            del kept["config"]
    return kept


def _without_defaults(document: Mapping[str, Any], model: type[BaseModel]) -> Document:
    kept: Document = {}
    for name, value in document.items():
        if value is None:
            continue
        found = model.model_fields.get(name)
        if found is None:  # a shorthand, or an alias
            kept[name] = value
            continue
        default = found.get_default(call_default_factory=True, validated_data={})
        below = _model_of(found.annotation)
        if isinstance(value, dict) and below is not None:
            inner = _without_defaults(value, below)
            if inner or default in _NOTHING or default != below.model_construct():
                kept[name] = inner
        elif default in _NOTHING or to_jsonable_python(default, fallback=str) != value:
            kept[name] = value
    return kept


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the one class that a field holds an instance of, or None."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    found = [one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return found[0] if len(found) == 1 else None
