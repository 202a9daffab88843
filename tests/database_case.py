"""Databases of tests, and stores of them."""

from __future__ import annotations

import itertools

import asyncpg
from postgresql_case import USER

from proxyd.cli.config import plugin_configs
from proxyd.clock import Clock
from proxyd.database.masking import Masking
from proxyd.database.store import DatabaseStore
from proxyd.database.target import resolve
from proxyd.model.settings import Settings

NAMES = (f"db{number}" for number in itertools.count())


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


def target_of(url, **settings):
    return resolve(Settings(database=url, **settings), {})


async def make_database(server):
    """Make a database on a server; returns its name."""
    connection = await asyncpg.connect(
        host=str(server.socket), port=server.port, user=USER, database="postgres"
    )
    name = next(NAMES)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    await connection.close()
    return name
