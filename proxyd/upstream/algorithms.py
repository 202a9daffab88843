"""How one of several targets is chosen: once per try of a request.

Each algorithm is made for a fixed set of eligible peers and thrown away when the set changes; what must
outlive it (load, latency) is kept on the peers. ``pick`` avoids the peers already tried while others exist, and
counts the exchange as under way at the peer.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Final, Protocol

from proxyd.errors import GatewayError, Kind

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Container, Sequence

    from proxyd.exchange import Exchange
    from proxyd.upstream.peer import Peer

DECAY: Final = 10.0  # seconds after which a measured latency counts 1/e, as Kong's ewma does
FLOOR: Final = 0.0001  # seconds added to every latency, so that load counts where none was measured
FAILURE_LATENCY: Final = 1.0  # seconds: what a failure is taken for, lest a target that fails fast looks fast


class Algorithm(Protocol):
    """A way of choosing."""

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:
        """Choose a peer and count it in ``inflight``; raises GatewayError where there is none."""


class Nobody:
    """No target is eligible: every pick fails."""

    __slots__ = ("_cause", "_kind")

    def __init__(self, kind: Kind, cause: str) -> None:
        self._kind = kind
        self._cause = cause

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:  # noqa: ARG002
        """Raise GatewayError."""
        raise GatewayError(self._kind, self._cause)


class Single:
    """One target is eligible: it is every choice."""

    __slots__ = ("_peer",)

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:  # noqa: ARG002
        """Return the one."""
        peer = self._peer
        peer.inflight += 1
        return peer


class RoundRobin:
    """Smooth weighted round-robin.

    Each peer is due again after a stride inversely proportional to its weight, and the one due first is next.
    Strides are integers, so that over the sum of the weights (divided by their greatest common divisor) each
    peer gets exactly its share; starting half a stride in spreads the turns evenly. Peers of equal weight take
    turns in a random order, lest every worker begins with the same one.
    """

    __slots__ = ("_heap",)

    def __init__(self, peers: Sequence[tuple[Peer, int]], rng: random.Random) -> None:
        # Twice the least common multiple: halves of strides are integers too.
        common = 2 * math.lcm(*(weight for _, weight in peers))
        order = list(peers)
        rng.shuffle(order)
        # The second member is unique, so that peers are never compared.
        self._heap = [
            (common // weight // 2, rank, common // weight, peer) for rank, (peer, weight) in enumerate(order)
        ]
        heapify(self._heap)

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:  # noqa: ARG002
        """Return the peer whose turn it is."""
        heap = self._heap
        due, rank, stride, peer = heap[0]
        if peer in tried:
            return self._another(tried)
        heapreplace(heap, (due + stride, rank, stride, peer))
        peer.inflight += 1
        return peer

    def _another(self, tried: Container[Peer]) -> Peer:
        """Give the turn to the first in line that is untried, without taking the others' turns from them."""
        heap = self._heap
        line = sorted(heap, key=lambda entry: entry[:2])
        chosen = next((entry for entry in line if entry[3] not in tried), line[0])
        due, rank, stride, peer = chosen
        heap[heap.index(chosen)] = (due + stride, rank, stride, peer)
        heapify(heap)
        peer.inflight += 1
        return peer


class LeastConnections:
    """The peer with the fewest exchanges under way for its weight; peers on a par take turns."""

    __slots__ = ("_order",)

    def __init__(self, peers: Sequence[tuple[Peer, int]], rng: random.Random) -> None:
        order = [(peer, 1.0 / weight) for peer, weight in peers]
        rng.shuffle(order)
        self._order = deque(order)

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:  # noqa: ARG002
        """Return the least loaded peer."""
        order = self._order
        order.rotate(-1)
        least = math.inf
        chosen: Peer | None = None
        for peer, share in order:
            load = (peer.inflight + 1) * share
            if load < least and peer not in tried:
                least = load
                chosen = peer
        if chosen is None:
            chosen = order[0][0]
        chosen.inflight += 1
        return chosen


class Latency:
    """The better of two random peers, by peak-sensitive moving average of latency, load and weight.

    Two choices are enough to avoid the slow and, other than the best of all, do not send every worker's
    requests to the same peer at once.
    """

    __slots__ = ("_now", "_peers", "_random")

    def __init__(
        self, peers: Sequence[tuple[Peer, int]], rng: random.Random, now: Callable[[], float]
    ) -> None:
        self._peers = [(peer, 1.0 / weight) for peer, weight in peers]
        self._random = rng.random
        self._now = now
        known = [peer.ewma for peer, _ in peers if peer.ewma]
        if known:
            # A newcomer is taken for average, instead of for infinitely fast until its first answer.
            average = sum(known) / len(known)
            for peer, _ in peers:
                if not peer.ewma:
                    peer.ewma = average
                    peer.ewma_at = now()

    def pick(self, exchange: Exchange, tried: Container[Peer]) -> Peer:  # noqa: ARG002
        """Return the better of two peers."""
        peer = self._better(self._peers)
        if peer in tried:
            left = [entry for entry in self._peers if entry[0] not in tried]
            if left:
                peer = self._better(left)
        peer.inflight += 1
        return peer

    def _better(self, peers: Sequence[tuple[Peer, float]]) -> Peer:
        count = len(peers)
        index = int(self._random() * count)
        first = peers[index]
        if count == 1:
            return first[0]
        other = int(self._random() * (count - 1))
        second = peers[other + (other >= index)]
        now = self._now()
        return first[0] if _cost(first, now) <= _cost(second, now) else second[0]


def _cost(entry: tuple[Peer, float], now: float) -> float:
    peer, share = entry
    latency = peer.ewma * math.exp((peer.ewma_at - now) / DECAY) + FLOOR
    return latency * (peer.inflight + 1) * share


def measure(peer: Peer, latency: float, now: float) -> None:
    """Take a latency in seconds into a peer's average: a peak at once, an improvement gradually."""
    kept = math.exp((peer.ewma_at - now) / DECAY)
    peer.ewma = latency if latency > peer.ewma else peer.ewma * kept + latency * (1.0 - kept)
    peer.ewma_at = now
