"""A connection of PostgreSQL that waits for word of a new revision: whoever writes one sends a notification with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from proxyd.database.entries import DatabaseError
from proxyd.database.postgresql import dial
from proxyd.database.postgresql_problems import FOREIGN
from proxyd.database.tables import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.database.target import Target

FIRST_PAUSE: Final = 0.1  # seconds before the connection is made anew; doubled with each failure
LONGEST_PAUSE: Final = 5.0
ALIVE: Final = (
    30.0  # seconds between two proofs that the connection is: a network may take it away without a word
)


async def listen(target: Target, tell: Callable[[int], None]) -> None:
    """Tell of each new revision, for ever; a connection that ends is made anew."""
    pause = FIRST_PAUSE
    while True:
        with contextlib.suppress(DatabaseError, OSError, TimeoutError, *FOREIGN):
            async with asyncio.timeout(target.timeout):
                connection = await dial(target, target.timeout)
            try:
                pause = FIRST_PAUSE
                await _hear(connection, tell)
            finally:
                connection.terminate()
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _hear(connection: Any, tell: Callable[[int], None]) -> None:
    """Hear notifications until the connection ends; raises what ends it, or returns."""
    ended = asyncio.Event()

    def heard(_connection: Any, _process: int, _channel: str, payload: str) -> None:
        if payload.isascii() and payload.isdigit():
            tell(int(payload))

    connection.add_termination_listener(lambda _connection: ended.set())
    await connection.add_listener(CHANNEL, heard)
    while not ended.is_set():
        tell(await connection.fetchval("SELECT revision FROM proxyd_revision"))  # what was not heard
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALIVE):
                await ended.wait()
