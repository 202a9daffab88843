"""Consistent hashing: the same key goes to the same target, whichever worker asks and whoever else leaves.

Every target owns points on a ring of numbers from 0 to 1, drawn from a generator seeded with its name, so that
each worker and each machine draws the same. A key belongs to the first point behind its own hash. When a
target leaves, only its keys move; when it returns, they move back.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from proxyd.exchange import Exchange
    from proxyd.upstream.peer import Peer

CIRCLE = 2.0**-64  # what turns a hash of 64 bits into a place on the ring


class ConsistentHashing:
    """A ring of about ``slots`` points, shared out by weight.

    ``total`` is the weight of all configured targets, the ineligible included: a target has as many points
    while others are out as before.
    """

    __slots__ = ("_key", "_owners", "_points", "_random")

    def __init__(
        self,
        peers: Sequence[tuple[Peer, int]],
        key: Callable[[Exchange], str | None],
        slots: int,
        total: int,
        rng: random.Random,
    ) -> None:
        self._key = key
        self._random = rng
        owners: dict[float, Peer] = {}
        for peer, weight in peers:
            # Seeding with text goes through SHA-512: the same in every process.
            draw = random.Random(f"{peer.label} {peer.address}").random  # noqa: S311
            count = max(1, round(slots * weight / total))
            owners.update(dict.fromkeys((draw() for _ in range(count)), peer))
        self._owners = owners
        self._points = sorted(owners)  # floats, which sort several times faster than pairs

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:
        """Return the owner of the exchange's key; a random one where it has none."""
        key = self._key(exchange)
        place = self._random.random() if key is None else position(key)
        points = self._points
        start = bisect_right(points, place)
        owner = self._owners[points[start if start < len(points) else 0]]
        if owner in tried:
            around = (self._owners[points[(start + step) % len(points)]] for step in range(len(points)))
            owner = next((peer for peer in around if peer not in tried), owner)
        owner.inflight += 1
        return owner


def position(key: str) -> float:
    """Hash a key to its place on the ring, from 0 to 1."""
    return CIRCLE * int.from_bytes(blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest())
