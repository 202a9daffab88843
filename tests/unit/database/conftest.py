"""Databases to talk to, each of its kinds where a test holds for both."""

from __future__ import annotations

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.clock import Clock
from proxyd.database import migrating
from proxyd.database.masking import Masking
from proxyd.database.store import DatabaseStore
from proxyd.database.target import Target


class Stores:
    """Stores of one database, closed at the end."""

    def __init__(self, target):
        self.target = target
        self._opened = []

    def open(self, clock=None, **options):
        store = DatabaseStore(self.target, Masking(plugin_configs()), clock or Clock(), **options)
        self._opened.append(store)
        return store

    async def close(self):
        for store in self._opened:
            await store.close()


@pytest.fixture(params=["sqlite"])
def empty(request, tmp_path):
    """A database with nothing in it, not even tables."""
    path = str(tmp_path / "proxyd.db")
    return Target(f"sqlite:///{path}", "sqlite", path)


@pytest.fixture
async def stores(empty):
    """Stores of a database that has its tables."""
    await migrating.migrate(empty)
    stores = Stores(empty)
    yield stores
    await stores.close()
