"""Indicators of databases and buckets: before the real thing, but for MongoDB, of which no package brings a server."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl

import pytest
import trustme
from mongo_case import MongoServer
from postgresql_case import PASSWORD, PostgresServer
from redis_case import free_port
from s3_case import SECRET

from proxyd.health.kinds.postgres import tls_of
from proxyd.model.indicators import Postgres
from proxyd.model.places import Tls

# PyMongo leaves a socket to the collector where it is closed while it connects.
UNCLOSED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = PostgresServer(tmp_path_factory.mktemp("pg"))
    server.start()
    yield server
    server.kill()


def postgres_url(server, **values):
    return server.url(name="postgres", **values)


async def test_postgres_is_up_when_a_query_is_answered(seen, postgres):
    """Over a login of its own; a wrong password, a database that is not there and a query that fails are told."""
    assert await seen("postgres", {"url": postgres_url(postgres)}) == {"status": "up"}
    found = await seen("postgres", {"url": postgres_url(postgres, password="other-secret")})
    assert found == {"status": "down", "message": 'password authentication failed for user "proxyd"'}
    found = await seen("postgres", {"url": postgres.url(name="none")})
    assert found["message"] == 'database "none" does not exist'
    found = await seen("postgres", {"url": postgres_url(postgres), "query": "SELECT * FROM orders"})
    assert found["message"] == 'relation "orders" does not exist'


async def test_postgres_is_down_when_it_is_away_or_slow(seen, postgres):
    """The reason shows no password, nor the address."""
    found = await seen("postgres", {"url": f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/x"})
    assert found == {"status": "down", "message": "connection refused"}
    slow = {"url": postgres_url(postgres), "query": "SELECT pg_sleep(60)"}
    found = await seen("postgres", slow, timeout="300ms")
    assert found == {"status": "down", "message": "no answer within 0.3 s"}


async def test_postgres_without_tls_is_told_so(seen, postgres):
    """Where the record asks for TLS, and the server has none."""
    found = await seen("postgres", {"url": postgres_url(postgres), "tls": {}})
    assert found["status"] == "down"
    assert PASSWORD not in found["message"]


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("postgresql://u:p@db.internal/x", Tls()),
        ("postgresql://u:p@db.internal/x?sslmode=auto", Tls()),
        ("postgresql://u:p@127.0.0.1:5432/x", False),
        ("postgresql://u:p@127.0.0.1:5432/x?sslmode=auto", False),
        ("postgresql://localhost/x", False),
        ("postgresql://u@h/x?host=/run/postgresql", False),
        ("postgresql://u@h/x?host=localhost,db.internal", Tls()),
        ("postgresql://u:p@db.internal/x?sslmode=prefer", None),
        ("postgresql://u:p@127.0.0.1/x?sslmode=verify-full", Tls()),
        ("postgresql://u:p@db.internal/x?sslmode=verify-full&sslrootcert=/ca.pem", None),
    ],
)
def test_a_server_elsewhere_is_verified_unless_the_dsn_says_otherwise(monkeypatch, url, tls):
    """By whom the system trusts; what sslmode says is left to the client, but for files that nobody has named."""
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert tls_of(Postgres(url=url)) == tls


async def test_postgres_is_verified_as_the_record_says(seen, tmp_path_factory):
    """By its authority and under its name; an unknown authority is told."""
    authority, directory = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    for name in ("cert.pem", "key.pem"):
        (directory / name).chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(directory / name, "nobody", "nogroup")
    files = (directory / "cert.pem", directory / "key.pem")
    server = PostgresServer(directory, tls=files, kind="hostssl")
    server.start()
    try:
        url = postgres_url(server, host="localhost")
        tls = {"ca": str(directory / "ca.pem")}
        assert await seen("postgres", {"url": url, "tls": tls}) == {"status": "up"}
        found = await seen("postgres", {"url": url, "tls": {}})
        assert "its certificate is not trusted" in found["message"]
    finally:
        server.kill()


@pytest.fixture
async def mongo():
    servers = []

    async def start(context=None):
        servers.append(await MongoServer(context).start())
        return servers[-1]

    yield start
    for one in servers:
        await one.stop()


async def test_mongodb_is_up_when_a_ping_is_answered(monitor, mongo):
    """By one client for all looks; what the server answers in place of that is told by its name."""
    server = await mongo()
    one = monitor("mongodb", {"url": f"mongodb://127.0.0.1:{server.port}/"})
    for _ in range(2):
        await one.look()
        assert one.why_down() == ""
    assert server.commands.count("ping") == 2
    server.failure = {"ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": "secret things"}
    await one.look()
    assert one.why_down() == "answered 13: Unauthorized"
    server.failure = None
    await one.look()
    assert one.why_down() == ""


@UNCLOSED
async def test_mongodb_is_down_when_it_is_away_or_silent(monitor, mongo):
    """Within the timeout, and without the connection string in the reason."""
    away = monitor("mongodb", {"url": f"mongodb://u:secret@127.0.0.1:{free_port()}/"}, timeout="2s")
    await away.look()
    assert away.why_down() == "connection refused"
    server = await mongo()
    server.silent = True
    silent = monitor("mongodb", {"url": f"mongodb://127.0.0.1:{server.port}/"}, timeout="500ms")
    await silent.look()
    assert "no answer" in silent.why_down()


@UNCLOSED
async def test_mongodb_is_verified_as_the_record_says(monitor, mongo, tmp_path):
    """By its authority; an unknown one is told."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = await mongo(context)
    told = []
    for tls in ({"ca": str(tmp_path / "ca.pem")}, {}):
        one = monitor("mongodb", {"url": f"mongodb://127.0.0.1:{server.port}/", "tls": tls}, timeout="2s")
        await one.look()
        told.append(one.why_down())
    assert told == ["", "its certificate is not trusted"]


async def test_a_bucket_is_up_when_it_may_be_used(seen, s3_server):
    """Its name, the credentials and the service are all tried; a secret is in no reason."""
    place = s3_server.place
    assert await seen("s3", place) == {"status": "up"}
    assert (await seen("s3", {**place, "bucket": "other"}))["message"] == "answered 404"
    found = await seen("s3", {**place, "secret_access_key": "wrong"})
    assert found == {"status": "down", "message": "answered 403"}
    found = await seen("s3", {**place, "endpoint": f"http://127.0.0.1:{free_port()}"})
    assert found == {"status": "down", "message": "connection refused"}
    assert SECRET not in str(found)


async def test_a_bucket_that_hangs_is_down(seen):
    """After the timeout."""

    async def hang(reader, writer):
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = {"bucket": "logs", "access_key_id": "a", "secret_access_key": "b"}
    found = await seen("s3", {**place, "endpoint": f"http://127.0.0.1:{port}"}, timeout="100ms")
    server.close()
    assert found["message"] == "no answer within 0.1 s"
