"""Where a Redis or Valkey is: the record ``redis`` that Kong's plugins share, Kong Enterprise's names included."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from proxyd.model.base import Entity, Milliseconds, Port

TIMEOUT = 2000  # milliseconds


class SentinelNode(Entity):
    """A Sentinel."""

    host: str = Field("127.0.0.1", min_length=1)
    """Where it is."""
    port: Port = 26379
    """Its port."""


class ClusterNode(Entity):
    """A node of a Cluster; the others are learnt from it."""

    ip: str = Field("127.0.0.1", min_length=1)
    """Where it is: an address or a name."""
    port: Port = 6379
    """Its port."""


class Redis(Entity):
    """Where a Redis or Valkey is (Kong's ``kong/tools/redis/schema.lua``, and Enterprise's for Sentinel and Cluster)."""

    host: str | None = Field(None, min_length=1)
    """Where it is."""
    port: Port = 6379
    """Its port."""
    timeout: Milliseconds = TIMEOUT
    """Milliseconds that a request waits for an answer, connecting included."""
    connect_timeout: Milliseconds | None = None
    """Accepted for Kong's sake: where timeout is not given, the longest of the three takes its place."""
    send_timeout: Milliseconds | None = None
    """The same."""
    read_timeout: Milliseconds | None = None
    """The same."""
    username: str | None = None
    """Name to log in with; none: the default user."""
    password: str | None = Field(None, repr=False)
    """Password; none: no login."""
    database: int = Field(0, ge=0)
    """Number of the database; a Cluster has only 0."""
    ssl: bool = False
    """Whether the connection is TLS."""
    ssl_verify: bool = False
    """Whether the server's certificate is checked, by who is in the setting trusted_certificate."""
    server_name: str | None = Field(None, min_length=1)
    """Name that the server is asked for and checked by; none: its host."""
    keepalive_pool_size: int | None = Field(None, ge=1)
    """Accepted for Kong's sake: two connections carry all requests."""
    keepalive_backlog: int | None = Field(None, ge=0)
    """The same."""
    connection_is_proxied: bool = False
    """Accepted for Kong's sake."""
    sentinel_master: str | None = Field(None, min_length=1)
    """Name by which Sentinels know the master; it is asked for anew whenever a connection is made."""
    sentinel_role: Literal["master"] | None = None
    """Which server is asked: counting writes, so it is always the master."""
    sentinel_nodes: tuple[SentinelNode, ...] | None = Field(None, min_length=1)
    """The Sentinels."""
    sentinel_username: str | None = None
    """Name to log in to them with."""
    sentinel_password: str | None = Field(None, repr=False)
    """Password for them."""
    cluster_nodes: tuple[ClusterNode, ...] | None = Field(None, min_length=1)
    """Some nodes of a Cluster."""
    cluster_max_redirections: int = Field(5, ge=1)
    """Accepted for Kong's sake."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.sentinel_nodes and self.cluster_nodes:
            raise ValueError("sentinel_nodes and cluster_nodes exclude one another")
        if bool(self.sentinel_nodes) != (self.sentinel_master is not None):
            raise ValueError("sentinel_master and sentinel_nodes go together")
        if self.cluster_nodes and self.database:
            raise ValueError("a Cluster has only the database 0")
        return self

    def __str__(self) -> str:
        """Name the place, without who logs in: ``redis.internal:6379/0``."""
        if self.sentinel_nodes:
            return f"sentinel:{self.sentinel_master}/{self.database}"
        if self.cluster_nodes:
            return f"cluster:{self.cluster_nodes[0].ip}:{self.cluster_nodes[0].port}"
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def is_complete(self) -> bool:
        """Whether it says where to connect to."""
        return bool(self.host or self.sentinel_nodes or self.cluster_nodes)

    @property
    def patience(self) -> float:
        """Seconds that a request waits at most."""
        given = [
            one for one in (self.connect_timeout, self.send_timeout, self.read_timeout) if one is not None
        ]
        use_given = given and "timeout" not in self.model_fields_set
        return (max(given) if use_given else self.timeout) / 1000
