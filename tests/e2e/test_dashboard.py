"""The dashboard in a real browser: what it shows, and that everybody can use it."""

from __future__ import annotations

import pytest
from e2e_browser import CHROMIUM
from e2e_page import AXE, browsing
from e2e_wire import OK

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make node")


@pytest.fixture
async def page(tmp_path):
    """Give a page of a browser."""
    async with browsing(tmp_path / "profile") as one:
        yield one


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
