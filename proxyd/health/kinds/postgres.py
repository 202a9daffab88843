"""A PostgreSQL that answers a query."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
from yarl import URL

from proxyd.health.look import DownError, context_of
from proxyd.model.database import is_local
from proxyd.model.places import Tls

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Postgres


class PostgresLook:
    """Logs in and asks, over a connection of its own each time: what new clients meet is what counts."""

    def __init__(self, config: Postgres, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        tls = tls_of(config)
        self._tls = context_of(tls) if isinstance(tls, Tls) else tls

    def __repr__(self) -> str:
        return "<PostgresLook>"

    async def look(self) -> dict[str, Any]:
        """Ask; raises DownError."""
        try:
            connection = await asyncpg.connect(
                self._config.url, ssl=self._tls, timeout=self._timeout, command_timeout=self._timeout
            )
            try:
                await connection.execute(self._config.query)
            finally:
                connection.terminate()
        except asyncpg.PostgresError as error:  # it names users and databases, and no password
            raise DownError(str(error).partition("\n")[0]) from error
        except ssl.SSLError:  # some of which are ValueErrors, too
            raise
        except (asyncpg.InterfaceError, ValueError) as error:
            raise DownError(f"cannot be asked: {type(error).__name__}") from error
        return {}

    async def close(self) -> None:
        """Nothing is kept."""


def tls_of(config: Postgres) -> Tls | Literal[False] | None:
    """Return the TLS that is wanted, False for none at all; None: as sslmode says.

    ``auto``, and no word, are what they are for the setting ``database``: verified, unless nothing leaves this machine.
    """
    if config.tls is not None:
        return config.tls
    url = URL(config.url)
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE") or "auto"
    if mode == "verify-full" and "sslrootcert" not in url.query and "PGSSLROOTCERT" not in os.environ:
        return Tls()  # whom the system trusts: asyncpg would want a file
    if mode != "auto":
        return None
    hosts = url.query.get("host", url.host or "")
    return False if all(map(is_local, hosts.split(","))) else Tls()


def make(config: Postgres, around: Around) -> PostgresLook:
    """Set it up; raises TlsError."""
    return PostgresLook(config, around.timeout)
