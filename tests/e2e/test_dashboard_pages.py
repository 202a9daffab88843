"""The dashboard's pages about entities and requests, in a real browser, over a gateway whose truth is its file."""

from __future__ import annotations

import pytest
from e2e_browser import CHROMIUM
from e2e_gateway import config_for
from e2e_page import AXE, browsing
from e2e_wire import OK

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: make node")

# Each with what is there once it is complete.
NARROW = {
    "#/routes/orders": ".chain > li",
    "#/explain?url=http://localhost/orders/7&method=GET": ".explain .chain > li",
    "#/tail": ".tail-count",
    "#/edit/plugins?name=rate-limiting": "form .group",
}
WIDE = {
    **NARROW,
    "#/routes": "tbody tr",
    "#/services/backend": "tbody tr",
    "#/consumers/ann": "tbody tr",
    "#/upstreams/up": "tbody tr",
    "#/plugins": "tbody tr",
    "#/certificates": ".table-box",
}


@pytest.fixture
async def page(tmp_path):
    """Give a page of a browser."""
    async with browsing(tmp_path / "profile") as one:
        yield one
        assert one.complaints == []


@pytest.fixture
async def shop(gateway, origin):
    """Give a gateway with something of everything."""
    port = (await origin(OK)).port
    config = config_for(
        port,
        plugins=[{"name": "rate-limiting", "config": {"minute": 1000}}, {"name": "cors"}],
        upstreams=[{"name": "up", "targets": [{"target": f"127.0.0.1:{port}"}]}],
        consumers=[
            {
                "username": "ann",
                "keyauth_credentials": [{"key": "a-very-secret-key"}],
                "plugins": [{"name": "rate-limiting", "config": {"minute": 7}}],
            }
        ],
    )
    config["services"][0]["routes"] += [
        {
            "name": "orders",
            "paths": ["/orders"],
            "tags": ["web"],
            "plugins": [{"name": "rate-limiting", "config": {"minute": 500}}],
        },
        *({"name": f"many-{number:03}", "paths": [f"/many/{number}"]} for number in range(60)),
    ]
    return await gateway(config, admin_listen="127.0.0.1:0", proxy_access_log="off")


