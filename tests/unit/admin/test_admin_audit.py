"""The audit log: who did what, without secrets, in memory and in a file, and how it is read."""

from __future__ import annotations

import json

import pytest
from admin_case import ADMIN, FILE, TOKENS, VIEWER, HandClock, Source, get

from proxyd.admin.audit import auditor as auditing
from proxyd.admin.audit.auditor import KEPT, KEPT_FAILURES, Auditor
from proxyd.admin.audit.difference import LISTED
from proxyd.admin.audit.record import Record
from proxyd.database.entries import AuditQuery, Author
from proxyd.errors import ConfigError

BEARER = {"Kong-Admin-Token": ADMIN}
ANN = Author("ann", "admin", "127.0.0.1", "r1")


async def load(client, text):
    async with client.post("/config", json={"config": text}, headers=BEARER) as answer:
        assert answer.status == 201, await answer.text()
        return answer.headers["X-Kong-Admin-Request-ID"]


async def test_a_posted_configuration_is_told_entity_by_entity(serve):
    """With what came, changed and went, as it is shown; no secret is among it."""
    client = await serve(Source(admin_tokens=TOKENS))
    text = (
        FILE.replace("base", "other")
        .replace("a-very-secret-key", "another-secret")
        .replace("hush-hush", "psst")
    )
    text = text.replace("  - {name: blog, host: up, tags: [live]}\n", "  - {name: news, host: up}\n")
    request = await load(client, text)
    page = await get(client, "/audit", **BEARER)
    (entry,) = page["data"]
    assert (entry["who"], entry["role"], entry["address"]) == ("ann", "admin", "127.0.0.1")
    assert (entry["action"], entry["request_id"], page["next"]) == ("load", request, None)
    assert entry["before"]["hash"] != entry["after"]["hash"]
    assert entry["after"]["counts"] == {"create": 1, "update": 3, "delete": 1}
    changes = {(one["action"], one["collection"]): one for one in entry["after"]["changes"]}
    shop = changes["update", "services"]
    assert (shop["before"]["path"], shop["after"]["path"]) == ("/base", "/other")
    assert changes["delete", "services"]["before"]["name"] == "blog"
    assert changes["delete", "services"]["after"] is None
    assert changes["update", "plugins"]["after"]["config"]["redis"]["password"] == "<hidden>"
    told = json.dumps(page)
    assert not [
        secret for secret in ("secret", "hush", "psst", ADMIN) if secret in told.replace("<hidden>", "")
    ]


async def test_a_large_configuration_is_counted_and_not_listed_whole(serve):
    """However many entities it has."""
    client = await serve(Source(admin_tokens=TOKENS))
    services = [{"name": f"s{number}", "host": "h"} for number in range(LISTED + 50)]
    await load(client, json.dumps({"_format_version": "3.0", "services": services}))
    (entry,) = (await get(client, "/audit", **BEARER))["data"]
    assert entry["after"]["counts"]["create"] == LISTED + 50
    assert len(entry["after"]["changes"]) == LISTED


async def test_logins_are_told(serve):
    """Those that failed too, without what was tried."""
    client = await serve(Source(admin_tokens=TOKENS))
    async with client.get("/services", headers={"Kong-Admin-Token": "wrong-secret"}) as answer:
        assert answer.status == 401
    async with client.post("/session", json={"token": "wrong-secret"}) as answer:
        assert answer.status == 401
    async with client.post("/session", json={"token": ADMIN}) as answer:
        csrf = (await answer.json())["csrf"]
    origin = str(client.make_url("/")).rstrip("/")
    async with client.delete("/session", headers={"X-CSRF-Token": csrf, "Origin": origin}) as answer:
        assert answer.status == 204
    page = await get(client, "/audit", **BEARER)
    assert [(one["action"], one["who"], one["role"]) for one in page["data"]] == [
        ("logout", "ann", "admin"),
        ("login", "ann", "admin"),
        ("login_failed", "", ""),
        ("login_failed", "", ""),
    ]
    assert [one["after"] for one in page["data"][2:]] == [{"path": "/session"}, {"path": "/services"}]
    assert "secret" not in json.dumps(page)


async def test_viewers_do_not_read_it(serve):
    """Operators and admins do."""
    client = await serve(Source(admin_tokens=TOKENS))
    await get(client, "/audit", 401)
    await get(client, "/audit", 403, **{"Kong-Admin-Token": VIEWER})


@pytest.fixture
async def filled(serve):
    """A client of a log with seven entries, one a minute."""
    clock = HandClock()
    source = Source()
    source.auditor = auditor = Auditor(clock)
    for number in range(7):
        collection = ("services", "routes")[number % 2]
        auditor.note(Author(("ann", "bob")[number % 3 == 0]), "update", collection, f"e{number}")
        clock.at += 60
    return await serve(source)


