"""Changes in a database: who made them is told, and they are put back, by the rules of any write."""

from __future__ import annotations

import json

import pytest
from admin_case import ADMIN, TOKENS, VIEWER
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from store_case import StoredSource

from proxyd.admin.app import admin_app
from proxyd.cli.config import plugin_configs
from proxyd.clock import Clock
from proxyd.database import migrating
from proxyd.database.entries import DatabaseError
from proxyd.database.masking import Masking
from proxyd.database.store import DatabaseStore
from proxyd.database.target import Target

PEPPER = "p" * 40
BOB = "b" * 24


class Desk:
    """An Admin API over a database in a file."""

    def __init__(self, store, **settings):
        tokens = f"{TOKENS},bob=operator:{BOB}"
        self.source = StoredSource(admin_tokens=tokens, key_pepper=PEPPER, **settings)
        self.source.store = self.source.database.store = store
        self.client = TestClient(TestServer(admin_app(self.source, web.Application())))

    async def ask(self, method, path, body=None, status=None, token=ADMIN):
        options = {"headers": {"Kong-Admin-Token": token}} | ({"json": body} if body is not None else {})
        async with self.client.request(method, path, **options) as answer:
            text = await answer.text()
            wanted = status or {"POST": 201, "DELETE": 204}.get(method, 200)
            assert answer.status == wanted, text
            return json.loads(text) if text else None

    async def documents(self):
        """Return every document, with its secrets, by collection and id."""
        entries = (await self.source.store.contents()).entries
        return {(one.collection, one.id): one.document for some in entries.values() for one in some.values()}

    async def audit(self, query=""):
        return (await self.ask("GET", f"/audit?{query}"))["data"]

    async def undo(self, entry, query="", status=200, token=ADMIN):
        return await self.ask("POST", f"/audit/{entry['id']}/undo?{query}", status=status, token=token)


@pytest.fixture
async def start(tmp_path):
    """Give what starts one."""
    target = Target(f"sqlite:///{tmp_path / 'a.db'}", "sqlite", str(tmp_path / "a.db"))
    await migrating.migrate(target)
    desks = []

    async def start(**settings):
        desk = Desk(DatabaseStore(target, Masking(plugin_configs()), Clock()), **settings)
        desks.append(desk)
        await desk.client.start_server()
        return desk

    yield start
    for desk in desks:
        await desk.client.close()
        await desk.source.ending.aclose()
        desk.source.auditor.close()
        await desk.source.store.close()


@pytest.fixture
async def desk(start):
    return await start()


async def test_a_change_is_put_back(desk):
    """An update, a deletion and a creation; each undoing is a change of its own, and can be undone."""
    made = await desk.ask("POST", "/services", {"name": "shop", "host": "one"})
    await desk.ask("PATCH", "/services/shop", {"host": "two"}, token=BOB)
    update, _ = await desk.audit()
    assert (update["who"], update["role"], update["action"]) == ("bob", "operator", "update")
    assert (update["before"]["host"], update["after"]["host"]) == ("one", "two")
    undone = await desk.undo(update, token=BOB)
    assert undone == {"undone": [{"collection": "services", "entity": made["id"]}]}
    assert (await desk.ask("GET", "/services/shop"))["host"] == "one"
    await desk.ask("DELETE", "/services/shop")
    deleted = (await desk.audit())[0]
    assert (deleted["action"], deleted["after"]) == ("delete", None)
    await desk.undo(deleted)
    assert (await desk.ask("GET", "/services/shop"))["id"] == made["id"]
    entry = (await desk.audit())[0]
    assert (entry["action"], entry["who"], bool(entry["request_id"])) == ("create", "ann", True)
    await desk.undo(entry)
    await desk.ask("GET", "/services/shop", status=404)
    assert [one["action"] for one in await desk.audit(f"entity={made['id']}")] == [
        "delete", "create", "delete", "update", "update", "create",
    ]  # fmt: skip


async def test_what_has_changed_since_is_left(desk):
    """409 says who did it and when; force puts the older one back all the same."""
    await desk.ask("POST", "/services", {"name": "shop", "host": "one"})
    await desk.ask("PATCH", "/services/shop", {"host": "two"})
    await desk.ask("PATCH", "/services/shop", {"host": "three"}, token=BOB)
    newest, older, _ = await desk.audit()
    refusal = await desk.undo(older, status=409)
    assert f"by bob at {newest['time']} (entry {newest['id']})" in refusal["message"]
    assert (await desk.ask("GET", "/services/shop"))["host"] == "three"
    await desk.undo(older, "force=1")
    assert (await desk.ask("GET", "/services/shop"))["host"] == "one"


