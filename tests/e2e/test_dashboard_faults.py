"""The dashboard where something goes wrong: answers that fail, hang or break off, another tab, and names that are long."""

from __future__ import annotations

import json

import pytest
from e2e_browser import CHROMIUM
from e2e_gateway import config_for
from e2e_page import browsing
from e2e_wire import OK

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

TOKEN, VIEWER = "a-token-of-an-admin-0123456789", "a-token-of-a-viewer-0123456789"
LOGIN = {"admin_listen": "127.0.0.1:0", "admin_tokens": f"ann=admin:{TOKEN},bob=viewer:{VIEWER}"}
PAGES = ("#/routes", "#/routes/only", "#/keys", "#/audit", "#/edit/routes?id=only")

# ``window.trouble`` is what becomes of requests whose method and path contain ``at``: a status, "hang" or "break".
_TROUBLE = """
const patience = AbortSignal.timeout.bind(AbortSignal)
AbortSignal.timeout = () => patience(300)
const real = window.fetch
window.trouble = null
window.fetch = (url, options = {}) => {
  const { at, what } = window.trouble ?? {}
  if (!what || !`${options.method} ${url}`.includes(at)) return real(url, options)
  if (what === "hang") return new Promise((_, no) => options.signal.addEventListener("abort", () => no(options.signal.reason)))
  if (what === "break") {
    const broken = (pipe) => { pipe.enqueue(new TextEncoder().encode("{")); pipe.error(new TypeError("network error")) }
    return Promise.resolve(new Response(new ReadableStream({ start: broken })))
  }
  return Promise.resolve(new Response(JSON.stringify({ message: `It is ${what}` }), { status: what }))
}
"""


@pytest.fixture
async def page(tmp_path):
    """Give a page of a browser, in which requests can be made to fail."""
    async with browsing(tmp_path / "profile") as one:
        await one.call("Page.addScriptToEvaluateOnNewDocument", source=_TROUBLE)
        yield one


@pytest.fixture
async def shop(gateway, origin):
    """Give a gateway with logins."""
    config = config_for((await origin(OK)).port)
    config["services"][0]["routes"][0]["name"] = "only"
    return await gateway(config, **LOGIN)


async def log_in(page, shop):
    await page.open(shop.admin_url)
    await page.write("[name=token]", TOKEN)
    await page.press("Enter")
    await page.sees("Overview", "h1")


async def trouble(page, what, at=""):
    await page.js(f"window.trouble = {json.dumps({'what': what, 'at': at})}; 0")


async def test_every_page_tells_of_a_failure_and_gets_over_it(page, shop):
    """An error, an answer that does not come and one that breaks off: told in words, with another try that works."""
    await log_in(page, shop)
    for where in PAGES:
        for what, said in (
            (500, "It is 500"),
            (429, "It is 429"),
            ("hang", "has not answered"),
            ("break", "does not answer"),
        ):
            await page.js("location.hash = '#/nowhere'")
            await page.sees("Not found", "h1")
            await trouble(page, what)
            await page.js(f"location.hash = {json.dumps(where)}")
            await page.sees(said, "main")
            await trouble(page, None)
            await page.click("Try again")
            await page.until(f"!document.querySelector('main').innerText.includes({json.dumps(said)})")


async def test_a_login_in_another_tab_does_not_keep_this_one_from_writing(page, shop):
    """The same person goes on; somebody else is named, and nothing is done as them; logging out ends what there is."""
    await log_in(page, shop)
    again = (
        "fetch('session', {method: 'POST', body: JSON.stringify({token: '%s'})}).then((one) => one.json())"
    )
    sent = """import('/dashboard/static/api.js').then(({ api }) => api.post('/schemas/routes/validate', {name: 'x', paths: ['/x']}))
        .then((told) => told.message ?? 'done', (error) => error.message)"""
    await page.js(again % TOKEN)
    assert "validat" in await page.js(sent)
    await page.js(again % VIEWER)
    assert await page.js(sent) == "bob has logged in with this browser: load the page anew"
    await page.click("Log out")
    await page.sees("Admin token")
    assert await page.js("fetch('session').then((one) => one.json()).then((told) => told.name)") is None


async def test_who_could_not_be_logged_out_is_told_so(page, shop):
    """The session goes on, and so does the page."""
    await log_in(page, shop)
    await trouble(page, 500, "DELETE")
    await page.click("Log out")
    await page.sees("You are still logged in. It is 500.")
    await page.sees("Overview", "h1")


async def test_a_dialog_goes_with_its_session(page, shop):
    """Nothing stands before the login."""
    await log_in(page, shop)
    await page.js(
        "import('/dashboard/static/dialogs.js').then(({ confirmed }) => { confirmed({title: 'Sure?', text: 'x'}) })"
    )
    await page.until("Boolean(document.querySelector('dialog[open]'))")
    await page.call("Network.clearBrowserCookies")
    await page.sees("Your session has ended")
    assert await page.js("document.querySelector('dialog') === null")


LONG = "x" * 200
WIDE = (
    "#/",
    "#/routes",
    f"#/routes/{LONG}",
    "#/explain?url=http://localhost/&method=GET",
    "#/tail",
    f"#/consumers/{LONG}",
)


@pytest.mark.parametrize("width", [1280, 390])
async def test_long_names_push_nothing_out_of_sight(page, gateway, origin, ask, width):
    """No page is wider than its screen, and beside a name of 200 letters there is room for what stands there."""
    config = config_for((await origin(OK)).port, consumers=[{"username": LONG}])
    config["services"][0]["routes"][0]["name"] = LONG
    one = await gateway(config, admin_listen="127.0.0.1:0")
    await page.size(width, phone=width < 500)
    await page.open(one.admin_url)
    for _ in range(3):
        assert (await ask(one.url).get("/")).status_code == 200
    await page.sees(LONG, "select[aria-label=Route]")
    for where in WIDE:
        await page.js(f"location.hash = {json.dumps(where)}")
        if where == "#/tail":
            await page.until("/seen$/.test(document.querySelector('.tail-count')?.textContent)")
            await ask(one.url).get("/")
        await page.sees(LONG, "main")
        await page.drawn()
        assert await page.js("document.documentElement.scrollWidth <= innerWidth"), where
        cells = "Math.max(0, ...[...document.querySelectorAll('main .table th, main .table td')].map((one) => one.offsetWidth))"
        assert await page.js(cells) <= width * 0.7, where
        over = "[...document.querySelectorAll('main .table :is(th, td)')].some((one) => one.scrollWidth > one.clientWidth + 1)"
        assert not await page.js(over), where
