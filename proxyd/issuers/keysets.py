"""The published keys of token issuers, fetched beside the requests and kept (RFC 7517 section 5).

A source is asked again before its answer expires, and once more where a token names a key that it does not hold.
While its server is down, or answers with something else, the keys that were there stay. aiohttp is the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import orjson
from yarl import URL

from proxyd.clock import Clock
from proxyd.crypto.keys import BadKeyError, KeySet
from proxyd.errors import ProxydError
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.source import KeySetState

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

log = get_logger("jwks")

MAX_SIZE = 256 * 1024  # bytes of a document; providers publish a few thousand
_EARLY = (0.8, 0.95)  # part of its life after which a document is asked for again; spread over processes


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. ``least`` and ``most`` bound what Cache-Control says, ``usual`` is where it says nothing."""

    least: float = 60.0
    usual: float = 300.0
    most: float = 3600.0
    fetch: float = 10.0  # for one answer
    pause: float = (
        10.0  # between two fetches that tokens ask for: whoever invents names of keys causes no more
    )
    retry: float = 1.0  # after a failure, doubled with each further one, up to ``least``


class _FetchError(ProxydError):
    """A document could not be had; the text goes to the log."""


class Source:
    """The keys behind one address; ``keys`` is None until there was an answer, ``version`` counts changes."""

    def __init__(self, uri: str, times: Times, clock: Clock, tls: ssl.SSLContext | None) -> None:
        self.uri = uri
        self.label = uri.partition("?")[0]  # a query may hold a key, and belongs in no log
        self.keys: KeySet | None = None
        self.version = 0
        self.holders = 0
        self.succeeded = self.failed = 0
        self.last_success = 0.0
        self._times = times
        self._clock = clock
        self._tls = tls
        self._document = b""
        self._outage = 0  # failures in a row
        self._begun = 0.0
        self._settled = asyncio.Event()  # no fetch is under way
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "down" if self._outage else "up" if self.keys else "unknown"
        return f"<Source {self.label} {state} keys={len(self.keys.keys) if self.keys else 0}>"

    # --- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fetch; needs a running loop."""
        self._begin()
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name=f"jwks {self.uri}")

    async def stop(self) -> None:
        """End it."""
        task, self._task = self._task, None
        self._settled.set()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- asked by requests -----------------------------------------------------------------------------------

    async def newer(self, patience: float) -> None:
        """Wait for the fetch under way, or for one begun for this; at most ``patience`` seconds.

        Returns at once where the last one was too short a time ago.
        """
        if self._settled.is_set():
            if self._task is None or self._clock.now() - self._begun < self._times.pause:
                return
            self._begin()
            self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._settled.wait()

    # --- fetching --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._begun = self._clock.now()
        self._settled.clear()

    async def _keep_fresh(self) -> None:
        while True:
            self._begin()
            delay = await self._round()
            self._wanted.clear()
            self._settled.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wanted.wait()

    async def _round(self) -> float:
        """Fetch once; return the seconds until the next time."""
        times = self._times
        try:
            document, life = await self._fetch()
            keys = _parse(document) if document != self._document else None
        except _FetchError as error:
            self.failed += 1
            self._outage += 1
            if self._outage == 1:
                kept = "the keys that are known stay" if self.keys else "no token of theirs is let in"
                log.warning("keys cannot be fetched", uri=self.label, reason=str(error), until_then=kept)
            return min(times.retry * 2.0 ** min(self._outage - 1, 16), times.least)
        if self._outage:
            log.notice("keys are fetched again", uri=self.label, failures=self._outage)
        self._outage = 0
        self.succeeded += 1
        self.last_success = self._clock.time()
        if keys is not None:
            self._take(document, keys)
        return life * random.uniform(*_EARLY)  # noqa: S311

    def _take(self, document: bytes, keys: KeySet) -> None:
        self._document = document
        self.keys = keys
        self.version += 1
        log.info("keys", uri=self.label, kids=[key.kid for key in keys.keys], ignored=keys.ignored)

    async def _fetch(self) -> tuple[bytes, float]:
        """Return the document and the seconds that it may be used; raises _FetchError."""
        times = self._times
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=times.fetch),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,  # so that the limit on the size holds
                    headers={"User-Agent": "proxyd", "Accept": "*/*", "Accept-Encoding": "identity"},
                ) as session,
                session.get(
                    URL(self.uri), allow_redirects=False, ssl=self._tls if self._tls is not None else True
                ) as response,
            ):
                if response.status != 200:  # noqa: PLR2004  # a redirect would lead past the check of the address
                    raise _FetchError(f"it answers {response.status}")
                document = bytearray()
                async for piece in response.content.iter_any():
                    document += piece
                    if len(document) > MAX_SIZE:
                        raise _FetchError(f"its answer is larger than {MAX_SIZE} bytes")
                return bytes(document), _life(response.headers, times)
        except TimeoutError:
            raise _FetchError(f"no answer in {times.fetch:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _FetchError(str(error) or type(error).__name__) from None


def _parse(document: bytes) -> KeySet:
    try:
        return KeySet(orjson.loads(document))
    except orjson.JSONDecodeError:
        raise _FetchError("its answer is not JSON") from None
    except BadKeyError as error:
        raise _FetchError(f"its answer {error}") from None


def _life(headers: Mapping[str, str], times: Times) -> float:
    """Return how long an answer may be used (RFC 9111 section 5.2.2), within our bounds."""
    life = times.usual
    for directive in headers.get("Cache-Control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in {"no-store", "no-cache"}:
            return times.least
        if name == "max-age" and value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004
            age = headers.get("Age", "0")
            life = int(value) - (int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0)  # noqa: PLR2004
    return min(max(life, times.least), times.most)


class KeySets:
    """The sources that any configuration uses; one per process, so that keys outlive reloads."""

    def __init__(
        self, clock: Clock | None = None, times: Times | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._clock = clock or Clock()
        self._times = times or Times()
        self._tls = tls
        self._sources: dict[str, Source] = {}

    def __repr__(self) -> str:
        return f"<KeySets {list(self._sources.values())}>"

    def hold(self, uri: str) -> Source:
        """Return the source of an address, which is fetched from now on; to be released as often as held."""
        source = self._sources.get(uri)
        if source is None:
            source = self._sources[uri] = Source(uri, self._times, self._clock, self._tls)
            source.start()
        source.holders += 1
        return source

    async def release(self, source: Source) -> None:
        """Let go of a source; the last one ends the fetching."""
        source.holders -= 1
        if not source.holders:
            del self._sources[source.uri]
            await source.stop()

    def states(self) -> list[KeySetState]:
        """Tell what has been fetched, for metrics."""
        return [
            KeySetState(
                source.label,
                len(source.keys.keys) if source.keys else 0,
                source.succeeded,
                source.failed,
                source.last_success,
            )
            for source in self._sources.values()
        ]
