"""The contents of a database as one machine runs them: followed, applied, and changed.

Many changes make one reload: while one is under way, those that come are waited for together, and between two of them
there is as much time as the last one took.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from proxyd.database.entries import Contents, DatabaseError
from proxyd.database.seeding import replacing
from proxyd.database.text import compose, frame_of, write
from proxyd.database.usable import refuse_unusable
from proxyd.errors import ConfigError
from proxyd.model.document import DATABASE
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.source import DatabaseState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxyd.clock import Clock
    from proxyd.database.entries import Author, Change, Decide, Document, Store
    from proxyd.model.load import Loaded

    Apply = Callable[[str], Awaitable[object]]

PATIENCE: Final = 1.0  # seconds that the answer to a write waits until it runs
LONGEST_PAUSE: Final = 0.5  # seconds between two reloads, however long they take
AGAIN: Final = 5.0  # seconds until contents that were refused are tried anew, then twice as long each time
RARELY: Final = 60.0  # seconds, of that
AWAY: Final = 0.5  # seconds between two tries to read contents that are there and cannot be had

log = get_logger("database")


class Live:
    """``store`` with the ``contents`` that were read of it last.

    ``read`` loads a text of a name as a process would, ``changes`` makes changes of one. ``file`` is the declarative file's text,
    which goes on to give the frame.
    """

    def __init__(
        self,
        store: Store,
        contents: Contents,
        file: str,
        read: Callable[[str, str], Loaded],
        changes: Callable[[str, str], Sequence[Change]],
        clock: Clock,
    ) -> None:
        self.store = store
        self.contents = contents
        self.frame = frame_of(file, "file")
        self._read = read
        self._changes = changes
        self._clock = clock
        self._state = DatabaseState(applied=contents.revision)
        self._moved = asyncio.Event()  # there is something newer than what runs
        self._settled = asyncio.Event()  # something was applied, or refused
        self._tried = self._told = contents.revision
        self._tasks: list[asyncio.Task[None]] = []
        self._unread = ""  # why what is there cannot be read, although the database answers

    def __repr__(self) -> str:
        return f"<Live revision={self.contents.revision} applied={self._state.applied}>"

    # --- its life --------------------------------------------------------------------------------------------

    def start(self, apply: Apply, until: contextlib.AsyncExitStack) -> None:
        """Begin to follow ``until`` something ends.

        ``apply`` has this machine take a text over, and raises ConfigError where it does not.
        """
        loop = asyncio.get_running_loop()
        until.push_async_callback(self.stop)
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._run(apply))]

    async def stop(self) -> None:
        """Follow no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def state(self) -> DatabaseState:
        """How it fares."""
        there = self.store.state
        revision = max(there.revision, self.contents.revision)
        error = there.error or self._unread
        return replace(
            self._state, reachable=there.reachable, since=there.since, error=error, revision=revision
        )

    def load(self, text: str) -> Loaded:
        """Load a text that was made of contents; raises ConfigError, also for what a worker could not use."""
        loaded = self._read(text, DATABASE)
        refuse_unusable(loaded)
        return loaded

    def text(self, file: str | None = None) -> str:
        """Return the text of the contents, in the frame of the file as it is now; raises ConfigError."""
        if file is not None:
            frame = frame_of(file, "file")
            self.frame.clear()  # who holds it goes by what the file says now
            self.frame.update(frame)
        contents = self.contents
        self._told = contents.revision
        return compose(self.frame, contents)

    def reloaded(self) -> None:
        """Take note that a text runs that was asked for by somebody else: what came meanwhile is applied once more."""
        if self._told != self.contents.revision:
            self._moved.set()

    def dump(self) -> str:
        """Return the contents as a declarative file, without settings."""
        return compose({name: value for name, value in self.frame.items() if name != "proxyd"}, self.contents)

    # --- changes ---------------------------------------------------------------------------------------------

    async def change(self, decide: Decide, author: Author) -> Contents:
        """Change what is there, and wait until this machine runs it; raises DatabaseError, and what ``decide`` raises."""
        begun = self._clock.now()
        contents = await self.store.change(decide, author)
        self._state.writes.observe(self._clock.now() - begun)
        self._take(contents)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._until(contents.revision)
        return contents

    async def replace(self, text: str, name: str, author: Author) -> Contents:
        """Put the entities of a text in the place of all that there are; raises ConfigError and DatabaseError."""
        changes = await asyncio.to_thread(self._checked, text, name)
        return await self.change(lambda contents: replacing(contents, changes), author)

    def _checked(self, text: str, name: str) -> Sequence[Change]:
        self._read(text, name)
        changes = self._changes(text, name)
        documents: dict[str, list[Document]] = {}
        for change in changes:
            documents.setdefault(change.collection, []).append({"id": change.id, **(change.document or {})})
        self.load(write(self.frame, documents))  # in which the text's own vaults are not
        return changes

    async def _until(self, revision: int) -> None:
        while self._tried < revision and self._tasks:
            settled = self._settled
            await settled.wait()

    def _take(self, contents: Contents) -> None:
        """Go by contents that are newer, or older where the database was put back; what was read earlier may come later."""
        now = self.contents.revision
        if contents.revision > now or contents.revision == self.store.state.revision != now:
            self.contents = contents
            self._unread = ""
            self._moved.set()

    async def _follow(self) -> None:
        """Read what others have changed, as soon as there is something."""
        while True:
            await self.store.changed(self.contents.revision)
            try:
                self._take(await self.store.contents())
            except DatabaseError as error:
                if self.store.state.reachable and self._unread != str(error):
                    self._unread = str(error)
                    log.error("contents not read", reason=self._unread)  # noqa: TRY400  # no traceback
                await asyncio.sleep(AWAY)
            except Exception as error:  # noqa: BLE001  # who follows no longer would never notice
                log.crit("contents not read", exc_info=error)
                await asyncio.sleep(AWAY)

    # --- what runs -------------------------------------------------------------------------------------------

    async def _run(self, apply: Apply) -> None:
        """Apply the newest contents, one after the other, for as long as this runs."""
        again = AGAIN
        while True:
            await self._moved.wait()
            self._moved.clear()
            contents, begun = self.contents, self._clock.now()
            done = await self._applied(apply, contents)
            self._tried = contents.revision
            settled, self._settled = self._settled, asyncio.Event()
            settled.set()
            if done:
                again = AGAIN
                await asyncio.sleep(min(self._clock.now() - begun, LONGEST_PAUSE))
                continue
            with contextlib.suppress(TimeoutError):  # what was away may be back
                async with asyncio.timeout(again):
                    await self._moved.wait()
            again = min(2 * again, RARELY)
            self._moved.set()

    async def _applied(self, apply: Apply, contents: Contents) -> bool:
        try:
            await apply(await asyncio.to_thread(compose, self.frame, contents))
        except ConfigError:
            return False  # whoever refuses it has told why
        except Exception as error:  # noqa: BLE001  # the next revision is to be applied all the same
            log.crit("contents not applied", exc_info=error)
            return False
        self._state = replace(self._state, applied=contents.revision)
        return True
