"""What pages of other origins may do, what every answer tells browsers, and that no route is left open."""

from __future__ import annotations

import pytest
from admin_case import ADMIN, TOKENS, Source
from aiohttp import web

from proxyd.admin.about import About
from proxyd.errors import ConfigError

GUI = "http://gui.example:8002"


async def preflight(client, path, origin=GUI, method="PATCH"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-csrf-token,kong-admin-token",
    }
    async with client.options(path, headers=headers) as answer:
        await answer.read()
        return answer


async def test_a_listed_page_is_answered(serve):
    """Preflights without a token, answers that it can read, with cookies; its path and upper case do not matter."""
    client = await serve(Source(admin_tokens=TOKENS, admin_gui_url="http://GUI.example:8002/manager"))
    for path in ("/services/x", "/config", "/", "/session", "/status/ready"):
        answer = await preflight(client, path)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == GUI
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Access-Control-Allow-Methods"] == "PATCH"
        assert "KONG-ADMIN-TOKEN" in answer.headers["Access-Control-Allow-Headers"]
    async with client.get("/services", headers={"Origin": GUI, "Kong-Admin-Token": ADMIN}) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == GUI
        assert "X-Kong-Admin-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    async with client.get("/services", headers={"Origin": GUI}) as answer:
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == GUI


@pytest.mark.parametrize("listed", [{}, {"admin_gui_url": GUI}])
async def test_other_pages_are_not(serve, listed):
    """Nor is any, where none is listed."""
    client = await serve(Source(admin_tokens=TOKENS, **listed))
    other = "http://gui.example:8003"
    answer = await preflight(client, "/services", other, "POST")
    assert answer.status in {403, 405}
    assert "Access-Control-Allow-Origin" not in answer.headers
    async with client.get("/services", headers={"Origin": other, "Kong-Admin-Token": ADMIN}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_listed_page_may_write_where_there_are_no_tokens(serve):
    """It is trusted as the gateway's own page is."""
    client = await serve(Source(admin_gui_url=GUI))
    for origin, status in ((GUI, 405), ("http://gui.example", 403)):
        async with client.post("/services", json={}, headers={"Origin": origin}) as answer:
            assert answer.status == status


@pytest.mark.parametrize("tokens", [{}, {"admin_tokens": TOKENS}])
async def test_names_that_are_none_are_refused(serve, tokens):
    """Half of an IPv6 address is the name of no host and of no page."""
    client = await serve(Source(**tokens))
    for headers in ({"Host": "[::1"}, {"Origin": "http://["}, {"Host": "", "Origin": "http://["}):
        for ask in (client.get, client.post):
            async with ask("/services", headers={**headers, "Cookie": "proxyd_session=x"}) as answer:
                assert answer.status == (401 if tokens else 403)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://admin.example", "https://admin.example"),
        ("https://Admin.Example:443/gui/", "https://admin.example"),
        ("http://[::1]:8002", "http://[::1]:8002"),
    ],
)
def test_origins_are_taken_from_urls(url, origin):
    """As a browser writes them."""
    assert Source(admin_gui_url=url).settings.admin_gui_url == (origin,)


@pytest.mark.parametrize(
    "url", ["*", "https://*.example", "admin.example", "ftp://a", "https://u@a", "http://a:x"]
)
def test_what_is_no_origin_is_refused(url):
    """With the place, and what would be right."""
    with pytest.raises(ConfigError, match="ADMIN_GUI_URL"):
        Source(admin_gui_url=url)


@pytest.mark.parametrize("path", ["/", "/services", "/nowhere", "/status/ready"])
async def test_every_answer_is_marked(serve, path):
    """Not to be framed, guessed at, kept or referred from, whatever it is; and each has its own id."""
    client = await serve()
    ids = set()
    for method in ("GET", "POST"):
        async with client.request(method, path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "proxyd"
        ids.add(headers["X-Kong-Admin-Request-ID"])
    assert len(ids) == 2


async def test_what_fails_says_no_more(serve, monkeypatch):
    """Neither a traceback nor a message that nobody has written for clients."""

    async def broken(_self):
        raise RuntimeError("secret")

    monkeypatch.setattr(Source, "loaded", broken)
    client = await serve()
    async with client.get("/services") as answer:
        assert (answer.status, await answer.json()) == (500, {"message": "An unexpected error occurred"})


@pytest.mark.parametrize("kind", ["handler", "view", "static"])
async def test_a_route_without_a_role_keeps_it_from_starting(serve, monkeypatch, tmp_path, kind):
    """Whatever kind of route it is."""

    async def handler(_request):
        return web.Response()

    class View(web.View):
        async def get(self):
            return web.Response()

    def add_to(_self, app):
        if kind == "static":
            app.router.add_static("/open", tmp_path)
        else:
            app.router.add_route(
                "*" if kind == "view" else "GET", "/open", View if kind == "view" else handler
            )

    monkeypatch.setattr(About, "add_to", add_to)
    with pytest.raises(ValueError, match=r"neither roles nor public is declared for GET /open"):
        await serve()


@pytest.mark.parametrize("tokens", [{}, {"admin_tokens": TOKENS}])
@pytest.mark.parametrize("name", ["Origin", "Host"])
async def test_an_address_that_is_none_is_no_page_of_ours(serve, tokens, name):
    """Refused, or not known, and no error of the gateway's."""
    client = await serve(Source(**tokens))
    for value in ("http://[", "//[::1", "http://[nonsense]:1", "]", "null"):
        sent = {name: value.removeprefix("http://") if name == "Host" else value}
        async with client.get("/services", headers=sent) as answer:
            assert answer.status in {401, 403}
        async with client.post(
            "/session", json={"token": "x"}, headers={"Origin": "http://[", **sent}
        ) as answer:
            assert answer.status == 403
