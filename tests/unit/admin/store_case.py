"""A store in memory, and an Admin API over it."""

from __future__ import annotations

import asyncio
import contextlib
import json

from admin_case import Source
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxyd.admin.app import admin_app
from proxyd.cli.config import plugin_configs
from proxyd.clock import Clock
from proxyd.database.entries import Author, Contents, DatabaseError, Entry, State
from proxyd.database.live import Live
from proxyd.database.seeding import changes_of
from proxyd.model.document import DATABASE
from proxyd.model.load import load_text

EMPTY = '_format_version: "3.0"\n'


class MemoryStore:
    """Implements ``database.entries.Store`` as far as writes go. While it is ``away``, nothing works."""

    def __init__(self):
        self.now = 1_700_000_000.0
        self.authors = []
        self.away = ""
        self._contents = Contents()
        self._woken = asyncio.Event()

    @property
    def state(self):
        return State(not self.away, 1.0, self.away, self._contents.revision)

    async def contents(self):
        self._check()
        return self._contents

    async def change(self, decide, author):
        self._check()
        before = self._contents
        changes = [change for change in decide(before) if change.document != _document(before, change)]
        if not changes:
            return before
        self.now += 1
        entries = {name: dict(some) for name, some in before.entries.items()}
        for change in changes:
            some = entries.setdefault(change.collection, {})
            if change.document is None:
                del some[change.id]
                continue
            was = some.get(change.id)
            created = was.created_at if was else self.now
            some[change.id] = Entry(change.collection, change.id, change.document, created, self.now)
        self._contents = Contents(before.revision + 1, entries)
        self.authors.append(author)
        self._woken.set()
        self._woken = asyncio.Event()
        return self._contents

    async def changed(self, revision):
        while self._contents.revision == revision:
            await self._woken.wait()
        return self._contents.revision

    async def close(self):
        pass

    def _check(self):
        if self.away:
            raise DatabaseError(self.away)


def _document(contents, change):
    entry = contents.entries.get(change.collection, {}).get(change.id)
    return entry.document if entry else None


SOMEBODY = Author("somebody")


def load(text, env=None, name=DATABASE):
    return load_text(text, name, env=env or {}, plugins=plugin_configs())


class StoredSource(Source):
    """A gateway with a database, which runs whatever stands in it."""

    def __init__(self, text=EMPTY, **settings):
        super().__init__(text, **settings)
        env = self._env
        self.store = MemoryStore()
        self.texts = []
        self.database = Live(
            self.store,
            Contents(),
            text,
            lambda text, name: load(text, env, name),
            lambda text, name: changes_of(text, name, env, {}, self.settings),
            Clock(),
        )
        self.ending = contextlib.AsyncExitStack()
        self.database.start(self._apply, self.ending)

    async def _apply(self, text):
        self._loaded = self.database.load(text)
        self.texts.append(text)
        self.config.loaded(self._loaded.hash)

    async def text(self):
        return self.database.text()


class Api:
    """An Admin API; ``post`` and the others expect a status and return the document."""

    def __init__(self, source):
        self.source = source
        self.client = TestClient(TestServer(admin_app(source, web.Application())))

    async def ask(self, method, path, body=None, status=200, **options):
        if body is not None:
            options["json" if isinstance(body, dict) else "data"] = body
        if isinstance(body, str):
            options["headers"] = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.client.request(method, path, **options) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if text else None

    async def get(self, path, status=200):
        return await self.ask("GET", path, None, status)

    async def post(self, path, body=None, status=201):
        return await self.ask("POST", path, body, status)

    async def put(self, path, body=None, status=200):
        return await self.ask("PUT", path, body, status)

    async def patch(self, path, body=None, status=200):
        return await self.ask("PATCH", path, body, status)

    async def delete(self, path, status=204):
        return await self.ask("DELETE", path, None, status)
