"""The dashboard in a real browser: what it shows, and that everybody can use it.

Pictures of it are kept under artifacts/screenshots, for people to look at.
"""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from e2e_browser import CHROMIUM
from e2e_gateway import config_for
from e2e_page import AXE, browsing
from e2e_wire import OK

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make node")

TOKEN = "a-token-of-an-admin-0123456789"
LOGIN = {"admin_listen": "127.0.0.1:0", "admin_tokens": f"ann=admin:{TOKEN}"}


@pytest.fixture
async def page(tmp_path):
    """Give a page of a browser."""
    async with browsing(tmp_path / "profile") as one:
        yield one


def shop(port, dead):
    """Return a configuration of which there is something to see."""
    return {
        "_format_version": "3.0",
        "services": [
            {
                "name": "shop",
                "host": "shop-nodes",
                "routes": [
                    {"name": "orders", "paths": ["/orders"]},
                    {"name": "search", "paths": ["/search"], "plugins": [{"name": "key-auth"}]},
                    {
                        "name": "checkout",
                        "paths": ["/checkout"],
                        "plugins": [{"name": "rate-limiting", "config": {"minute": 20, "policy": "local"}}],
                    },
                ],
            },
            {
                "name": "reports",
                "url": f"http://127.0.0.1:{dead}",
                "retries": 0,
                "routes": [{"name": "reports", "paths": ["/reports"]}],
            },
        ],
        "upstreams": [
            {
                "name": "shop-nodes",
                "targets": [{"target": f"127.0.0.1:{port}"}],
                "healthchecks": {
                    "active": {
                        "http_path": "/",
                        "healthy": {"interval": 0.2, "successes": 1},
                        "unhealthy": {"interval": 0.2, "tcp_failures": 1, "timeouts": 1},
                    }
                },
            }
        ],
        "consumers": [
            {"username": "ann", "keyauth_credentials": [{"key": "k1"}]},
            {"username": "warehouse", "keyauth_credentials": [{"key": "k2"}]},
        ],
        "plugins": [{"name": "prometheus", "config": {"per_consumer": True, "status_code_metrics": True}}],
    }


async def load(gateway, seconds, per_second=60):
    """Send it requests of every kind, a few at a time."""
    kinds = [("orders", None)] * 6 + [("search", "k1")] * 3 + [("search", "k2"), ("search", None)]
    kinds += [("checkout", None)] * 2 + [("reports", None)]
    async with aiohttp.ClientSession() as client:
        for number in range(int(seconds * per_second)):
            path, key = kinds[number % len(kinds)]
            headers = {"apikey": key} if key else {}
            async with client.post(f"{gateway.url}/{path}", headers=headers) as answer:
                await answer.read()
            await asyncio.sleep(1 / per_second)


async def test_the_shell_opens_and_goes_to_pages(page, gateway, origin):
    """The address names the page; one that is not there says so, and nothing is refused by the policy."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    await page.sees("Overview", "h1")
    assert await page.js("document.querySelector('nav a[aria-current]').textContent") == "Overview"
    await page.js("location.hash = '#/no/such/page'")
    await page.sees("There is no such page")
    await page.click("To the overview")
    await page.sees("Overview", "h1")
    assert await page.js("document.activeElement.tagName") == "H1"
    assert page.complaints == []


async def test_the_overview_shows_what_is_going_on(page, gateway, origin, unused_tcp_port):
    """Routes, consumers, refusals and failures, while requests come; in light, in dark, and on a phone."""
    upstream = await origin(OK)
    one = await gateway(shop(upstream.port, unused_tcp_port), admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    busy = asyncio.get_running_loop().create_task(load(one, 12))
    try:
        for text in ("orders", "search", "checkout", "warehouse", "connect refused", "healthy"):
            await page.sees(text, "main")
        rate = "document.querySelector('.tile .figure').textContent"
        await page.until(f"parseFloat({rate}) > 5 && {rate}.endsWith('/s')")
        await page.until("document.querySelectorAll('path.line').length >= 12")
        limited = await page.js("document.querySelector('.tile:nth-child(4) .beside').textContent")
        assert "in this range" in limited
        await asyncio.wait([busy], timeout=8)  # charts want some seconds
        await page.shot("overview-light")
        await page.scheme("dark")
        await page.shot("overview-dark")
        await page.size(360, 780, phone=True)
        await page.until("document.querySelector('.drawing').getAttribute('width') < 360")
        assert await page.js("document.documentElement.scrollWidth") <= 360
        await page.shot("overview-phone-dark")
        await page.scheme("light")
        await page.shot("overview-phone")
        await page.click("Menu")
        await page.shot("menu-phone", whole=False)
        assert page.complaints == []
    finally:
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)


async def test_a_refused_configuration_says_where_it_is_wrong(page, gateway, origin):
    """With file, line and column, and what would be right; it goes with the next success."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    await page.sees("taken over")
    good = one.file.read_text()
    one.write(
        '_format_version: "3.0"\nservices:\n  - name: shop\n    url: http://127.0.0.1:1\n    retires: 3\n'
    )
    assert not await one.worker.reload()
    await page.sees("The last configuration was refused")
    said = await page.text(".problems")
    assert "kong.yml:5:" in said
    assert "retries" in said
    await page.shot("overview-refused")
    one.write(good)
    assert await one.worker.reload()
    await page.until("!document.querySelector('.problems')")


