"""Names kept resolved: asked for again before they expire, so that no request waits for DNS twice.

Balancers watch names and are told when the addresses change. While the name servers fail, the last good
answer is kept; a definite "no such name" counts once that answer has expired.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proxyd.upstream.dnsclient import Found, NameNotFoundError, NamingError, Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.clock import Clock

    Sleep = Callable[[float], Awaitable[None]]

MIN_TTL = 1.0  # seconds: a record with a TTL of 0 would be asked for without a pause
MAX_LOOKUPS = 64  # under way at once; a file may name thousands of hosts
EARLY = (0.8, 0.95)  # part of a TTL after which it is asked again; spread, lest all workers ask at once


class Lookup(Protocol):
    """Who answers: ``DnsClient``, or a fake."""

    def known(self, host: str) -> tuple[Record, ...]:
        """Return what is known without asking."""

    async def lookup(self, host: str) -> Found:
        """Ask; raises NameNotFoundError or LookupFailedError."""


@dataclass(frozen=True, slots=True)
class CacheTimes:
    """Kong's ``dns_*`` times, in seconds; ``valid`` takes the place of the records' own TTL where it is set."""

    valid: float | None = None
    stale: float = 3600.0
    not_found: float = 30.0
    error: float = 1.0


class Name:
    """One host, its last answer, and the task that keeps it fresh.

    ``records`` is what is believed now, ``error`` why it is empty. ``resolved`` turns true with the first
    answer of any kind and stays so.
    """

    __slots__ = ("_callbacks", "_expires", "_resolver", "_task", "error", "host", "records", "resolved")

    def __init__(self, resolver: Resolver, host: str) -> None:
        self.host = host
        self.records = resolver.lookup.known(host)
        self.resolved = bool(self.records)
        self.error = ""
        self._resolver = resolver
        self._expires = 0.0
        self._callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = self.error or f"{len(self.records)} addresses" if self.resolved else "unresolved"
        return f"<Name {self.host}: {state}>"

    # --- what is believed ------------------------------------------------------------------------------------

    def found(self, found: Found, now: float) -> float:
        """Take an answer; return the seconds until it is asked for again."""
        times = self._resolver.times
        ttl = max(found.ttl if times.valid is None else times.valid, MIN_TTL)
        self._expires = now + ttl
        self._believe(found.records, "")
        return ttl * self._resolver.spread()

    def failed(self, error: NamingError, now: float) -> float:
        """Take a failure; return the seconds until the next try."""
        times = self._resolver.times
        missing = isinstance(error, NameNotFoundError)
        keep_until = self._expires if missing else self._expires + times.stale
        if not self.records or now >= keep_until:
            self._believe((), str(error))
            return times.not_found if missing else times.error
        return min(times.error, keep_until - now) if not missing else max(keep_until - now, MIN_TTL)

    def _believe(self, records: tuple[Record, ...], error: str) -> None:
        changed = not self.resolved or set(records) != set(self.records) or error != self.error
        self.error = error
        self.resolved = True
        if changed:
            self.records = records
            for callback in tuple(self._callbacks):
                callback()

    # --- watching --------------------------------------------------------------------------------------------

    def add(self, callback: Callable[[], None]) -> None:
        """Call back at each change; the first to watch starts the asking."""
        self._callbacks.append(callback)
        # What needs no name server is never asked for.
        if self._task is None and not self.resolved:
            self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name=f"dns {self.host}")

    def remove(self, callback: Callable[[], None]) -> bool:
        """Stop calling back; returns whether this was the last, and then the asking stops."""
        self._callbacks.remove(callback)
        if not self._callbacks and self._task is not None:
            self._task.cancel()
            self._task = None
        return not self._callbacks

    async def _keep_fresh(self) -> None:
        resolver = self._resolver
        while True:
            try:
                async with resolver.turns:
                    found = await resolver.lookup.lookup(self.host)
            except NamingError as error:
                delay = self.failed(error, resolver.clock.now())
            else:
                delay = self.found(found, resolver.clock.now())
            await resolver.sleep(delay)


class Resolver:
    """The names that anything watches; one per process, outliving reloads."""

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        times: CacheTimes | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.lookup = lookup
        self.clock = clock
        self.times = times or CacheTimes()
        self.sleep = sleep
        self._random = rng or random.Random()  # noqa: S311
        self.turns = asyncio.Semaphore(MAX_LOOKUPS)
        self._names: dict[str, Name] = {}

    def __repr__(self) -> str:
        return f"<Resolver {sorted(self._names.values(), key=lambda name: name.host)}>"

    def spread(self) -> float:
        """Return the part of a TTL to wait this time."""
        return self._random.uniform(*EARLY)

    def watch(self, host: str, callback: Callable[[], None]) -> Name:
        """Keep a host resolved from now on and call back at each change; needs a running loop."""
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = Name(self, host)
        name.add(callback)
        return name

    def unwatch(self, name: Name, callback: Callable[[], None]) -> None:
        """Stop calling back; the last one to go stops the asking and forgets the answer."""
        if name.remove(callback):
            del self._names[name.host]