async def test_a_list_is_searched_filtered_and_turned(page, shop):
    """A page at a time; what is searched for stands in the address."""
    await page.open(f"{shop.admin_url}/#/routes")
    await page.sees("1 to 50 of 62")
    await page.click("Next")
    await page.sees("51 to 62 of 62")
    await page.write("input[type=search]", "many-00")
    await page.until("document.querySelectorAll('tbody tr').length === 10")
    assert "q=many" in await page.js("location.hash")
    await page.write("input[type=search]", "nothing-like-it")
    await page.sees("Nothing fits")
    await page.write("input[type=search]", " ")
    await page.js(
        "(() => { const one = [...document.querySelectorAll('select')][0]; one.value = 'web';"
        " one.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    await page.until("document.querySelectorAll('tbody tr').length === 1")
    await page.click("orders")
    await page.sees("orders", "h1")
    await page.shot("route")


async def test_a_route_shows_the_plugins_that_run_on_it(page, shop):
    """In their order, with the scope that each comes from; for a consumer, those that it gets."""
    await page.open(f"{shop.admin_url}/#/routes/orders")
    await page.until("document.querySelectorAll('.chain > li').length === 2")
    chain = await page.text(".chain")
    assert chain.index("cors") < chain.index("rate-limiting")
    assert "from route" in chain
    assert "global gives way to route" in chain
    await page.js(
        "(() => { const one = [...document.querySelectorAll('.card select')].at(-1);"
        " one.value = [...one.options].find((each) => each.text === 'ann').value;"
        " one.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    await page.sees("from consumer", ".chain")
    await page.shot("chain")


async def test_a_request_is_explained(page, shop):
    """Typed by keyboard alone: which route wins, and by which rule the others lose."""
    await page.open(f"{shop.admin_url}/#/explain")
    await page.write("input[name=url]", "http://localhost/orders/7?full=1")
    await page.press("Enter")
    await page.sees("This route wins")
    told = await page.text("main")
    assert "orders" in told
    assert "shorter path" in told
    assert "/7?full=1" in told
    await page.shot("explain")
    await page.write("input[name=url]", "nonsense")
    await page.press("Enter")
    await page.sees("is no URL of a request")
    assert await page.js("document.activeElement.name") == "url"


async def test_requests_are_seen_live_paused_and_resumed(page, shop, raw):
    """As they finish, with secrets masked; while it is paused they are held."""
    await page.open(f"{shop.admin_url}/#/tail")
    await page.sees("0 seen")
    connected = "!document.querySelector('.tail-count').textContent.includes('connecting')"
    await page.until(connected)
    wire = await raw(shop.port)

    async def ask(path):
        await wire.ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

    await ask("/orders/1?apikey=hush-hush")
    await page.sees("apikey=REDACTED")
    assert "hush" not in await page.text("main")
    await page.shot("tail")
    await page.click("Pause")
    await page.sees("paused, 0 held")
    before = await page.js("document.querySelectorAll('tbody tr').length")
    await ask("/many/7")
    await page.sees("paused, 1 held")
    assert await page.js("document.querySelectorAll('tbody tr').length") == before
    await page.click("Resume")
    await page.sees("/many/7")
    await page.write("input[name=path]", "many")
    await page.until("document.querySelectorAll('tbody tr').length === 0")
    await page.until(connected)
    await ask("/orders/2")
    await ask("/many/8")
    await page.sees("/many/8")
    assert "/orders/2" not in await page.text("tbody")


async def test_without_a_database_an_edit_is_yaml(page, shop):
    """Judged as one types by the loader's classes; what comes of it loads as a file."""
    await page.open(f"{shop.admin_url}/#/edit/services?id=backend")
    await page.sees("There is no database")
    await page.write("input[name=retries]", "99999")
    await page.sees("32767")
    await page.write("input[name=retries]", "7")
    await page.sees("It would be accepted.")
    await page.click("Show YAML")
    await page.sees("YAML for the file")
    snippet = await page.js("document.querySelector('dialog pre').innerText")
    assert "retries: 7" in snippet
    await page.shot("yaml")
    await page.press("Escape")
    loaded = shop._take(f'_format_version: "3.0"\n{snippet}\n').configuration
    (service,) = loaded.services.values()
    assert (service.name, service.retries) == ("backend", 7)


async def test_yaml_of_what_belongs_to_another_names_it(page, shop):
    """A target of an upstream, and a key of a consumer, load as they are shown beside the others."""
    await page.open(f"{shop.admin_url}/#/edit/targets?within=upstreams/up/targets")
    await page.write("input[name=target]", "10.1.2.3:80")
    await page.press("Enter")
    await page.sees("YAML for the file")
    target = await page.js("document.querySelector('dialog pre').innerText")
    await page.open("about:blank")
    await page.open(f"{shop.admin_url}/#/edit/key-auths?within=consumers/ann/key-auth")
    await page.write("input[name=name]", "ci")
    await page.js("document.querySelector('details').open = true")
    await page.write("[name=key]", "a-very-long-key")
    await page.click("Show YAML")
    await page.sees("YAML for the file")
    key = await page.js("document.querySelector('dialog pre').innerText")
    text = f'_format_version: "3.0"\nupstreams: [{{name: up}}]\nconsumers: [{{username: ann}}]\n{target}\n{key}\n'
    loaded = shop._take(text).configuration
    assert [one.target for one in loaded.targets.values()] == ["10.1.2.3:80"]
    assert [one.name for one in loaded.keyauth_credentials.values()] == ["ci"]


@needs_axe
async def test_everybody_can_use_the_pages(page, shop):
    """Axe has no serious findings, in light and dark, and nothing is wider than a phone."""
    for width, scheme, pages in ((1280, "light", WIDE), (390, "dark", NARROW)):
        await page.size(width, phone=width < 600)
        await page.scheme(scheme)
        for where, complete in pages.items():
            await page.open("about:blank")
            await page.open(f"{shop.admin_url}/{where}")
            await page.until(
                f"document.querySelector('{complete}')"
                " && !document.querySelector('.spinner, button[type=submit]:disabled')"
            )
            assert (where, await page.barriers()) == (where, [])
            assert await page.js("document.documentElement.scrollWidth <= innerWidth"), where
            await page.shot(f"{scheme}-{where.removeprefix('#/').partition('?')[0].replace('/', '-')}")


async def test_a_viewer_looks_and_does_not_change(page, gateway, origin):
    """The buttons are not there, and the gateway refuses in any case."""
    one = await gateway(
        config_for((await origin(OK)).port), admin_listen="127.0.0.1:0", admin_tokens=f"viewer:{'v' * 24}"
    )
    await page.open(one.admin_url)
    await page.write("input[type=password]", "v" * 24)
    await page.press("Enter")
    await page.sees("Overview", "h1")
    await page.js("location.hash = '#/services/backend'")
    await page.sees("backend", "h1")
    assert "Delete" not in await page.text("main")
    await page.js("location.hash = '#/edit/services?id=backend'")
    await page.sees("You may look, and not change")
    status = await page.js("fetch('services/backend', {method: 'DELETE'}).then((answer) => answer.status)")
    assert status == 403