async def test_a_target_that_goes_away_is_seen(page, gateway, origin, unused_tcp_port):
    """It turns, its upstream is told of, and comes back."""
    upstream = await origin(OK)
    one = await gateway(shop(upstream.port, unused_tcp_port), admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    await page.until(
        "[...document.querySelectorAll('.badge.ok')].some((one) => one.textContent === 'healthy')"
    )
    await upstream.stop()
    await page.sees("Upstream shop-nodes gets no requests")
    await page.until(
        "[...document.querySelectorAll('.badge.bad')].some((one) => one.textContent === 'unhealthy')"
    )
    await page.shot("overview-target-away")


async def test_logging_in_and_out(page, gateway, origin):
    """A wrong token is told of in the form; a session that ends leads back there."""
    one = await gateway((await origin(OK)).port, **LOGIN)
    await page.open(one.admin_url)
    await page.sees("Admin token")
    await page.shot("login")
    await page.write("[name=token]", "not-a-token")
    await page.press("Enter")
    await page.sees("This token is not known.")
    assert await page.js("document.activeElement.name") == "token"
    await page.write("[name=token]", TOKEN)
    await page.press("Enter")
    await page.sees("Overview", "h1")
    await page.sees("ann")
    assert await page.js("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    await page.call("Network.clearBrowserCookies")
    await page.sees("Your session has ended")
    await page.write("[name=token]", TOKEN)
    await page.press("Enter")
    await page.sees("Overview", "h1")
    await page.click("Log out")
    await page.sees("Admin token")
    await page.js("location.hash = '#/?range=1h'; location.reload()")
    await page.sees("Admin token")
    assert page.complaints == []


async def test_the_keyboard_is_enough(page, gateway, origin):
    """The skip link, and a chart that is read out by its arrow keys."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    await page.until(
        "[...document.querySelectorAll('.legend-value')].some((one) => /\\d/.test(one.textContent))"
    )
    await page.press("Tab")
    assert await page.js("document.activeElement.textContent") == "Skip to content"
    await page.press("Enter")
    assert await page.js("document.activeElement.id") == "main"
    await page.js("[...document.querySelectorAll('.plot')].at(-1).focus()")
    spoken = "[...document.querySelectorAll('.chart > [role=status]')].at(-1).textContent"
    await page.press("End")
    last = await page.until(spoken)
    assert "WebSockets 0" in last
    await page.press("ArrowLeft")
    await page.until(f"{spoken} !== {json.dumps(last)}")
    await page.press("Escape")
    assert await page.js("[...document.querySelectorAll('.tip')].every((one) => one.hidden)")


async def test_it_asks_while_somebody_looks(page, gateway, origin):
    """Not while it is paused or hidden; where there is no answer, it says so, and tries again."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")
    await page.open(one.admin_url)
    await page.sees("taken over")
    await page.click("Pause")
    await page.sees("Paused", ".live")
    await page.click("Resume")
    await page.sees("Live", ".live")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    turn = hide + "document.dispatchEvent(new Event('visibilitychange'))"
    await page.js(turn % "true")
    await page.sees("Paused", ".live")
    await page.js(turn % "false")
    await page.sees("Live", ".live")
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await page.call("Network.enable")
    await page.call("Network.emulateNetworkConditions", offline=True, **conditions)
    await page.sees("No answer", ".live")
    await page.call("Network.emulateNetworkConditions", offline=False, **conditions)
    await page.sees("Live", ".live")
    assert page.complaints == []


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_keeps_anybody_out(page, gateway, origin, unused_tcp_port, scheme):
    """By axe, nothing is serious, with everything that may be wrong on the page, nor on the login page."""
    upstream = await origin(OK)
    one = await gateway(shop(upstream.port, unused_tcp_port), **LOGIN)
    await page.scheme(scheme)
    await page.open(one.admin_url)
    await page.sees("Admin token")
    assert await page.barriers() == []
    await page.write("[name=token]", TOKEN)
    await page.press("Enter")
    await page.sees("Overview", "h1")
    await upstream.stop()
    one.write(json.dumps({"_format_version": "3.0", "servces": []}))
    assert not await one.worker.reload()
    await load(one, 0.5)
    await page.sees("gets no requests")
    await page.sees("The last configuration was refused")
    await page.sees("connect refused")
    await page.click("Show as a table")
    assert await page.barriers() == []
    await page.size(360, 780, phone=True)
    await page.click("Menu")
    assert await page.barriers() == []


async def test_figures_of_all_workers_are_those_of_one_gateway(page, gang, origin, unused_tcp_port):
    """The master adds them up; each worker has its row."""
    upstream = await origin(OK)
    with_admin = {"PROXYD_ADMIN_LISTEN": f"127.0.0.1:{unused_tcp_port}"}
    one = await gang(config_for(upstream.port), **with_admin)
    await page.open(f"http://127.0.0.1:{unused_tcp_port}")
    await page.sees("Overview", "h1")
    async with aiohttp.ClientSession() as client:
        for _ in range(50):
            async with client.post(
                f"http://127.0.0.1:{one.port}/", headers={"Connection": "close"}
            ) as answer:
                assert answer.status == 200
    asked = "fetch('dashboard/overview').then((answer) => answer.json())"
    await page.until(f"{asked}.then((told) => told.routes[0]?.requests === 50)")
    told = await page.js(asked)
    assert [worker["name"] for worker in told["workers"]] == ["0", "1"]
    assert all(worker["memory"] > 1_000_000 for worker in told["workers"])
    await page.until("document.querySelectorAll('tbody tr').length >= 3")
    await page.shot("overview-workers")
