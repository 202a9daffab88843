"""Entities in a database: read as far as they are new, and changed by one at a time.

Whoever writes holds the lock of the one row of ``proxyd_revision``, in SQLite that of the file. So revisions are committed in
their order, and everything newer than the revision that was read last is what has changed since.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import column, select, table

from proxyd.database import records, writing
from proxyd.database.engine import WRITES, make_engine
from proxyd.database.entries import (
    Author,
    Change,
    Contents,
    DatabaseError,
    Decide,
    Entry,
    LockedError,
    RefusedError,
    State,
)
from proxyd.database.problems import explain, foreign
from proxyd.database.records import Kept
from proxyd.database.tables import ENTITIES, HEAD, REVISION, VERSIONS
from proxyd.database.watching import News, Watcher
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from proxyd.clock import Clock
    from proxyd.database.entries import Audited, AuditQuery
    from proxyd.database.target import Target
    from proxyd.database.writing import Mask

log = get_logger("database")

QUEUE: Final = 4  # timeouts that a change waits for those before it
SOON, RARELY = 60.0, 3600.0  # seconds until what is old is forgotten, after the start and from then on
RATE: Final = 500.0  # changes that a second suffices for, where there are many in one


class DatabaseStore:
    """Implements ``entries.Store``. ``start`` begins to look for what others change; ``mask`` hides secrets in a document."""

    def __init__(self, target: Target, mask: Mask, clock: Clock, kept: Kept = Kept()) -> None:  # noqa: B008  # frozen
        self.target = target
        self._mask = mask
        self._clock = clock
        self._kept = kept
        self._engine = make_engine(target)
        # A reader sees one moment: PostgreSQL has to be told, SQLite does so in any case.
        self._reading = (
            self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            if target.kind == "postgresql"
            else self._engine
        )
        self._foreign: tuple[type[BaseException], ...] = (DatabaseError, *foreign(target))
        self._turn = asyncio.Lock()
        self._contents = Contents()
        self._news = News(clock)
        self._watcher = Watcher(target, self._revision, self._news)
        self._tidying: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        reachable = "there" if self.state.reachable else "away"
        return f"<DatabaseStore {self.target} {reachable} revision={self._contents.revision}>"

    # --- its life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look for what others change, and to forget what is old."""
        self._watcher.start()
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def close(self) -> None:
        """Let go of it."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        await self._watcher.close()
        await self._engine.dispose()

    @property
    def state(self) -> State:
        """How it fares."""
        return self._news.state

    # --- reading ---------------------------------------------------------------------------------------------

    async def contents(self) -> Contents:
        """Return what is there now."""
        async with self._connected(writes=False) as (connection, _):
            return await self._read(connection)

    async def changed(self, revision: int) -> int:
        """Return the revision as soon as it is another one than this."""
        return await self._news.other_than(revision)

    async def audit(self, query: AuditQuery) -> list[Audited]:
        """Return entries of the audit log, the newest first."""
        async with self._connected(writes=False) as (connection, _):
            return await records.audit(connection, query)

    async def undoing(self, number: int) -> Change | None:
        """Return what would put back what an entry of the audit log has changed."""
        async with self._connected(writes=False) as (connection, _):
            return await records.undoing(connection, number)

    async def last_used(self) -> dict[str, float]:
        """Return when credentials were last used."""
        async with self._connected(writes=False) as (connection, _):
            return await records.last_used(connection)

    async def _revision(self) -> int:
        async with self._connected(writes=False) as (connection, _):
            return int((await connection.execute(select(REVISION.c.revision))).scalar_one())

    async def _read(self, connection: AsyncConnection) -> Contents:
        """Read what is newer than what was read before."""
        before = self._contents
        now = (await connection.execute(select(REVISION.c.revision, REVISION.c.pruned))).one()
        if now.revision == before.revision:
            return before
        columns = select(*(ENTITIES.c[name] for name in _COLUMNS))
        if now.pruned <= before.revision < now.revision:
            query, base = columns.where(ENTITIES.c.revision > before.revision), before
        else:  # too far behind, or ahead, of a database that was put back
            query, base = columns.where(ENTITIES.c.document.is_not(None)), Contents()
        rows = (await connection.execute(query)).all()
        fresh = writing.merged(base, now.revision, map(_entry, rows))
        self._remember(before, fresh)
        return fresh

    def _remember(self, before: Contents, fresh: Contents) -> None:
        # Another task may have read meanwhile, and more.
        if self._contents is before or fresh.revision > self._contents.revision:
            self._contents = fresh
            self._news.told(fresh.revision)

    # --- writing ---------------------------------------------------------------------------------------------

    async def change(self, decide: Decide, author: Author) -> Contents:
        """Change it: all or nothing, one at a time over all machines."""
        async with self._my_turn(), self._connected(writes=True) as (connection, limit):
            audited = await self._lock(connection)
            fresh = await self._read(connection)
            changes = writing.effective(fresh, decide(fresh))
            if not changes:
                return fresh
            limit.reschedule(limit_of(self.target.timeout, len(changes)))
            stamp = writing.Stamp(fresh.revision + 1, self._clock.time(), author, audited)
            rows, entries = writing.rows_of(changes, stamp, self._mask)
            await writing.write(connection, rows, stamp, undo=self._kept.undo > 0)
            await connection.commit()
            after = writing.merged(fresh, stamp.revision, entries)
            self._remember(fresh, after)
        return after

    async def _lock(self, connection: AsyncConnection) -> int:
        """Take the lock; returns the number of the last entry of the audit log. What this proxyd does not know it leaves alone."""
        audited: int = (await connection.execute(select(REVISION.c.audited).with_for_update())).scalar_one()
        version = (
            await connection.execute(select(column("version_num")).select_from(table(VERSIONS)))
        ).scalar()
        if version != HEAD:
            raise RefusedError(
                f"database {self.target}: it was migrated to {version} meanwhile, by another proxyd than this one, which "
                f"knows {HEAD}: nothing is changed until both are the same"
            )
        return audited

    async def use(self, times: Mapping[str, float]) -> None:
        """Keep when credentials were last used."""
        if times:
            async with self._connected(writes=True) as (connection, _):
                await records.use(connection, times)
                await connection.commit()

    async def prune(self) -> None:
        """Forget what is too old."""
        more = True
        while more:
            async with self._my_turn(), self._connected(writes=True) as (connection, _):
                await self._lock(connection)
                more = await records.prune(connection, self._kept, self._clock.time())
                await connection.commit()

    async def _tidy(self) -> None:
        await asyncio.sleep(SOON)
        while True:
            try:
                await self.prune()
            except DatabaseError as error:
                log.warning("database not tidied", reason=str(error))
            except Exception as error:  # noqa: BLE001  # whatever it is, the next time may be better
                log.crit("database not tidied", exc_info=error)
            await asyncio.sleep(RARELY)

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """Let one task of this process write at a time, so that those that wait take up no connections."""
        try:
            async with asyncio.timeout(QUEUE * self.target.timeout):
                await self._turn.acquire()
        except TimeoutError:
            raise LockedError(f"database {self.target}: too many changes wait for one another") from None
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def _connected(self, *, writes: bool) -> AsyncIterator[tuple[AsyncConnection, asyncio.Timeout]]:
        """Give a connection in a transaction, which is rolled back unless it is committed; nothing takes longer than may be."""
        engine = self._engine.execution_options(**{WRITES: True}) if writes else self._reading
        try:
            async with asyncio.timeout(self.target.timeout) as limit, engine.connect() as connection:
                yield connection, limit
        except self._foreign as error:
            problem = explain(error, self.target)
            if not isinstance(problem, RefusedError):
                self._news.lost(str(problem))
            raise problem from None
        self._news.reached()


def limit_of(timeout: float, changes: int) -> float:
    """Return until when so many changes may take, by the loop's clock."""
    return asyncio.get_running_loop().time() + timeout + changes / RATE


_COLUMNS: Final = ("collection", "id", "document", "created_at", "updated_at")


def _entry(row: Row[Any]) -> tuple[str, str, Entry | None]:
    collection, name, document = row.collection, row.id, row.document
    if document is None:
        return collection, name, None
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise RefusedError(
            f"what the database has as {collection} {name} is no JSON: somebody else has written it; restore a copy"
        ) from None
    return collection, name, Entry(collection, name, found, row.created_at, row.updated_at)
