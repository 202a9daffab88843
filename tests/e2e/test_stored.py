"""Gateways with a database: entities are written while requests run, and run everywhere at once."""

from __future__ import annotations

import asyncio
import sqlite3
from signal import SIGHUP, SIGTERM

from e2e_gateway import config_for
from e2e_load import Load
from e2e_wire import OK, PATIENCE

PEPPER = "p" * 40
CONSUMERS = 24
WRITERS = 8
GET = b"GET /locked HTTP/1.1\r\nHost: h\r\napikey: %s\r\n\r\n"


async def until_opened(raw, port, key):
    async with asyncio.timeout(PATIENCE):
        while (await (await raw(port)).ask(GET % key.encode())).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def config(port):
    locked = {"name": "locked", "paths": ["/locked"], "plugins": [{"name": "key-auth"}]}
    routes = [{"name": "main", "paths": ["/"]}, locked]
    return config_for(port, service={"routes": routes, "plugins": [{"name": "prometheus"}]})


def settings(tmp_path, name="admin"):
    return {
        "PROXYD_DATABASE": f"sqlite:///{tmp_path / 'proxyd.db'}",
        "PROXYD_KEY_PEPPER": PEPPER,
        "PROXYD_ADMIN_LISTEN": f"unix:{tmp_path / name}.sock",
    }


async def test_consumers_are_written_while_requests_run(gang, origin, raw, ask, tmp_path):
    """Not one request fails; many writes make few reloads, and each answered key opens the door."""
    upstream = await origin(OK)
    one = await gang(config(upstream.port), **settings(tmp_path))
    admin = ask(tmp_path / "admin.sock")
    load = Load(one.port, pause=0.005)
    names = iter(range(CONSUMERS))

    async def write():
        for number in names:
            made = await admin.post("/consumers", json={"username": f"c{number}"})
            assert made.status_code == 201, made.text
            key = await admin.post(f"/consumers/c{number}/key-auth", data={"key": f"key-{number}"})
            assert key.status_code == 201, key.text
            await until_opened(raw, one.port, f"key-{number}")  # at once, unless this machine is very busy

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    await load.more(20)
    await load.stop()
    assert (load.failures, set(load.statuses)) == ([], {200})
    status = await one.status()
    assert status["database"]["revision"] == status["database"]["applied_revision"] == 1 + 2 * CONSUMERS
    assert status["generation"] < status["database"]["revision"]
    assert (await (await raw(one.port)).ask(GET % b"key-x")).status == 401
    assert await one.metric("proxyd_database_write_seconds_count") == 2 * CONSUMERS
    assert await one.metric("proxyd_database_reachable") == 1.0
    assert await one.metric("kong_datastore_reachable") == 1.0  # once, and not of every worker


async def test_a_change_reaches_other_machines_and_stays_after_a_restart(run, origin, raw, ask, tmp_path):
    """The file fills the database once; from then on it only has the settings."""
    upstream = await origin(OK)
    one = await run(config(upstream.port), **settings(tmp_path, "one"))
    other = await run({"_format_version": "3.0"}, **settings(tmp_path, "other"))
    assert one.events_named("database filled from the file, this once")[0]["entities"] == 5
    assert other.events_named("entities come from the database, and not from the file")[0]["revision"] == 1
    first, second = ask(tmp_path / "one.sock"), ask(tmp_path / "other.sock")
    made = await first.post("/services/backend/routes", json={"name": "new", "paths": ["/new"]})
    assert made.status_code == 201, made.text
    gone = await first.delete("/routes/main")
    assert gone.status_code == 204
    request = b"GET /new HTTP/1.1\r\nHost: h\r\n\r\n"
    plain = request.replace(b"/new", b"/")
    async with asyncio.timeout(PATIENCE):
        while (await (await raw(other.port)).ask(plain)).status != 404:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await (await raw(other.port)).ask(request)).status == 200
    names = [route["name"] for route in (await second.get("/routes")).json()["data"]]
    assert sorted(names) == ["locked", "new"]
    one.signal(SIGHUP)
    await one.event("reloaded")
    assert (await (await raw(one.port)).ask(request)).status == 200
    one.signal(SIGTERM)
    await one.process.wait()
    again = await run(config(upstream.port), **settings(tmp_path, "again"))
    assert (await (await raw(again.port)).ask(request)).status == 200
    assert (await (await raw(again.port)).ask(plain)).status == 404


async def test_a_database_that_cannot_be_written_stops_writes_and_nothing_else(
    run, origin, raw, ask, tmp_path
):
    """503 with the reason and Retry-After; requests go on, and so do writes when it is back."""
    upstream = await origin(OK)
    one = await run(config(upstream.port), PROXYD_DATABASE_TIMEOUT="0.5", **settings(tmp_path))
    admin = ask(tmp_path / "admin.sock")
    holder = sqlite3.connect(tmp_path / "proxyd.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    refused = await admin.post("/consumers", json={"username": "ann"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.json()["name"] == "database error"
    assert (await (await raw(one.port)).ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
    assert (await admin.get("/services/backend")).status_code == 200
    holder.execute("ROLLBACK")
    holder.close()
    assert (await admin.post("/consumers", json={"username": "ann"})).status_code == 201
    assert (await admin.get("/status")).json()["database"]["reachable"] is True
