"""Contents of a database as the text of a declarative file, which is what processes load.

The file goes on to say what is no entity: its ``proxyd`` block and its vaults are the frame around them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from proxyd.errors import ConfigError, Place, Problem
from proxyd.model.document import DATABASE, parse
from proxyd.model.documents import raw
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxyd.database.entries import Contents, Document, Entry

Frame = dict[str, Any]
TOO_LARGE: Final = "a number has more than 64 bits, which no database keeps"
_FRAMING = ("proxyd", "vaults")


def frame_of(text: str, name: str) -> Frame:
    """Return what a file says beside its entities, with its placeholders as they are; raises ConfigError."""
    root = parse(text, name)
    framing = {key: element for key in _FRAMING if (element := root.get(key)) is not None}
    return {
        "_format_version": "3.0",
        "_transform": False,  # passwords are stored as digests
        **{key: raw(element) for key, element in framing.items()},
    }


def compose(frame: Frame, contents: Contents) -> str:
    """Return the text of all entities in their frame."""
    return write(frame, {name: map(_whole, in_order(entries)) for name, entries in contents.entries.items()})


def in_order(entries: Mapping[str, Entry]) -> list[Entry]:
    """Return entities in the order in which they were made, as Kong's router wants them."""
    return sorted(entries.values(), key=lambda one: (one.created_at, one.id))


def _whole(entry: Entry) -> Document:
    return {"id": entry.id, **entry.document}


def write(frame: Frame, documents: Mapping[str, Iterable[Document]]) -> str:
    """Return the text of some entities; ``id`` is among the fields of each. Raises ConfigError."""
    found = {name: list(documents[name]) for name in SHAPES if name in documents}
    try:
        return orjson.dumps({**frame, **{name: some for name, some in found.items() if some}}).decode()
    except TypeError:  # 10 ** 30 is one for YAML
        raise ConfigError([Problem(Place(DATABASE), "", TOO_LARGE)]) from None
