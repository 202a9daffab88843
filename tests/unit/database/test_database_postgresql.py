"""A server: how it tells of changes, what happens when it is away, and why it is not to be had."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import asyncpg
import pytest
from database_case import Stores, make_database, target_of
from postgresql_case import USER, PostgresServer

from proxyd.database import migrating, watching
from proxyd.database.entries import Author, Change, DatabaseError

ME = Author("me")


def change(name):
    return lambda _contents: [Change("consumers", name, {"username": name})]


async def stores_of(server, **settings):
    target = target_of(server.url(name=await make_database(server)), **settings)
    await migrating.migrate(target)
    return Stores(target)


async def revision_of(store):
    """Change something as soon as that can be; returns the revision."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(
                DatabaseError
            ):  # it has little time for each try, on a machine that is busy
                return (await store.change(change("a"), ME)).revision


async def sessions(server, application):
    """Return how many connections of a name the server has."""
    connection = await asyncpg.connect(
        host=str(server.socket), port=server.port, user=USER, database="postgres"
    )
    count = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", application
    )
    await connection.close()
    return count


async def refused(url, **settings):
    """Return why a migration does not happen."""
    with pytest.raises(DatabaseError) as caught:
        await migrating.migrate(target_of(url, **settings))
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


# --- changes -------------------------------------------------------------------------------------------------


async def test_a_change_is_told_at_once(shared_server, monkeypatch):
    """Nobody has to look at the revision: the server tells of it."""
    monkeypatch.setattr(watching, "PAUSE", 3600.0)
    stores = await stores_of(shared_server)
    reader, writer = stores.open(), stores.open()
    reader.start()
    revision = 0
    async with asyncio.timeout(20):
        waiting = asyncio.ensure_future(reader.changed(0))
        while not waiting.done():  # until the reader listens, nothing is told
            revision = (await writer.change(change(str(revision)), ME)).revision
            await asyncio.wait([waiting], timeout=0.1)
    assert 0 < await waiting <= revision
    await stores.close()


async def test_it_is_looked_at_where_nothing_is_told(shared_server, monkeypatch):
    """Without a connection that listens, behind a pool of transactions for one, the revision is asked for."""

    async def deaf(_target, _tell):
        await asyncio.Event().wait()

    monkeypatch.setattr("proxyd.database.listening.listen", deaf)
    stores = await stores_of(shared_server)
    reader = stores.open()
    reader.start()
    await stores.open().change(change("a"), ME)
    async with asyncio.timeout(20):
        assert await reader.changed(0) == 1
    await stores.close()


async def test_connections_are_bounded_and_let_go(shared_server):
    """Many at once take up as many connections as the pool has, and one that listens; none stays."""
    stores = await stores_of(shared_server, pg_pool_size=2)
    name = "proxyd-bounded"
    stores.target = target_of(
        f"{shared_server.url(name=stores.target.database)}?application_name={name}", pg_pool_size=2
    )
    store = stores.open()
    store.start()
    await asyncio.gather(*(store.contents() for _ in range(30)))
    assert 1 <= await sessions(shared_server, name) <= 3
    await stores.close()
    async with asyncio.timeout(20):
        while await sessions(shared_server, name):
            pass  # asking takes its time


# --- outages -------------------------------------------------------------------------------------------------


async def test_an_outage_is_told_and_ends(own_server):
    """Away since when and why; back with what was written meanwhile, and with notifications."""
    stores = await stores_of(own_server)
    store = stores.open()
    store.start()
    contents = await store.change(change("a"), ME)
    own_server.kill()
    with pytest.raises(DatabaseError, match=r"not reachable: Connection refused|the connection was closed"):
        await store.contents()
    assert not store.state.reachable
    assert store.state.revision == 1
    assert "not reachable" in store.state.error or "closed" in store.state.error
    own_server.start()
    other = stores.open()
    await other.change(change("b"), ME)
    async with asyncio.timeout(30):
        assert await store.changed(1) == 2
    assert store.state.reachable
    assert store.state.error == ""
    assert (await store.contents()).entries["consumers"].keys() == {"a", "b"}
    assert contents.entries["consumers"].keys() == {"a"}
    await stores.close()


async def test_a_server_that_does_not_answer_is_not_waited_for(own_server):
    """What is asked of it ends when its time is over, and works again when the server goes on."""
    stores = await stores_of(own_server, database_timeout="500ms")
    store = stores.open()
    await store.contents()
    own_server.freeze()
    with pytest.raises(DatabaseError, match=r"no answer within 0\.5 seconds"):
        await store.contents()
    own_server.thaw()
    assert await revision_of(store) == 1
    await stores.close()


