"""Manifests: files of the documents that an application sends, in Apollo's format or in Relay's.

Apollo's is ``{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body", "name", "type"}]}``,
where ``clientName`` may say whose an operation is; Relay's, which GraphQL Code Generator writes too, is ``{id: body}``. Nothing
here parses a document: thousands of them are read at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

APOLLO: Final = "apollo-persisted-query-manifest"
VERSION: Final = 1
TYPES: Final = ("query", "mutation", "subscription")

_MOST_PROBLEMS = 20  # told of one file
_SHOWN = 80  # characters of an id in a problem


class Entry(NamedTuple):
    """A document of a manifest; ``client`` is whose it is, empty for everybody's."""

    id: str
    text: str
    client: str = ""


class _Wrong(Exception):  # noqa: N818  # a finding, which becomes a Problem
    """What is wrong, where in the JSON, and what would be right."""

    def __init__(self, path: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.hint = hint


def read_manifest(name: str) -> list[Entry]:
    """Read a file; raises ConfigError with what is wrong in it, and where."""
    try:
        text = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError([Problem(Place(name), "", f"cannot be read: {reason}")]) from None
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = Place(name, error.lineno, error.colno)
        raise ConfigError([Problem(place, "", f"is not JSON: {error.msg}")]) from None
    entries: list[Entry] = []
    problems: list[Problem] = []
    for found in _entries(document):
        if isinstance(found, Entry):
            entries.append(found)
            continue
        problems.append(Problem(Place(name), found.path, found.message, found.hint))
        if len(problems) == _MOST_PROBLEMS:
            break
    if problems:
        raise ConfigError(problems)
    return entries


def _entries(document: Any) -> Iterator[Entry | _Wrong]:
    if not isinstance(document, dict):
        yield _Wrong("", "must be an object", f"'format': '{APOLLO}', or documents by their ids")
    elif document.get("format") == APOLLO:
        yield from _of_apollo(document)
    elif "operations" in document:
        yield _Wrong("format", f"must be '{APOLLO}'")
    else:
        yield from _of_relay(document)


def _of_apollo(document: dict[str, Any]) -> Iterator[Entry | _Wrong]:
    if document.get("version") != VERSION:
        yield _Wrong("version", f"must be {VERSION}")
    operations = document.get("operations")
    if not isinstance(operations, list):
        yield _Wrong("operations", "must be a list")
        return
    seen: dict[tuple[str, str], tuple[int, str]] = {}
    for place, operation in enumerate(operations):
        path = f"operations[{place}]"
        try:
            entry = _operation(operation, path)
        except _Wrong as wrong:
            yield wrong
            continue
        first, text = seen.setdefault((entry.client, entry.id), (place, entry.text))
        if text != entry.text:
            yield _Wrong(f"{path}.id", f"is that of operations[{first}], whose body is another one")
        else:
            yield entry


def _operation(operation: Any, path: str) -> Entry:
    if not isinstance(operation, dict):
        raise _Wrong(path, "must be an object")
    for member in ("id", "body"):
        value = operation.get(member)
        if not isinstance(value, str) or not value:
            raise _Wrong(f"{path}.{member}", "must be a string that is not empty")
    for member in ("name", "clientName"):
        if not isinstance(operation.get(member) or "", str):
            raise _Wrong(f"{path}.{member}", "must be a string")
    if operation.get("type", "query") not in TYPES:
        raise _Wrong(f"{path}.type", f"must be one of {', '.join(TYPES)}")
    return Entry(operation["id"], operation["body"], operation.get("clientName") or "")


def _of_relay(document: dict[str, Any]) -> Iterator[Entry | _Wrong]:
    for name, text in document.items():
        if not name:
            yield _Wrong("", "has an id that is empty")
        elif not isinstance(text, str) or not text:
            yield _Wrong(_key(name), "must be a document, as a string", "{id: body}, or Apollo's format")
        else:
            yield Entry(name, text)


def _key(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
