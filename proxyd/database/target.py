"""Which database is meant: what its URL says, then the settings, then PostgreSQL's own variables, then what is usual."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyd.database.entries import DatabaseError
from proxyd.model.database import PORT, SSL_MODES, DatabaseUrl, is_local

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.settings import Settings

_SOCKETS: Final = ("/run/postgresql", "/var/run/postgresql", "/tmp")  # noqa: S108 - where servers put them


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are protected; ``mode`` is never auto."""

    mode: str = "disable"
    root_cert: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One database. Its text names it as problems do, without a password."""

    name: str
    kind: str
    path: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    tls: Tls = Tls()
    application: str = "proxyd"
    timeout: float = 5.0
    pool_size: int = 4

    def __str__(self) -> str:
        return self.name


def resolve(settings: Settings, env: Mapping[str, str]) -> Target:
    """Return the database of the settings; raises DatabaseError where there is none, or a variable is wrong."""
    url = settings.database
    if url is None:
        raise DatabaseError(
            "no database is configured: set database to sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    if url.kind == "sqlite":
        return Target(str(url), "sqlite", url.path, timeout=settings.database_timeout)
    hosts = _hosts(url, env)
    user = url.user or env.get("PGUSER") or getpass.getuser()
    database = url.name or env.get("PGDATABASE") or user
    named = DatabaseUrl("postgresql", hosts=hosts, user=user, name=database)
    return Target(
        name=str(named),
        kind="postgresql",
        hosts=hosts,
        user=user,
        password=url.password or env.get("PGPASSWORD", ""),
        database=database,
        tls=_tls(url, settings, env, hosts),
        application=url.options.get("application_name") or env.get("PGAPPNAME") or "proxyd",
        timeout=settings.database_timeout,
        pool_size=settings.pg_pool_size,
    )


def _hosts(url: DatabaseUrl, env: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    text = env.get("PGPORT") or str(PORT)
    if not text.isascii() or not text.isdigit():
        raise DatabaseError(f"the variable PGPORT is no number: '{text}'")
    usual = int(text)
    given = [(host, port or usual) for host, port in url.hosts]
    named = tuple((host, port) for host, port in given if host)
    if named:
        return named
    port = given[0][1] if given else usual
    if host := env.get("PGHOST"):
        return tuple((one, port) for one in host.split(","))
    for directory in _SOCKETS:
        if Path(directory, f".s.PGSQL.{port}").exists():
            return ((directory, port),)
    return (("localhost", port),)


def _tls(
    url: DatabaseUrl, settings: Settings, env: Mapping[str, str], hosts: tuple[tuple[str, int], ...]
) -> Tls:
    mode = url.options.get("sslmode") or settings.pg_ssl_mode or env.get("PGSSLMODE") or "auto"
    if mode not in SSL_MODES:
        raise DatabaseError(f"the variable PGSSLMODE must be one of {', '.join(SSL_MODES)}: '{mode}'")
    if mode == "auto":
        mode = "disable" if all(is_local(host) for host, _ in hosts) else "verify-full"
    return Tls(
        mode,
        url.options.get("sslrootcert") or settings.pg_ssl_root_cert or env.get("PGSSLROOTCERT", ""),
        url.options.get("sslcert") or settings.pg_ssl_cert or env.get("PGSSLCERT", ""),
        url.options.get("sslkey") or settings.pg_ssl_cert_key or env.get("PGSSLKEY", ""),
    )