async def test_a_writer_that_stops_in_the_middle_lets_others_write(shared_server):
    """A machine that holds the lock and does nothing any more loses it."""
    stores = await stores_of(shared_server, database_timeout="1s")
    stuck = await asyncpg.connect(
        shared_server.url(name=stores.target.database),
        server_settings={"idle_in_transaction_session_timeout": "500"},
    )
    await stuck.execute("BEGIN")
    await stuck.execute("SELECT * FROM proxyd_revision FOR UPDATE")
    assert await revision_of(stores.open()) == 1
    stuck.terminate()
    await stores.close()


async def test_a_change_that_is_cancelled_is_undone(shared_server):
    """Whoever waits for the lock may be cancelled; nothing is changed, and nothing is held."""
    stores = await stores_of(shared_server)
    store = stores.open()
    holder = await asyncpg.connect(shared_server.url(name=stores.target.database))
    await holder.execute("BEGIN")
    await holder.execute("SELECT * FROM proxyd_revision FOR UPDATE")
    waiting = asyncio.ensure_future(store.change(change("a"), ME))
    async with asyncio.timeout(20):
        while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass  # asking takes its time
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await holder.close()
    assert (await store.change(change("b"), ME)).entries["consumers"].keys() == {"b"}
    await stores.close()


# --- why it is not to be had ---------------------------------------------------------------------------------


async def test_what_refuses_a_login_is_told(shared_server):
    """Wrong password, unknown user, unknown database, nobody there, unknown name: each in words, and what to set."""
    name = await make_database(shared_server)
    url = shared_server.url(name=name, password="geheim-but-wrong")
    assert f"it does not take the password of user '{USER}': look at the URL, PGPASSWORD" in await refused(
        url
    )
    assert f"there is no database 'none': CREATE DATABASE none OWNER {USER}" in await refused(
        shared_server.url(name="none")
    )
    local = shared_server.local_url(name).replace(f"user={USER}", "user=nobody")
    assert "it does not let user 'nobody' in: is there such a role" in await refused(local)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert "not reachable: Connection refused" in await refused(
            f"postgresql://u:geheim@127.0.0.1:{port}/x"
        )
    url = "postgresql://u:geheim@db.invalid/x"
    assert "its name is not known: " in await refused(url)


async def test_what_refuses_a_write_is_told(shared_server):
    """A user without rights, and a database that is read-only."""
    name = await make_database(shared_server)
    connection = await asyncpg.connect(shared_server.url(name=name))
    await connection.execute("DROP ROLE IF EXISTS reader")
    await connection.execute("CREATE ROLE reader LOGIN")
    local = shared_server.local_url(name)
    told = await refused(local.replace(f"user={USER}", "user=reader"))
    assert "its user may not do this: GRANT it the tables, and CREATE in the schema for migrations" in told
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "it is read-only, a standby perhaps: name the primary" in await refused(local)
    await connection.close()


# --- TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of an authority, of certificates for a server and a client of its, and of another authority."""
    import trustme  # noqa: PLC0415

    directory = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    server, client, stranger = (
        authority.issue_cert("localhost"),
        authority.issue_cert(common_name=USER),
        other.issue_cert(common_name=USER),
    )
    made = {}
    for name, blobs in (
        ("ca", [authority.cert_pem]),
        ("other", [other.cert_pem]),
        ("cert", server.cert_chain_pems),
        ("key", [server.private_key_pem]),
        ("client", client.cert_chain_pems),
        ("client_key", [client.private_key_pem]),
        ("stranger", stranger.cert_chain_pems),
        ("stranger_key", [stranger.private_key_pem]),
    ):
        made[name] = directory / f"{name}.pem"
        made[name].write_bytes(b"".join(blob.bytes() for blob in blobs))
        made[name].chmod(0o640 if name == "key" else 0o600)
    return {name: str(path) for name, path in made.items()}


@pytest.fixture(scope="module")
def protected_server(tmp_path_factory, files):
    """A server that lets nobody in without TLS."""
    server = PostgresServer(
        tmp_path_factory.mktemp("pgtls"), tls=(files["cert"], files["key"], files["ca"]), kind="hostssl"
    )
    yield server.start()
    server.kill()


