"""Where the requests of one instance are counted, by its policy, and what becomes of them when that is away."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.model.base import Milliseconds, Port
from proxyd.model.redis import TIMEOUT, Redis
from proxyd.store.counters import CountersAway

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.plugin import Kit
    from proxyd.store.counters import Taken, Window
    from proxyd.store.redis import RedisCounters


class Config(plugin.Config):
    """Settings of what counts, which Kong's plugins share; those of redis that lie flat are Kong's older ones."""

    policy: Literal["local", "redis"] = "local"
    """Where counts are kept: in this machine's memory, or in a Redis that several machines share."""
    redis: Redis = Redis()
    """The Redis, or Valkey, for policy: redis."""
    fault_tolerant: bool = True
    """Whether requests are counted nearer by, with a warning, while counters are away; otherwise they fail."""
    hide_client_headers: bool = False
    """Whether the client is not told its limits."""
    redis_host: str | None = None
    """Deprecated: redis.host, which wins."""
    redis_port: Port = 6379
    """Deprecated: redis.port, which wins."""
    redis_timeout: Milliseconds = TIMEOUT
    """Deprecated: redis.timeout, which wins."""
    redis_username: str | None = None
    """Deprecated: redis.username, which wins."""
    redis_password: str | None = Field(None, repr=False)
    """Deprecated: redis.password, which wins."""
    redis_database: int = Field(0, ge=0)
    """Deprecated: redis.database, which wins."""
    redis_ssl: bool = False
    """Deprecated: redis.ssl, which wins."""
    redis_ssl_verify: bool = False
    """Deprecated: redis.ssl_verify, which wins."""
    redis_server_name: str | None = None
    """Deprecated: redis.server_name, which wins."""

    @model_validator(mode="after")
    def _countable(self) -> Self:
        if self.policy == "redis":
            if not self.endpoint.is_complete:
                raise ValueError("policy: redis needs redis.host, or Sentinel's or a Cluster's nodes")
            if find_spec("redis") is None:
                raise ValueError("policy: redis needs the Python package redis: pip install 'proxyd[redis]'")
        return self

    @property
    def endpoint(self) -> Redis:
        """The Redis that is meant, of both forms."""
        given = self.redis.model_fields_set
        flat = {
            name: getattr(self, f"redis_{name}")
            for name in Redis.model_fields
            if name not in given and f"redis_{name}" in self.model_fields_set
        }
        return Redis(**{name: getattr(self.redis, name) for name in given}, **flat)


class Take(Protocol):
    """What counts at once."""

    def __call__(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count as ``Counters.take`` does."""


class Ledger:
    """Counts for one instance.

    A phase looks at ``there`` first: where it is None, ``take`` counts at once; otherwise ``ask`` waits for Redis.
    """

    def __init__(self, kit: Kit, config: Config) -> None:
        self._counting = kit.counting
        self._time = kit.clock.time
        self._endpoint = config.endpoint if config.policy == "redis" else None
        self._tolerant = config.fault_tolerant
        self._redis: RedisCounters | None = None
        here = self._counting.take if config.fault_tolerant else self._counting.here.take
        self.take: Take = here if self._endpoint is None else self._take_instead

    def __repr__(self) -> str:
        return f"<Ledger {self._endpoint or 'local'}>"

    def start(self) -> None:
        """Name the Redis as one that is used."""
        if self._endpoint is not None and self._redis is None:
            self._redis = self._counting.redis.open(self._endpoint)

    async def stop(self) -> None:
        """Let go of it."""
        if self._endpoint is not None and self._redis is not None:
            self._redis = None
            await self._counting.redis.close(self._endpoint)

    @property
    def there(self) -> RedisCounters | None:
        """The Redis to be asked, unless it is known to be away."""
        redis = self._redis
        return None if redis is None or redis.away else redis

    def _take_instead(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count on this machine, as Redis is away; raises CountersAway where that will not do."""
        if not self._tolerant:
            raise CountersAway("redis is away")
        self._counting.fallbacks["redis"] += 1
        return self._counting.take(key, windows, now, amount)

    async def ask(
        self, redis: RedisCounters, key: bytes, windows: tuple[Window, ...], amount: int = 1
    ) -> tuple[tuple[Window, ...], Taken, float]:
        """Count in Redis, or instead of it; returns the windows, what came of it, and the time, by who counted."""
        try:
            return await redis.take(key, windows, amount)
        except CountersAway:
            now = self._time()
            return windows, self._take_instead(key, windows, now, amount), now
