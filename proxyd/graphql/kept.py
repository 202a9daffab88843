"""Texts by their hash, in memory: as many as there is room for, those forgotten first that nobody has asked for longest."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict

DIGEST_LENGTH = 64  # hexadecimal digits
OVERHEAD = 256  # bytes that an entry takes beside its text: its key, and its place in the table


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_digest(name: str) -> bool:
    """Tell whether a name can be such a hash."""
    return len(name) == DIGEST_LENGTH and not name.strip("0123456789abcdef")


class Kept:
    """Texts by their digest, in ``max_size`` bytes of memory at most."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._texts: OrderedDict[str, str] = OrderedDict()
        self.size = 0

    def __repr__(self) -> str:
        return f"<Kept {len(self._texts)} texts, {self.size} of {self._max_size} bytes>"

    def __len__(self) -> int:
        return len(self._texts)

    def get(self, digest: str) -> str | None:
        """Return a text, which is then the last to be forgotten."""
        text = self._texts.get(digest)
        if text is not None:
            self._texts.move_to_end(digest)
        return text

    def put(self, digest: str, text: str) -> None:
        """Keep a text; the caller has made sure that this is its digest. One that is larger than all the room is not kept."""
        size = sys.getsizeof(text) + OVERHEAD
        if digest in self._texts or size > self._max_size:
            return
        self._texts[digest] = text
        self.size += size
        while self.size > self._max_size:
            _, forgotten = self._texts.popitem(last=False)
            self.size -= sys.getsizeof(forgotten) + OVERHEAD
