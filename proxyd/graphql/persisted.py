"""Automatic persisted queries, Apollo's protocol: a client names a document by its hash, and sends it once if it is not known.

Nobody can put one document in another's place: what is kept under a hash has that hash, also what comes back from Redis.
Only documents that have passed the examination are kept.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.graphql.kept import Kept, digest_of, is_digest
from proxyd.graphql.refusal import Refused
from proxyd.model.redis import Redis
from proxyd.store.counters import CountersAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.plugin import Kit
    from proxyd.store.redis import RedisCounters

STORING: Final = 64  # documents on their way to Redis at once; more are left for their clients to send again


class Config(plugin.Config):
    """Settings of automatic persisted queries."""

    store: Literal["memory", "redis"] = "memory"
    """Where documents are kept: in each worker's memory, or also in a Redis, which workers and machines share."""
    max_size: int = Field(16_777_216, gt=0)
    """Bytes of memory for documents in each worker; those are forgotten first that nobody has asked for longest."""
    redis: Redis = Redis()
    """The Redis, or Valkey, for store: redis; while it is away, each worker has what is in its memory."""
    ttl: int = Field(86_400, gt=0)
    """Seconds that Redis keeps a document after it was sent last."""
    key_prefix: str = "proxyd:graphql:document:"
    """What the names of its keys begin with, the hash behind it."""
    forward: Literal["text", "hash"] = "text"
    """Whether the backend gets the document itself, or the request as it came, hash and all."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.store == "redis":
            if not self.redis.is_complete:
                raise ValueError("store: redis needs redis.host, or Sentinel's or a Cluster's nodes")
            if find_spec("redis") is None:
                raise ValueError("store: redis needs the Python package redis: pip install 'proxyd[redis]'")
        return self


class Persisted:
    """The documents of one plugin instance by their hash."""

    def __init__(self, config: Config, kit: Kit) -> None:
        self.spells_out = config.forward == "text"
        self._kept = Kept(config.max_size)
        self._redises = kit.counting.redis
        self._endpoint = config.redis if config.store == "redis" else None
        self._prefix = config.key_prefix
        self._ttl = config.ttl
        self._redis: RedisCounters | None = None
        self._storing = 0

    def __repr__(self) -> str:
        return f"<Persisted {self._kept!r} {self._endpoint or 'memory'}>"

    def start(self) -> None:
        """Name the Redis as one that is used."""
        if self._endpoint is not None and self._redis is None:
            self._redis = self._redises.open(self._endpoint)

    async def stop(self) -> None:
        """Let go of it."""
        if self._endpoint is not None and self._redis is not None:
            self._redis = None
            await self._redises.close(self._endpoint)

    def find(self, digest: str) -> str | None:
        """Return the document, if it is at hand."""
        return self._kept.get(digest)

    def find_elsewhere(self, digest: str, found: Callable[[str | None], None]) -> asyncio.Future[None] | None:
        """Ask Redis, where it is there; ``found`` is called before what is returned is done, which never fails."""
        redis = self._redis
        if redis is None or redis.away or not is_digest(digest):
            return None
        try:
            answer = redis.ask("GET", self._prefix + digest)
        except CountersAway:
            return None
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(answer: asyncio.Future[Any]) -> None:
            found(self._checked(digest, answer))
            if not ended.done():  # nobody waits any more for one that is
                ended.set_result(None)

        answer.add_done_callback(end)
        return ended

    def _checked(self, digest: str, answer: asyncio.Future[Any]) -> str | None:
        """Take what Redis says, unless it is nothing, or another text than the one that was asked for."""
        if answer.cancelled() or answer.exception() is not None or answer.result() is None:
            return None
        text = bytes(answer.result()).decode("utf-8", "replace")
        if digest_of(text) != digest:
            return None
        self._kept.put(digest, text)
        return text

    def check(self, digest: str, text: str) -> None:
        """See that a client's hash is that of its document; raises Refused."""
        if self._kept.get(digest) != text and digest_of(text) != digest:
            raise Refused(400, "PERSISTED_QUERY_HASH_MISMATCH", "provided sha does not match query")

    def keep(self, digest: str, text: str) -> None:
        """Keep a document that ``check`` has let pass; nobody waits for Redis."""
        self._kept.put(digest, text)
        redis = self._redis
        if redis is None or redis.away or self._storing >= STORING:
            return
        try:
            answer = redis.ask("SET", self._prefix + digest, text.encode("utf-8", "replace"), "EX", self._ttl)
        except CountersAway:
            return
        self._storing += 1
        answer.add_done_callback(self._stored)

    def _stored(self, answer: asyncio.Future[Any]) -> None:
        self._storing -= 1
        if not answer.cancelled():
            answer.exception()  # the outage is told by the Redis's own