async def test_pages_of_it_follow_one_another(filled):
    """The newest first, none twice and none left out, whatever comes meanwhile."""
    seen, path = [], "/audit?size=3"
    while path:
        page = await get(filled, path)
        seen += [one["entity"] for one in page["data"]]
        path = page["next"]
        await load(filled, FILE)
    assert seen == ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("collection=routes", "531"),
        ("who=bob", "630"),
        ("who=bob&collection=routes", "3"),
        ("entity=e4", "4"),
        ("since=1700001240", "654"),
        ("since=1700001240&until=1700001300", "4"),
        ("until=2023-11-14T22:33:00Z", "210"),
        ("who=nobody", ""),
    ],
)
async def test_filters_choose(filled, query, found):
    """All of them together."""
    page = await get(filled, f"/audit?{query}")
    assert "".join(one["entity"][1:] for one in page["data"]) == found


@pytest.mark.parametrize("wrong", ["since=yesterday", "until=x", "size=0", "offset=1", "format=xml"])
async def test_a_wrong_question_is_refused(filled, wrong):
    """By its field."""
    refusal = await get(filled, f"/audit?{wrong}", 400)
    assert list(refusal["fields"]) == [wrong.partition("=")[0]]


async def test_all_of_it_is_sent_as_json_lines(filled):
    """One entry a line, with the same filters, and no pages."""
    async with filled.get("/audit?format=jsonl&who=ann&size=1") as answer:
        assert answer.content_type == "application/x-ndjson"
        assert answer.headers["Cache-Control"] == "no-store"
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [one["entity"] for one in lines] == ["e5", "e4", "e2", "e1"]
    assert lines[0] == (await get(filled, "/audit?who=ann&size=1"))["data"][0]


def test_memory_is_bounded_and_failures_do_not_push_out_the_rest():
    """Whoever tries wrong tokens cannot have the log forget what was done."""
    auditor = Auditor(HandClock())
    auditor.note(ANN, "load")
    for _ in range(KEPT + 5):
        auditor.note(Author(""), "login_failed")
    found = auditor.find(AuditQuery(size=10 * KEPT))
    assert len(found) == KEPT_FAILURES + 1
    assert found[-1].action == "load"
    assert found[0].number == KEPT + 6
    for _ in range(KEPT + 5):
        auditor.note(ANN, "load")
    assert len(auditor.find(AuditQuery(size=10 * KEPT))) == KEPT + KEPT_FAILURES


def test_the_file_has_a_line_for_each(tmp_path):
    """After rotation in a new one; ids differ from those of an earlier run."""
    file, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    clock = HandClock()
    for _ in range(2):
        auditor = Auditor(clock)
        auditor.open(str(file))
        auditor.note(ANN, "load", before={"hash": "a"}, after={"hash": "b"})
        auditor.close()
        clock.at += 1
    auditor = Auditor(clock)
    auditor.open(str(file))
    file.rename(old)
    auditor.reopen()
    auditor.note(ANN, "mark", "targets", "t1", after={"healthy": False})
    auditor.close()
    told = json.loads(file.read_text())
    assert (told["who"], told["action"], told["collection"]) == ("ann", "mark", "targets")
    assert told["after"] == {"healthy": False}
    first, second = map(json.loads, old.read_text().splitlines())
    assert (first["before"], second["after"]) == ({"hash": "a"}, {"hash": "b"})
    assert len({one["id"] for one in (first, second, told)}) == 3


def test_what_stands_in_the_file_is_remembered(tmp_path):
    """After a restart, as it was told before; what is no entry, or was copied from a database, is left out."""
    file = tmp_path / "audit.log"
    before = Auditor(HandClock())
    before.open(str(file))
    before.note(ANN, "load", before={"hash": "a"}, after={"hash": "b"})
    before.note(Author("", "", "192.0.2.1"), "login_failed", after={"path": "/"})
    before.copy(Record(7, "7", 1.0, ANN, "create", "services", "e1", revision=3))
    before.close()
    with file.open("a") as more:
        more.write('{"time": "x"}\n[]\nno JSON\n\n{"torn": ')
    after = Auditor(HandClock())
    after.open(str(file))
    after.note(ANN, "logout")
    newest, *rest = after.find(AuditQuery())
    assert [one.document() for one in rest] == [one.document() for one in before.find(AuditQuery())]
    assert (newest.action, newest.number) == ("logout", 3)
    after.close()


def test_only_the_end_of_a_long_file_is_read(tmp_path, monkeypatch):
    """From the first whole line on."""
    monkeypatch.setattr(auditing, "READ", 1000)
    file = tmp_path / "audit.log"
    before = Auditor(HandClock())
    before.open(str(file))
    for number in range(50):
        before.note(ANN, "mark", "targets", f"t{number}")
    before.close()
    after = Auditor(HandClock())
    after.open(str(file))
    after.close()
    found = [one.entity for one in after.find(AuditQuery())]
    assert 0 < len(found) < 6
    assert found == [f"t{number}" for number in range(49, 49 - len(found), -1)]


def test_a_file_that_cannot_be_opened_is_told():
    """By its setting."""
    with pytest.raises(ConfigError, match="admin_audit_log: cannot open"):
        Auditor(HandClock()).open("/nowhere/audit.log")
