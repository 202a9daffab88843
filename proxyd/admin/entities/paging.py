"""Pages of a collection: ``size``, ``offset`` and ``tags`` as Kong reads them (``kong/api/endpoints.lua``)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import urlencode

from proxyd.admin.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000
_TAG: Final = re.compile(r"[^,/]+(?:,[^,/]+)*|[^,/]+(?:/[^,/]+)*")


class One(Protocol):
    """What stands on a page."""

    @property
    def id(self) -> str:
        """Its identity."""

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""


OneT = TypeVar("OneT", bound=One)


@dataclass(frozen=True, slots=True)
class Page:
    """What of a collection is asked for: at most ``size`` entities behind the one with the id ``after``.

    An entity has all of ``tags``, or one of them where ``any_tag``.
    """

    size: int = DEFAULT_SIZE
    after: str = ""
    tags: tuple[str, ...] = ()
    any_tag: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Page:
        """Read a query; raises Refusal."""
        tags = query.get("tags", "")
        if tags and not _TAG.fullmatch(tags):
            raise Refusal.schema("tags", "are several that all hold (a,b), or of which one does (a/b)")
        return cls(
            size_of(query),
            _read_offset(query.get("offset", "")),
            tuple(re.split("[,/]", tags)) if tags else (),
            "/" in tags,
        )

    def of_entities(self, entities: Iterable[OneT]) -> tuple[list[OneT], str]:
        """Return those of this page, and the offset of the next one, or nothing. Raises Refusal."""
        chosen = [one for one in entities if self._has_tags(one)]
        start = 0
        if self.after:
            start = next((place for place, one in enumerate(chosen, 1) if one.id == self.after), 0)
            if not start:
                raise Refusal.schema("offset", "is of another collection, or of an older configuration")
        page = chosen[start : start + self.size]
        return page, _offset(page[-1].id) if start + self.size < len(chosen) else ""

    def _has_tags(self, entity: One) -> bool:
        if not self.tags:
            return True
        return (any if self.any_tag else all)(tag in entity.tags for tag in self.tags)


def size_of(query: Mapping[str, str]) -> int:
    """Return how many are asked for; raises Refusal."""
    size = query.get("size", str(DEFAULT_SIZE))
    if not size.isascii() or not size.isdigit() or not 1 <= int(size[:9]) <= MAX_SIZE:
        raise Refusal.schema("size", f"must be an integer between 1 and {MAX_SIZE}")
    return int(size)


def next_path(path: str, query: Mapping[str, str], offset: str) -> str | None:
    """Return where the next page is, or None behind the last one."""
    return f"{path}?{urlencode({**query, 'offset': offset})}" if offset else None


def _offset(identity: str) -> str:
    return base64.urlsafe_b64encode(identity.encode()).decode()


def _read_offset(text: str) -> str:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:  # neither base64 nor text
        raise Refusal.schema("offset", "must be one that a page has given") from None
