"""The dashboard over a gateway with a database: keys issued and revoked, entities changed and changed back."""

from __future__ import annotations

import contextlib
import json
import random
import socket

import aiohttp
import pytest
from e2e_browser import CHROMIUM
from e2e_gateway import config_for
from e2e_page import AXE, browsing
from e2e_wire import OK

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make node")

VIEWER, OPERATOR = "v" * 24, "o" * 24


@pytest.fixture
async def page(tmp_path):
    """Give a page of a browser."""
    async with browsing(tmp_path / "profile") as one:
        yield one
        assert one.complaints == []


def free_port():
    """Return a port that nobody listens on, and none of those that the system gives to connections."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


@pytest.fixture
async def shop(gang, origin, tmp_path):
    """Give a gateway with two workers and a database, which its file has filled; ``admin`` is where it is administered."""
    port = free_port()
    config = config_for(
        (await origin(OK)).port, route={"plugins": [{"name": "key-auth"}]}, consumers=[{"username": "ann"}]
    )
    one = await gang(
        config,
        PROXYD_DATABASE=f"sqlite:///{tmp_path / 'entities.db'}",
        PROXYD_KEY_PEPPER="p" * 40,
        PROXYD_ADMIN_LISTEN=f"127.0.0.1:{port}",
        PROXYD_ADMIN_TOKENS=f"viewer:{VIEWER},operator:{OPERATOR}",
    )
    one.admin = f"http://127.0.0.1:{port}"
    return one


async def log_in(page, shop, token=OPERATOR):
    await page.open(shop.admin)
    await page.write("input[type=password]", token)
    await page.press("Enter")
    await page.sees("Overview", "h1")


async def go(page, where, heading):
    await page.js(f"location.hash = {json.dumps(where)}")
    await page.sees(heading, "h1")


async def choose(page, name, text):
    """Choose an option of a list by its text."""
    await page.until(
        f"(() => {{ const one = document.querySelector('select[name={name}]');"
        f" const found = [...(one?.options ?? [])].find((each) => each.text === {json.dumps(text)});"
        " if (!found) return false; one.value = found.value;"
        " one.dispatchEvent(new Event('input', {bubbles: true})); return true })()"
    )


async def test_a_key_is_issued_used_and_revoked(page, shop, raw):
    """It is shown once and lets its consumer in; once it is revoked, 401. With the keyboard alone where it is issued."""

    async def status(key):
        return (
            await (await raw(shop.port)).ask(f"GET / HTTP/1.1\r\nHost: h\r\napikey: {key}\r\n\r\n".encode())
        ).status

    await log_in(page, shop)
    await go(page, "#/keys", "Keys")
    await page.sees("No keys")
    await page.js(
        "[...document.querySelectorAll('main button')].find((one) => one.innerText === 'Issue a key').focus()"
    )
    await page.press("Enter")
    await page.until("document.querySelector('dialog[open] select[name=consumer]')?.options.length === 2")
    await choose(page, "consumer", "ann")
    await page.write("input[name=name]", "nightly")
    await page.press("Enter")
    await page.sees("It is shown this once")
    key = await page.js("document.querySelector('.secret code').textContent")
    assert key.startswith("pxd_live_")
    await page.shot("key-issued")
    assert await status(key) == 200
    assert await status(f"{key}x") == 401
    await page.press("Escape")
    await page.sees("nightly", "table")
    assert key not in await page.js("document.documentElement.innerHTML")
    await page.click("Rotate nightly")
    await choose(page, "overlap", "an hour")
    await page.click("Rotate")
    await page.sees("The new key")
    second = await page.js("document.querySelector('.secret code').textContent")
    assert second != key
    assert (await status(key), await status(second)) == (200, 200)
    await page.click("I have it")
    await page.until("document.querySelectorAll('tbody tr').length === 2")
    for left in (1, 0):
        await page.click("Revoke nightly")
        await page.click("Revoke")
        await page.until(f"document.querySelectorAll('tbody tr').length === {left}")
    assert (await status(key), await status(second)) == (401, 401)
    await page.shot("keys-revoked")


async def test_an_entity_is_changed_with_the_difference_in_sight_and_changed_back(page, shop):
    """What is typed is judged at once; what somebody else has saved meanwhile is told; the audit log undoes."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with aiohttp.ClientSession(shop.admin, headers=headers) as client:

        async def service():
            async with client.get("/services/backend") as answer:
                return await answer.json()

        await log_in(page, shop)
        await go(page, "#/services/backend", "backend")
        await page.click("Edit")
        await page.write("input[name=retries]", "99999")
        await page.sees("32767")
        await page.write("input[name=retries]", "7")
        await page.sees("It would be accepted.")
        await page.click("Review and save")
        await page.sees("retries: 7", "dialog .diff")
        assert "retries: 5" in await page.text("dialog .diff .removed")
        await page.shot("difference")
        assert (await service())["retries"] == 5
        await page.click("Save")
        await page.sees("backend is saved")
        assert (await service())["retries"] == 7

        await page.click("Edit")
        await page.write("input[name=port]", "8099")
        async with client.patch("/services/backend", json={"connect_timeout": 1234}) as answer:
            assert answer.status == 200
        await page.click("Review and save")
        await page.click("Save")
        await page.sees("Somebody else has changed it meanwhile")
        await page.sees("connect_timeout: 1234", "dialog .diff")
        await page.shot("meanwhile")
        await page.click("Save mine on top")
        await page.sees("8099", "main")
        saved = await service()
        assert (saved["port"], saved["connect_timeout"], saved["retries"]) == (8099, 1234, 7)

        await go(page, "#/audit", "Audit")
        await page.sees("update")
        await page.click("Show what update changed")
        await page.sees("port: 8099", "dialog .diff")
        await page.shot("audit")
        await page.press("Escape")
        await page.click("Undo")
        await page.click("dialog .primary")
        await page.sees("It is undone")
        assert (await service())["port"] != 8099
        assert (await service())["connect_timeout"] == 1234


