"""The reference of the Admin API in a real browser: searched, opened by links, and usable by everybody."""

from __future__ import annotations

import pytest
from e2e_browser import CHROMIUM
from e2e_gateway import config_for
from e2e_page import AXE, browsing

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
async def page(tmp_path, gateway):
    """Give the reference of a gateway in a browser."""
    one = await gateway(config_for(9), admin_listen="127.0.0.1:0")
    async with browsing(tmp_path / "profile") as found:
        await found.open(f"{one.admin_url}/docs")
        yield found


async def seen(page, what):
    return await page.js(f"[...document.querySelectorAll('{what}')].filter((one) => one.offsetParent).length")


async def test_the_reference_is_searched_and_followed(page):
    """What lacks a word is hidden, a link opens what it leads to, and the policy has nothing to refuse."""
    everything = await seen(page, ".item")
    assert everything > 100
    await page.write("#search", "upstreams health")
    await page.until("document.getElementById('count').textContent.endsWith('found')")
    assert 0 < await seen(page, ".item") < everything / 4
    await page.shot("docs-search")
    await page.click("#get_upstreams_upstreams_health summary")
    await page.sees("balancer_health")
    await page.click("#get_upstreams_upstreams_health a")  # Error, which the search hides
    await page.until("document.getElementById('schema-Error').open")
    assert await seen(page, ".item") == everything
    await page.write("#search", "no such word")
    await page.sees("Nothing is called that")
    assert page.complaints == []


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make node")
async def test_the_reference_keeps_nobody_out(page):
    """By axe, nothing is serious, in light and dark; and on a phone, nothing is wider than the screen."""
    await page.js(
        "document.querySelectorAll('#group-services details').forEach((one) => { one.open = true })"
    )
    for scheme in ("light", "dark"):
        await page.scheme(scheme)
        assert await page.barriers() == []
    await page.size(390, 800, phone=True)
    assert await page.js("document.documentElement.scrollWidth <= innerWidth")
    await page.shot("docs-phone", whole=False)
