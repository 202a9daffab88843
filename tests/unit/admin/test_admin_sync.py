"""``proxyd config`` over an Admin API that writes: what a file says is there afterwards, and nothing is done twice."""

from __future__ import annotations

import asyncio

import pytest
from admin_case import FILE as RUNNING
from admin_case import Source
from aiohttp.test_utils import TestClient, TestServer
from store_case import StoredSource

from proxyd.admin.app import admin_app
from proxyd.cli.main import main

from aiohttp import web  # isort: skip

PEPPER = "0123456789abcdef0123456789abcdef"
TOKEN = "admin-token-of-24-letters"
FILE = """
_format_version: "3.0"
services:
- name: shop
  url: http://up/base
  tags: [web]
  routes:
  - {name: orders, paths: [/orders]}
  - {paths: [/items], methods: [GET]}
  plugins: [{name: rate-limiting, config: {minute: 5}}]
upstreams:
- {name: up, targets: [{target: "10.0.0.2:80"}]}
consumers:
- username: ann
  acls: [{group: staff}]
  keyauth_credentials: [{key: a-very-secret-key}]
  basicauth_credentials: [{username: ann, password: hush-hush}]
plugins:
- {name: key-auth, route: orders}
- {name: rate-limiting, route: orders, consumer: ann, config: {minute: 1}}
"""


@pytest.fixture
async def place(monkeypatch, tmp_path, capsys):
    """Give what runs ``proxyd config`` on a gateway, and returns its code and what it has written."""
    monkeypatch.setenv("PROXYD_KEY_PEPPER", PEPPER)
    monkeypatch.setenv("PROXYD_ADMIN_TOKEN", TOKEN)
    monkeypatch.setenv("PROXYD_DECLARATIVE_CONFIG", str(tmp_path / "none.yml"))
    started = []

    async def start(source):
        client = TestClient(TestServer(admin_app(source, web.Application())))
        await client.start_server()
        started.append((client, source))

        async def run(verb, *arguments, text=None):
            file = []
            if text is not None:
                (tmp_path / "kong.yml").write_text(text)
                file = [str(tmp_path / "kong.yml")]
            url = f"http://127.0.0.1:{client.port}"
            code = await asyncio.to_thread(main, ["config", verb, *file, "--admin", url, *arguments])
            return code, *capsys.readouterr()

        return run

    yield start
    for client, source in started:
        await client.close()
        if hasattr(source, "ending"):
            await source.ending.aclose()


def stored():
    return StoredSource(key_pepper=PEPPER, admin_tokens=f"admin:{TOKEN},viewer:{TOKEN}-of-who-looks")


async def test_a_file_is_applied_once_and_dumped_the_same(place):
    """Whatever refers to what; and applied to another gateway, its dump is byte for byte that of the first."""
    first = await place(stored())
    assert (await first("diff", text=FILE))[0] == 2
    code, out, _ = await first("apply", text=FILE)
    assert (code, out.splitlines()[-1]) == (0, "12 created")
    assert (await first("diff", text=FILE))[:2] == (0, "nothing to change\n")
    code, dumped, told = await first("dump")
    assert code == 0
    assert "a-very-secret-key" not in dumped + told
    assert (await first("diff", text=dumped))[:2] == (0, "nothing to change\n")
    second = await place(stored())
    assert (await second("apply", text=dumped))[0] == 0
    assert (await second("dump"))[:2] == (0, dumped)


async def test_what_is_not_in_the_file_goes_only_where_that_is_allowed(place):
    """Nobody can be asked here; and of what has other tags, nothing is touched."""
    run = await place(stored())
    await run("apply", text=FILE)
    less = FILE.replace("  - {paths: [/items], methods: [GET]}\n", "").replace("minute: 5", "minute: 6")
    code, out, told = await run("apply", text=less)
    assert (code, "1 would be deleted" in told) == (1, True)
    assert (await run("diff", text=FILE))[0] == 0
    code, out, _ = await run("apply", "--dry-run", text=less)
    assert (code, out.splitlines()[-1]) == (0, "1 to be updated, 1 to be deleted")
    code, out, _ = await run("apply", "--yes", text=less)
    assert (code, out.splitlines()[-1]) == (0, "1 updated, 1 deleted")
    assert '- config: {"minute":5}' in out
    renamed = '_format_version: "3.0"\nservices: [{name: news, host: n, tags: [web]}]\n'
    code, out, _ = await run("diff", "--tags", "web", text=renamed)
    assert out.splitlines()[-1] == "1 to be created, 1 to be deleted"


async def test_passwords_reach_the_gateway_as_they_are(place, monkeypatch):
    """Without its pepper here, they are sent in clear, each time anew; a digest cannot be sent."""
    source = stored()
    run = await place(source)
    monkeypatch.delenv("PROXYD_KEY_PEPPER")
    assert (await run("apply", text=FILE))[0] == 0
    contents = await source.store.contents()
    (before,) = contents.entries["basicauth_credentials"].values()
    code, out, _ = await run("apply", text=FILE)
    assert (code, out.splitlines()[-1]) == (0, "2 updated")
    contents = await source.store.contents()
    (after,) = contents.entries["basicauth_credentials"].values()
    assert before.document["hash"] == after.document["hash"]
    assert before.document["hash"] == source.settings.key_pepper[0].seal_password(
        "hush-hush", before.document["consumer"]
    )
    digest = FILE.replace("password: hush-hush", f"password: {'0a' * 20}") + "_transform: false\n"
    code, _, told = await run("apply", text=digest)
    assert (code, "has as a digest" in told) == (1, True)


async def test_a_file_that_runs_differs_in_nothing_from_itself(place):
    """Of a gateway whose truth it is, with its keys in clear."""
    run = await place(Source(RUNNING, admin_tokens=f"admin:{TOKEN}"))
    assert (await run("diff", text=RUNNING))[:2] == (0, "nothing to change\n")


async def test_why_nothing_is_done_is_told(place, monkeypatch):
    """A file that is the truth, a token that is missing or does not suffice, nobody there, no pepper."""
    run = await place(Source(admin_tokens=f"admin:{TOKEN}"))
    code, _, told = await run("apply", "--yes", text=FILE)
    assert (code, "POST /config" in told) == (1, True)
    code, dumped, _ = await run("dump")
    assert (code, "a-very-secret-key" in dumped) == (0, True)
    run = await place(stored())
    monkeypatch.setenv("PROXYD_ADMIN_TOKEN", "wrong-token-of-some-length")
    assert (await run("dump"))[0] == 4
    monkeypatch.setenv("PROXYD_ADMIN_TOKEN", f"{TOKEN}-of-who-looks")
    code, _, told = await run("dump")
    assert (code, "it takes admin" in told) == (4, True)
    code, _, told = await run("dump", "--admin", "http://127.0.0.1:1")
    assert (code, "no Admin API answers" in told) == (3, True)
    code, _, told = await run("dump", "--admin", "example")
    assert (code, "no address" in told) == (1, True)
