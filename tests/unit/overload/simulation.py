"""A backend of fixed capacity and clients that do not wait for one another, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from itertools import count

DEADLINE = 1.0  # seconds after which a client goes away


class Permit:
    """What an exchange is to a limit."""

    permit = None
    admitted = 0.0
    over = False


class Simulation:
    """Requests at ``rates[n]`` a second in second n, for ``servers`` that take what ``service`` says, in order.

    The backend works for clients that have gone too. A ``limit`` of None lets everything in. Counts are by second.
    """

    def __init__(self, limit, rates, *, servers=50, service=lambda _random: 0.02, ranks=(2,), seed=1):
        self.limit = limit
        self.rates = rates
        self.service = service
        self.ranks = ranks
        self.random = random.Random(seed)  # a simulation
        self.free = servers
        self.queue = deque()
        self.events = []
        self.numbers = count()
        self.good = Counter()
        self.refused = Counter()
        self.offered_of = Counter()  # by rank
        self.refused_of = Counter()
        self.waits = []  # when admitted, and how long

    def run(self):
        self.push(0.0, self.arrives, Permit())
        while self.events:
            now, _, what, exchange = heapq.heappop(self.events)
            what(now, exchange)
        return self

    def push(self, when, what, exchange):
        heapq.heappush(self.events, (when, next(self.numbers), what, exchange))

    def arrives(self, now, exchange):
        if now >= len(self.rates):
            return
        self.push(now + self.random.expovariate(self.rates[int(now)]), self.arrives, Permit())
        rank = self.random.choice(self.ranks)
        self.offered_of[rank] += 1
        if self.limit is not None and not self.limit.admit(exchange, rank, now):
            self.refused[int(now)] += 1
            self.refused_of[rank] += 1
            return
        exchange.admitted = now
        self.push(now + DEADLINE, self.gives_up, exchange)
        if self.free:
            self.free -= 1
            self.push(now + self.service(self.random), self.served, exchange)
        else:
            self.queue.append(exchange)

    def served(self, now, exchange):
        if not exchange.over:
            exchange.over = True
            self.good[int(now)] += 1
            self.waits.append((exchange.admitted, now - exchange.admitted))
            if self.limit is not None:
                self.limit.answered(exchange, 200, now)
        if self.queue:
            self.push(now + self.service(self.random), self.served, self.queue.popleft())
        else:
            self.free += 1

    def gives_up(self, now, exchange):
        if not exchange.over:
            exchange.over = True
            if self.limit is not None:
                self.limit.left(exchange, now)

    def rate(self, counts, first, last):
        """Return how many a second there were from second ``first`` to ``last``."""
        return sum(counts[second] for second in range(first, last)) / (last - first)

    def p99(self, since):
        """Return the 99th percentile of latencies from a second on, infinite where nothing was answered."""
        waits = sorted(wait for when, wait in self.waits if when >= since)
        return waits[int(len(waits) * 0.99)] if waits else math.inf
