"""The entities of a file one by one, as documents: nothing nested, references as ids, placeholders as they stand there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxyd.model.configure import wants_expansion
from proxyd.model.decode import Decoder
from proxyd.model.document import parse
from proxyd.model.load import format_version, transforms, vaults_of
from proxyd.model.references import References
from proxyd.model.report import Report
from proxyd.model.secrets import Secrets
from proxyd.model.walk import Draft, Walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.errors import Place
    from proxyd.model.element import Element

_FROM_URL: Final = ("protocol", "host", "port", "path")
_DIGESTED: Final = frozenset({"key", "password"})  # a digest is made of what a placeholder stands for


@dataclass(frozen=True, slots=True)
class Placed:
    """One entity: where it stands, and its fields as a file of format 3.0 has them, without its id."""

    collection: str
    id: str
    place: Place
    path: str
    document: dict[str, Any] = field(repr=False)


def flatten(
    text: str, name: str, env: Mapping[str, str], overrides: Mapping[str, Any]
) -> tuple[list[Placed], bool]:
    """Return the entities of a text that loads, in its order, and its ``_transform``; raises ConfigError."""
    report = Report(name)
    root = parse(text, name)
    secrets = Secrets(env, expand_env=wants_expansion(root, env, overrides), prefixes=vaults_of(root, report))
    walk = Walk(report, secrets)
    walk.document(root)
    decoder = Decoder(report, secrets, format_version(root, report))
    for draft in walk.drafts:
        decoder.expand(draft)
    References(walk.drafts, report, secrets).connect()
    transform = transforms(root, report)
    report.raise_errors()
    found = [
        Placed(draft.collection, draft.id, draft.element.place(name), draft.path, _document(draft, secrets))
        for draft in walk.drafts
    ]
    return found, transform


def raw(element: Element) -> Any:
    """Return what an element holds as JSON has it, without nulls and with nothing put in from the environment."""
    value = element.value
    if isinstance(value, dict):
        return {key: raw(below) for key, below in value.items() if below.value is not None}
    if isinstance(value, list):
        return [raw(below) for below in value]
    return value


def plain(value: Any) -> Any:
    """Return what a field holds as JSON has it."""
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    return value


def _document(draft: Draft, secrets: Secrets) -> dict[str, Any]:
    document = {}
    for name, value in draft.fields.items():
        element = draft.element.get(name)
        digested = name in _DIGESTED and draft.collection in {"keyauth_credentials", "basicauth_credentials"}
        if element is not None and not digested and secrets.touched(element):
            document[name] = raw(element)
        elif name != "id":
            document[name] = plain(value)
    url = draft.element.get("url")
    if url is not None and secrets.touched(url):
        document = {name: value for name, value in document.items() if name not in _FROM_URL}
        document["url"] = raw(url)
    return document