async def test_what_would_not_be_right_is_not_put_back(desk):
    """By the rules of any write: a name that is taken, a parent that is gone, a child that is there."""
    await desk.ask("POST", "/services", {"name": "shop", "host": "h"})
    await desk.ask("POST", "/services/shop/routes", {"name": "orders", "paths": ["/orders"]})
    _, service = await desk.audit()
    assert (await desk.undo(service, status=400))["name"] == "foreign key violation"
    await desk.ask("DELETE", "/routes/orders")
    (route, *_) = await desk.audit()
    await desk.ask("DELETE", "/services/shop")
    assert (await desk.undo(route, status=400))["name"] == "foreign key violation"
    await desk.ask("POST", "/services", {"name": "shop", "host": "h"})
    gone = (await desk.audit("collection=services"))[1]
    assert gone["action"] == "delete"
    assert (await desk.undo(gone, status=409))["name"] == "unique constraint violation"


async def test_what_went_together_comes_back_together(desk):
    """A consumer takes its keys with it; the key works again, and nothing has shown it."""
    await desk.ask("POST", "/consumers", {"username": "ann"})
    await desk.ask("POST", "/consumers/ann/key-auth", {"key": "a-very-secret-key-of-ann"})
    before = await desk.documents()
    await desk.ask("DELETE", "/consumers/ann")
    gone = [one for one in await desk.audit() if one["action"] == "delete"]
    assert {one["collection"] for one in gone} == {"consumers", "keyauth_credentials"}
    key = next(one for one in gone if one["collection"] == "keyauth_credentials")
    assert (await desk.undo(key, status=400))["name"] == "foreign key violation"
    assert len((await desk.undo(key, "all=1"))["undone"]) == 2
    assert await desk.documents() == before
    again = (await desk.audit("size=1"))[0]
    both = [one for one in await desk.audit() if one["revision"] == again["revision"]]
    await desk.undo(again, "all=1")
    assert len(both) == 2
    assert (await desk.ask("GET", "/consumers"))["data"] == []
    told = json.dumps(await desk.audit())
    assert "very-secret" not in told
    assert "<hidden>" in told


async def test_who_may_undo_and_what_there_is_to(desk):
    """Operators and admins, by an id that there is; logins are not undone."""
    await desk.ask("POST", "/session", {"token": ADMIN}, status=200)
    await desk.ask("POST", "/services", {"name": "shop", "host": "h"})
    entry, login = await desk.audit()
    assert login["action"] == "login"
    await desk.undo(entry, status=403, token=VIEWER)
    for other in (login["id"], "0", "999", "9" * 30, "²"):
        await desk.undo({"id": other}, status=404)


async def test_pages_have_what_the_database_and_memory_know(desk):
    """In the order of time, none twice and none left out."""
    for number in range(4):
        await desk.ask("POST", "/services", {"name": f"s{number}", "host": "h"})
        await desk.ask("POST", "/session", {"token": ADMIN}, status=200)
    whole = await desk.audit()
    assert [one["action"] for one in whole] == ["login", "create"] * 4
    seen, path = [], "/audit?size=3"
    while path:
        page = await desk.ask("GET", path)
        seen += page["data"]
        path = page["next"]
    assert seen == whole


async def test_the_file_has_what_the_database_has(start, tmp_path):
    """A line for each entity that a request has changed, and no others."""
    desk = await start()
    file = tmp_path / "audit.log"
    desk.source.auditor.open(str(file))
    await desk.ask("POST", "/consumers", {"username": "ann"})
    await desk.ask("POST", "/consumers/ann/acls", {"group": "staff"})
    await desk.ask("POST", "/consumers", {"username": "ann"}, status=409)
    await desk.ask("DELETE", "/consumers/ann")
    desk.source.auditor.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == list(reversed(await desk.audit()))
    assert len(lines) == 4


async def test_a_database_that_is_away_is_said_to_be(desk, monkeypatch):
    """503, for reading and for undoing."""

    async def away(*_):
        raise DatabaseError("the database is away")

    monkeypatch.setattr(desk.source.store, "audit", away)
    await desk.ask("GET", "/audit", status=503)
    await desk.undo({"id": "1"}, status=503)
