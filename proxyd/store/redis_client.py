"""A client of redis-py for an endpoint: plain, by Sentinel, or of a Cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model import redis as model

CONNECTIONS = 4  # as many as there are lanes, and the probe's


def make_client(endpoint: model.Redis, authorities: str | None) -> Any:
    """Return a client; nothing is connected yet. ``authorities`` is PEM; None: whom the system trusts."""
    common: dict[str, Any] = {
        "username": endpoint.username,
        "password": endpoint.password,
        "socket_timeout": endpoint.patience,
        "socket_connect_timeout": endpoint.patience,
        # What was sent may have been counted: nothing is tried again behind our back.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if endpoint.cluster_nodes:
        nodes = [ClusterNode(node.ip, node.port) for node in endpoint.cluster_nodes]
        tls = {"ssl": True, **_tls(endpoint, authorities)} if endpoint.ssl else {}
        return RedisCluster(startup_nodes=nodes, **common, **tls)
    common["db"] = endpoint.database
    if endpoint.ssl:
        common |= _tls(endpoint, authorities)
    if endpoint.sentinel_nodes:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(node.host, node.port) for node in endpoint.sentinel_nodes],
            sentinel_kwargs={
                "username": endpoint.sentinel_username,
                "password": endpoint.sentinel_password,
                "socket_timeout": endpoint.patience,
                "socket_connect_timeout": endpoint.patience,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,
            },
        )
        kind = _named(SentinelManagedSSLConnection, endpoint) if endpoint.ssl else SentinelManagedConnection
        return sentinel.master_for(
            endpoint.sentinel_master or "", connection_class=kind, max_connections=CONNECTIONS, **common
        )
    kind = _named(SSLConnection, endpoint) if endpoint.ssl else Connection
    pool = ConnectionPool(
        connection_class=kind,
        host=endpoint.host,
        port=endpoint.port,
        max_connections=CONNECTIONS,
        **common,
    )
    return Redis.from_pool(pool)


def _tls(endpoint: model.Redis, authorities: str | None) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required" if endpoint.ssl_verify else "none",
        "ssl_check_hostname": endpoint.ssl_verify,
        "ssl_ca_data": authorities,
    }


def _named(base: type[Any], endpoint: model.Redis) -> type[Any]:
    """Return a kind of connection that asks for, and checks, another name than the host's."""
    if endpoint.server_name is None:
        return base
    name = endpoint.server_name

    class Named(base):  # type: ignore[misc]  # chosen at run time
        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), "server_hostname": name}

    return Named


async def close_client(client: Any) -> None:
    """Close its connections, those to Sentinels too."""
    await client.aclose()
    sentinel = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for one in sentinel.sentinels if sentinel is not None else ():
        await one.aclose()
