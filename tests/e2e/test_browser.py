"""cors and csrf, believed by a real browser: which pages may read answers, and whose requests are refused."""

from __future__ import annotations

import pytest
from aiohttp import web
from e2e_browser import CHROMIUM, Pages
from e2e_gateway import config_for

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

CONSUMERS = [{"username": "ann", "keyauth_credentials": [{"key": "k1"}]}]


@pytest.fixture
async def pages():
    """Serve a page to a browser."""
    one = Pages()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def site():
    """Run a backend that logs visitors in by a cookie and counts what reaches it."""
    seen = []

    async def login(request):
        then = request.query.get("then")
        headers = {"Set-Cookie": "session=1; Path=/", **({"Location": then} if then else {})}
        return web.Response(status=302 if then else 200, headers=headers)

    async def act(request):
        seen.append((request.method, request.cookies.get("session")))
        return web.json_response({"seen": len(seen)}, headers={"X-Total": "7"})

    async def socket(request):
        seen.append(("WS", request.cookies.get("session")))
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.close()
        return answer

    app = web.Application()
    app.add_routes([web.get("/login", login), web.get("/ws", socket), web.route("*", "/act", act)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], seen
    await runner.cleanup()


READS = """
const url = "http://api.localhost:{port}/act"
const key = {{headers: {{apikey: "k1", "X-Own": "1"}}}}
done({{
  put: await attempt(async () => {{
    const answer = await fetch(url, {{method: "PUT", ...key}})
    return [answer.status, answer.headers.get("x-total"), (await answer.json()).seen > 0]
  }}),
  refused: await attempt(async () => (await fetch(url)).status),
  unlisted: await attempt(async () => (await fetch(url, {{...key, method: "DELETE"}})).status),
}})
"""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("app.localhost", {"put": [200, "7", True], "refused": 401, "unlisted": "TypeError"}),
        ("app.localhost.evil.localhost", dict.fromkeys(("put", "refused", "unlisted"), "TypeError")),
    ],
)
async def test_which_pages_read_answers(host, expected, pages, site, gateway, tmp_path):
    """A preflight needs no key, errors can be read too, and a longer host name is another host."""
    port, seen = site
    cors = {
        "origins": [rf"http://app\.localhost:{pages.port}"],
        "methods": ["GET", "PUT"],
        "exposed_headers": ["X-Total"],
        "max_age": 60,
    }
    plugins = [{"name": "cors", "config": cors}, {"name": "key-auth"}]
    proxy = await gateway(config_for(port, plugins=plugins, consumers=CONSUMERS))
    outcome = await pages.run(host, READS.format(port=proxy.port), tmp_path / "profile")
    assert outcome == expected
    assert [method for method, _ in seen] == (["PUT"] if host == "app.localhost" else [])


ACTS = """
const url = "//api.localhost:{port}"
const opened = () => new Promise((resolve) => {{
  const socket = new WebSocket("ws:" + url + "/ws")
  socket.onopen = () => resolve("open")
  socket.onerror = () => resolve("error")
}})
const sent = {{mode: "no-cors", credentials: "include"}}
await attempt(() => fetch(url + "/login", sent))
await attempt(() => fetch(url + "/act", {{...sent, method: "POST", body: new URLSearchParams({{to: "me"}})}}))
done(await opened())
"""


async def test_another_application_on_the_same_host(pages, site, gateway, tmp_path):
    """Cookies do not tell ports apart: its pages could post and open WebSockets as the visitor, and are refused."""
    port, seen = site
    for plugins, outcome, reached in (
        ([], "open", [("POST", "1"), ("WS", "1")]),
        ([{"name": "csrf"}], "error", []),
    ):
        seen.clear()
        proxy = await gateway(config_for(port, plugins=plugins))
        profile = tmp_path / outcome
        assert await pages.run("api.localhost", ACTS.format(port=proxy.port), profile) == outcome
        assert seen == reached
    statuses = {line["path"]: line["status"] for line in await proxy.log_lines(3)}
    assert statuses == {"/login": 200, "/act": 403, "/ws": 403}


FORM = """
if (location.hash !== "#in") {{
  location = "http://api.localhost:{port}/login?then=" + encodeURIComponent(location + "#in")
}} else {{
  const form = document.createElement("form")
  form.method = "post"
  form.action = "http://api.localhost:{port}/act"
  document.body.append(form)
  done("sent")
  form.submit()
}}
"""


async def test_a_form_of_another_site(pages, site, gateway, tmp_path):
    """Browsers send a fresh cookie along with one, for want of SameSite; it is refused."""
    port, seen = site
    for plugins, status in (([], 200), ([{"name": "csrf"}], 403)):
        seen.clear()
        proxy = await gateway(config_for(port, plugins=plugins))
        script = FORM.format(port=proxy.port)
        async with pages.open("evil.localhost", script, tmp_path / str(status)):
            lines = await proxy.log_lines(2)
        # Behind the answer to a form, which is a page of its own, a browser asks for its icon.
        assert [(line["path"], line["status"]) for line in lines[:2]] == [("/login", 302), ("/act", status)]
        assert seen == ([("POST", "1")] if status == 200 else [])


async def test_a_site_s_own_page(pages, site, gateway, tmp_path):
    """A page that the gateway serves posts and opens WebSockets, under the security headers."""
    port, seen = site
    plugins = [{"name": "csrf"}, {"name": "security-headers"}]
    config = config_for(port, plugins=plugins)
    routes = [{"name": "page", "paths": ["/page"], "strip_path": False}]
    config["services"].append({"name": "pages", "url": pages.url, "routes": routes})
    proxy = await gateway(config)
    script = ACTS.format(port=proxy.port)
    assert await pages.run("api.localhost", script, tmp_path / "profile", port=proxy.port) == "open"
    assert seen == [("POST", "1"), ("WS", "1")]