async def is_encrypted(target):
    from proxyd.database.postgresql import dial  # noqa: PLC0415

    connection = await dial(target, 10.0)
    try:
        return await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("mode", "root"),
    [("prefer", ""), ("require", ""), ("require", "ca"), ("verify-ca", "ca"), ("verify-full", "ca")],
)
async def test_each_mode_of_tls_connects(protected_server, files, mode, root):
    """Encrypted, verified as far as the mode says."""
    url = protected_server.url("localhost", name="postgres")
    target = target_of(url, pg_ssl_mode=mode, pg_ssl_root_cert=files.get(root, ""))
    assert await is_encrypted(target) is True


async def test_a_name_that_the_certificate_lacks_is_told(protected_server, files):
    """verify-full looks at the name, verify-ca does not."""
    url = protected_server.url("127.0.0.1", name="postgres")
    settings = {"pg_ssl_root_cert": files["ca"]}
    told = await refused(url, pg_ssl_mode="verify-full", **settings)
    assert (
        "its certificate is not for 127.0.0.1: name it by a name that the certificate has, or set pg_ssl_mode"
        in told
    )
    assert await is_encrypted(target_of(url, pg_ssl_mode="verify-ca", **settings))


@pytest.mark.parametrize(
    ("mode", "root"), [("verify-full", "other"), ("verify-ca", ""), ("require", "other")]
)
async def test_an_authority_that_is_not_trusted_is_told(protected_server, files, mode, root):
    """Another authority, or the system's, has not signed it."""
    url = protected_server.url("localhost", name="postgres")
    told = await refused(url, pg_ssl_mode=mode, pg_ssl_root_cert=files.get(root, ""))
    assert "its certificate is not trusted (" in told
    assert "set pg_ssl_root_cert to the file of the authority that has signed it" in told


async def test_a_server_that_wants_tls_is_told(protected_server):
    """Without TLS it lets nobody in, and says what to set."""
    told = await refused(protected_server.url("localhost", name="postgres"), pg_ssl_mode="disable")
    assert (
        f"its pg_hba.conf lets user '{USER}' in with TLS only: set pg_ssl_mode: verify-full (it is disable)"
        in told
    )


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_without_tls_is_told(shared_server, mode):
    """It is not spoken to in clear where TLS was asked for."""
    told = await refused(shared_server.url(name="postgres"), pg_ssl_mode=mode)
    assert "it speaks no TLS: set ssl = on there" in told
    assert f"pg_ssl_mode: disable (it is {mode})" in told


async def test_prefer_goes_without(shared_server):
    """As libpq does, it takes what there is."""
    assert await is_encrypted(target_of(shared_server.url(name="postgres"), pg_ssl_mode="prefer")) is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pg_ssl_root_cert": "/none"}, "sslrootcert (pg_ssl_root_cert) cannot be used: /none: No such file"),
        ({"pg_ssl_root_cert": __file__}, "cannot be used: " + __file__ + ": it is not in PEM"),
        (
            {"pg_ssl_root_cert": "ca", "pg_ssl_cert": "/none"},
            "sslcert (pg_ssl_cert) with sslkey (pg_ssl_cert_key)",
        ),
        (
            {"pg_ssl_root_cert": "ca", "pg_ssl_cert": "client", "pg_ssl_cert_key": "key"},
            "the key is not that of the certificate",
        ),
        (
            {"pg_ssl_root_cert": "ca", "pg_ssl_cert_key": "key"},
            "sslkey is given without sslcert: set pg_ssl_cert",
        ),
    ],
)
async def test_a_file_that_cannot_be_used_is_told(protected_server, files, settings, message):
    """Which file, by which setting, and why."""
    url = protected_server.url("localhost", name="postgres")
    given = {name: files.get(value, value) for name, value in settings.items()}
    assert message in await refused(url, pg_ssl_mode="verify-full", **given)


async def test_a_client_shows_its_certificate(tmp_path, files):
    """Where the server asks for one: with it, without, and with that of a stranger."""
    server = PostgresServer(
        tmp_path, tls=(files["cert"], files["key"], files["ca"]), kind="hostssl", method="cert"
    ).start()
    try:
        url = server.url("localhost", name="postgres")
        settings = {"pg_ssl_mode": "verify-full", "pg_ssl_root_cert": files["ca"]}
        own = {"pg_ssl_cert": files["client"], "pg_ssl_cert_key": files["client_key"]}
        assert await is_encrypted(target_of(url, **settings, **own))
        assert "it wants a certificate of the client: set pg_ssl_cert and pg_ssl_cert_key" in await refused(
            url, **settings
        )
        strange = {"pg_ssl_cert": files["stranger"], "pg_ssl_cert_key": files["stranger_key"]}
        assert "it does not take the client's certificate" in await refused(url, **settings, **strange)
    finally:
        server.kill()
