"""Documents that are known, bounded in number and in bytes.

A document that is new is on probation; one that is asked for again is kept for good, until there are too many of those. So who
sends a new document each time pushes out the like, and not what real clients ask for. Refused documents are kept by their
digests and without their texts, so that they are refused again without being read.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxyd.graphql.document import Document
    from proxyd.graphql.refusal import Refused

PROBATION: Final = 5  # one part in as many of all bytes is for documents that were asked for once
MAX_REFUSED: Final = 1000  # each of some hundred bytes


class Cache:
    """The documents of one plugin instance, by their texts; ``max_size`` is in bytes."""

    __slots__ = (
        "_kept",
        "_max_kept",
        "_max_new",
        "_most_kept",
        "_most_new",
        "_new",
        "_refused",
        "_size_kept",
        "_size_new",
    )

    def __init__(self, max_documents: int = 10_000, max_size: int = 33_554_432) -> None:
        self._most_new = max_documents // PROBATION
        self._most_kept = max_documents - self._most_new
        self._max_new = max_size // PROBATION
        self._max_kept = max_size - self._max_new
        self._new: OrderedDict[str, Document] = OrderedDict()
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._size_new = self._size_kept = 0
        self._refused: OrderedDict[str, Refused] = OrderedDict()

    def __repr__(self) -> str:
        sizes = f"{self._size_kept}+{self._size_new}"
        return (
            f"<Cache documents={len(self._kept)}+{len(self._new)} bytes={sizes} refused={len(self._refused)}>"
        )

    def find(self, text: str) -> Document | None:
        """Return a document that was kept."""
        document = self._kept.get(text)
        if document is not None:
            document.asked_again = True
            return document
        document = self._new.pop(text, None)
        if document is not None:
            self._size_new -= document.size
            self._promote(document)
        return document

    def keep(self, document: Document) -> None:
        """Keep a document that is new."""
        self._new[document.text] = document
        self._size_new += document.size
        while self._size_new > self._max_new or len(self._new) > self._most_new:
            _, oldest = self._new.popitem(last=False)
            self._size_new -= oldest.size

    def _promote(self, document: Document) -> None:
        kept = self._kept
        kept[document.text] = document
        self._size_kept += document.size
        while self._size_kept > self._max_kept or len(kept) > self._most_kept:
            text, oldest = kept.popitem(last=False)
            if oldest.asked_again:  # a second chance, and cheaper than an order that each hit would change
                oldest.asked_again = False
                kept[text] = oldest
            else:
                self._size_kept -= oldest.size
                self.keep(oldest)  # once more on probation

    def find_refused(self, digest: str) -> Refused | None:
        """Return what a document was refused with."""
        return self._refused.get(digest)

    def keep_refused(self, digest: str, refused: Refused) -> None:
        """Keep a refusal."""
        self._refused[digest] = refused
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def clear(self) -> None:
        """Forget them all."""
        self._new.clear()
        self._kept.clear()
        self._refused.clear()
        self._size_new = self._size_kept = 0
