"""Databases to talk to, each of its kinds where a test holds for both."""

from __future__ import annotations

import pytest
from database_case import Stores, make_database, target_of
from postgresql_case import PostgresServer

from proxyd.database import migrating


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """A server that tests do not stop."""
    server = PostgresServer(tmp_path_factory.mktemp("pg"))
    yield server.start()
    server.kill()


@pytest.fixture
def own_server(tmp_path):
    """A server that a test may stop."""
    server = PostgresServer(tmp_path)
    yield server.start()
    server.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty(request, tmp_path):
    """A database with nothing in it, not even tables."""
    if request.param == "sqlite":
        return target_of(f"sqlite:///{tmp_path}/proxyd.db")
    server = request.getfixturevalue("shared_server")
    return target_of(server.local_url(await make_database(server)))


@pytest.fixture
async def ready_database(empty):
    """A database that has its tables."""
    await migrating.migrate(empty)
    return empty


@pytest.fixture
async def stores(ready_database, empty):
    """Stores of one."""
    stores = Stores(empty)
    yield stores
    await stores.close()
