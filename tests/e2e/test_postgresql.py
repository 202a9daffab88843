"""Gateways with one PostgreSQL: a change in one runs in the other, and requests go on while the server is away."""

from __future__ import annotations

import asyncio

import pytest
from database_case import make_database
from e2e_command import proxyd
from e2e_gateway import config_for
from e2e_load import Load
from e2e_wire import OK, PATIENCE
from postgresql_case import PostgresServer

NEW = b"GET /new HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def server(tmp_path):
    directory = tmp_path / "pg"
    directory.mkdir()
    server = PostgresServer(directory)
    yield server.start()
    server.kill()


def settings(server, name, tmp_path, place):
    return {
        "PROXYD_DATABASE": server.url(name=name),
        "PROXYD_DATABASE_TIMEOUT": "2s",
        "PROXYD_ADMIN_LISTEN": f"unix:{tmp_path}/{place}.sock",
    }


async def until(port, raw, status):
    async with asyncio.timeout(PATIENCE):
        while (await (await raw(port)).ask(NEW)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # until the gateway runs what it has read


async def test_a_start_asks_for_the_migration(server, run, raw, origin, ask, tmp_path):
    """A server without tables is refused with the command to run, and without the password; then the gateway starts."""
    name = await make_database(server)
    upstream = await origin(OK)
    run.file.write_text('{"_format_version": "3.0"}')
    env = settings(server, name, tmp_path, "admin")
    refused = await asyncio.to_thread(proxyd, "run", "--config", str(run.file), env=env)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"proxyd: database postgresql://proxyd@127.0.0.1:{server.port}/{name}: it has no tables yet: run proxyd migrate\n"
    )
    done = await asyncio.to_thread(proxyd, "migrate", "--config", str(run.file), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    one = await run(config_for(upstream.port), **env)
    assert (await (await raw(one.port)).ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
    assert (await ask(tmp_path / "admin.sock").get("/status")).json()["database"]["reachable"] is True


async def test_requests_go_on_while_the_server_is_away(server, run, raw, origin, ask, tmp_path):
    """Nothing is lost but writes, which say why; when it is back, a change in one gateway runs in the other."""
    name = await make_database(server)
    upstream = await origin(OK)
    env = settings(server, name, tmp_path, "one")
    await asyncio.to_thread(proxyd, "migrate", env=env)
    await run(config_for(upstream.port), **env)
    other = await run({"_format_version": "3.0"}, **settings(server, name, tmp_path, "other"))
    first, second = ask(tmp_path / "one.sock"), ask(tmp_path / "other.sock")
    load = Load(other.port, pause=0.005)
    await load.more(10)
    server.kill()
    refused = await first.post("/services/backend/routes", json={"name": "new", "paths": ["/new"]})
    assert refused.status_code == 503
    assert "geheim" not in refused.text
    await other.event("database away")
    await load.more(50)
    assert (await second.get("/status")).json()["database"]["reachable"] is False
    server.start()
    await other.event("database back")
    new = {"paths": ["/new"], "service": {"name": "backend"}}
    async with asyncio.timeout(PATIENCE):
        while (await first.put("/routes/new", json=new)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await until(other.port, raw, 200)
    await load.more(10)
    await load.stop()
    assert (load.failures, set(load.statuses)) == ([], {200})
