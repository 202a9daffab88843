"""A bounded memory of recent answers, as cheap to ask as a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")


class RecentCache(Generic[T]):
    """Remembers at least the last ``size`` keys that were asked for, and at most twice as many.

    Two dicts take turns: what is asked for moves to the young one; when that is full it becomes the old one,
    and the former old one is forgotten. So a hit costs one look-up, where a list of uses would be rewritten.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[Hashable, T] = {}
        self._old: dict[Hashable, T] = {}

    def __repr__(self) -> str:
        return f"<RecentCache young={len(self._young)} old={len(self._old)}>"

    def get(self, key: Hashable) -> T | None:
        """Return what was remembered for this key, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Hashable, value: T) -> None:
        """Remember a value for this key."""
        if len(self._young) >= self._size:
            self._old = self._young
            self._young = {}
        self._young[key] = value