async def test_a_plugin_is_put_on_a_route_and_taken_off(page, shop):
    """Its form is made of its settings; the chain of the route has it as soon as it is saved."""
    await log_in(page, shop)
    await go(page, "#/routes/main", "main")
    await page.click("Add")
    await choose(page, "plugin", "rate-limiting")
    await page.write("input[name='config.minute']", "-3")
    await page.until("document.querySelector(\"input[name='config.minute']\").getAttribute('aria-invalid')")
    await page.write("input[name='config.minute']", "30")
    await page.click("Review and save")
    await page.sees("minute: 30", "dialog .diff")
    await page.click("Save")
    await page.sees("rate-limiting is saved")
    await go(page, "#/routes/main", "main")
    await page.until("document.querySelectorAll('.chain > li').length === 2")
    await page.shot("plugin-added")
    await page.click("Delete rate-limiting")
    await page.click("dialog .danger")
    await page.until("document.querySelectorAll('.chain > li').length === 1")
    await go(page, "#/plugins", "Plugins")
    await page.until("document.querySelectorAll('tbody tr').length === 1")


async def test_a_viewer_has_no_buttons_and_is_refused(page, shop):
    """Neither for entities nor for keys; the audit log is not for viewers."""
    await log_in(page, shop, VIEWER)
    await go(page, "#/services/backend", "backend")
    assert await page.js("[...document.querySelectorAll('main .button')].map((one) => one.innerText)") == [
        "YAML"
    ]
    await go(page, "#/keys", "Keys")
    assert "Issue" not in await page.text("main")
    await go(page, "#/audit", "Audit")
    await page.sees("You may not read this")
    await go(page, "#/edit/services?id=backend", "Edit")
    await page.sees("You may look, and not change")
    for method, path in (("PATCH", "services/backend"), ("DELETE", "routes/main"), ("POST", "keys")):
        asked = f"fetch('{path}', {{method: '{method}', body: '{{}}', headers: {{'Content-Type': 'application/json'}}}})"
        assert await page.js(f"{asked}.then((answer) => answer.status)") == 403


@needs_axe
async def test_everybody_can_use_what_changes(page, shop):
    """Axe has no serious findings in dialogs and forms, wide and narrow, and nothing is wider than a phone."""
    await log_in(page, shop)
    for width in (1280, 390):
        await page.size(width, phone=width < 600)
        for where, heading in (
            ("#/keys", "Keys"),
            ("#/audit", "Audit"),
            ("#/consumers/ann", "ann"),
            ("#/edit/routes?id=main", "Edit main"),
        ):
            await go(page, where, heading)
            await page.until("!document.querySelector('.spinner')")
            assert (where, await page.barriers()) == (where, [])
            assert await page.js("document.documentElement.scrollWidth <= innerWidth"), where
            await page.shot(f"stored-{width}-{heading.replace(' ', '-')}")
        await page.click("Review and save")
        await page.sees("Nothing has changed")
        await go(page, "#/keys", "Keys")
        await page.click("Issue a key")
        await page.until("document.querySelector('dialog[open] select[name=consumer]')?.options.length === 2")
        assert await page.barriers() == []
        await page.shot(f"stored-{width}-issue")
        await page.press("Escape")
