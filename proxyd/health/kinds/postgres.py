"""A PostgreSQL that answers a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from proxyd.health.look import DownError, context_of

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Postgres


class PostgresLook:
    """Logs in and asks, over a connection of its own each time: what new clients meet is what counts."""

    def __init__(self, config: Postgres, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        self._tls = context_of(config.tls) if config.tls is not None else None

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
        except (
            asyncpg.PostgresError
        ) as error:  # what the server says: it names users and databases, and no password
            raise DownError(str(error).partition("\n")[0]) from error
        except (asyncpg.InterfaceError, ValueError) as error:
            raise DownError(f"cannot be asked: {type(error).__name__}") from error
        return {}

    async def close(self) -> None:
        """Nothing is kept."""


def make(config: Postgres, around: Around) -> PostgresLook:
    """Set it up; raises TlsError."""
    return PostgresLook(config, around.timeout)
