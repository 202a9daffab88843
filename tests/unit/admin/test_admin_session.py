"""Logging in with a browser: who may, what a cookie is good for, and what it is not."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest
from admin_case import ADMIN, TOKENS, VIEWER, HandClock, Source
from aiohttp import ClientPayloadError, web

from proxyd.admin.callers.sessions import PER_TOKEN, Sessions
from proxyd.admin.loading import Loading
from proxyd.admin.openapi.described import described
from proxyd.apps.roles import roles
from proxyd.model.tokens import parse_tokens


@pytest.fixture
async def page(serve):
    """Give what logs in as a page of the gateway's own does, and then asks."""

    async def start(token=ADMIN, clock=None, **settings):
        one = Page(await serve(Source(admin_tokens=TOKENS, **settings), clock))
        if token:
            await one.log_in(token)
        return one

    return start


class Page:
    """A page in a browser: it sends its origin, its cookies, and the word that it was given."""

    def __init__(self, client):
        self.client = client
        self.origin = str(client.make_url("/")).rstrip("/")
        self.csrf = None

    async def log_in(self, token, status=200):
        answer = await self.ask("POST", "/session", status, json={"token": token})
        self.csrf = answer.get("csrf")
        return answer

    async def ask(self, method, path, status=200, origin="", csrf="", **more):
        headers = {"Origin": origin or self.origin, "X-CSRF-Token": csrf or self.csrf}
        headers = {name: value for name, value in headers.items() if value and value != "none"}
        async with self.client.request(method, path, headers=headers, **more) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json() if answer.status != 204 else {}

    def cookie(self):
        (one,) = self.client.session.cookie_jar
        return one


async def test_who_logs_in_is_somebody_until_it_logs_out(page):
    """With the token's name and role; GET /session is answered to everybody."""
    one = await page(token=None)
    nobody = {"name": None, "role": None, "csrf": None, "expires_at": None, "login_required": True}
    assert await one.ask("GET", "/session") == nobody
    await one.ask("GET", "/services", 401)
    told = await one.log_in(ADMIN)
    assert (told["name"], told["role"], told["login_required"]) == ("ann", "admin", True)
    assert await one.ask("GET", "/session") == told
    await one.ask("GET", "/services")
    kept = one.cookie().value
    await one.ask("DELETE", "/session", 204)
    assert await one.ask("GET", "/session") == nobody
    one.client.session.cookie_jar.update_cookies({"proxyd_session": kept}, one.client.make_url("/"))
    await one.ask("GET", "/services", 401)


async def test_the_cookie_is_for_the_browser_alone(page):
    """No script reads it, no other site sends it, and it is not the token."""
    one = await page(token=None)
    async with one.client.post("/session", json={"token": ADMIN}) as answer:
        name, value, *flags = re.split("[=;] ?", answer.headers["Set-Cookie"], maxsplit=2)
    assert (name, flags) == ("proxyd_session", ["HttpOnly; Path=/; SameSite=Strict"])
    assert ADMIN not in value


async def test_behind_tls_the_cookie_is_bound_to_it(page):
    """Also where a trusted peer in front speaks TLS; without trust, nothing is believed."""
    for trusted, key in (("127.0.0.0/8", "__Host-proxyd_session"), ("10.0.0.1", "proxyd_session")):
        one = await page(token=None, trusted_ips=trusted)
        async with one.client.post(
            "/session", json={"token": ADMIN}, headers={"X-Forwarded-Proto": "https"}
        ) as answer:
            (cookie,) = answer.cookies.values()
        assert cookie.key == key
        assert bool(cookie["secure"]) == key.startswith("__Host-")


async def test_a_login_has_an_id_of_its_own(page):
    """And ends the one before."""
    one = await page()
    before = one.cookie().value
    await one.log_in(VIEWER)
    assert one.cookie().value != before
    assert (await one.ask("GET", "/session"))["role"] == "viewer"
    one.client.session.cookie_jar.update_cookies({"proxyd_session": before}, one.client.make_url("/"))
    assert (await one.ask("GET", "/session"))["role"] is None


@pytest.mark.parametrize(
    ("origin", "csrf", "status"),
    [
        ("", "", 405),
        ("", "wrong", 403),
        ("", "none", 403),
        ("none", "", 403),
        ("https://evil.example", "", 401),
        ("null", "", 401),
    ],
)
async def test_a_write_with_a_cookie_is_sent_by_our_page(page, origin, csrf, status):
    """It has our origin and the word that only our page can read; 405 is what a write comes to without a database."""
    one = await page()
    await one.ask("POST", "/services", status, origin=origin, csrf=csrf, json={})


async def test_a_word_that_is_no_text_is_a_wrong_one(page):
    """Whatever bytes a header holds."""
    one = await page()
    port = one.client.server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /services HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {one.origin}\r\nContent-Length: 0\r\n"
        f"Connection: close\r\nCookie: proxyd_session={one.cookie().value}\r\nX-CSRF-Token: "
    )
    writer.write(head.encode() + b"\xff\xfe\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"403"
    writer.close()
    await writer.wait_closed()


async def test_logging_out_ends_what_is_still_answered(page, monkeypatch):
    """A stream that was begun before does not go on; other logins' do."""
    streams = asyncio.Semaphore(0)

    async def endless(_self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x")
                streams.release()
                await asyncio.sleep(0.01)
        return response

    monkeypatch.setattr(Loading, "_get", roles("viewer", "admin")(described("Stream.")(endless)))
    one = await page()
    async with (
        one.client.get("/config") as cut,
        one.client.get("/config", headers={"Kong-Admin-Token": VIEWER}) as going_on,
    ):
        await streams.acquire()
        await one.ask("DELETE", "/session", 204)
        with pytest.raises(ClientPayloadError):
            await cut.read()
        assert await going_on.content.readexactly(3) == b"xxx"


async def test_a_stream_ends_with_the_time_of_its_login():
    """Its connection is closed then, whatever the handler does."""
    sessions = Sessions(HandClock(), 100.0, 0.0)
    session = sessions.begin(parse_tokens(TOKENS)[0])[1]
    closed = asyncio.Event()

    class Connection:
        def close(self):
            closed.set()

    with sessions.serving(session, Connection()):
        await closed.wait()
    assert not session.serving


@pytest.mark.parametrize(("site", "status"), [("same-origin", 405), ("same-site", 401), ("cross-site", 401)])
async def test_what_the_browser_says_of_the_page_counts(page, site, status):
    """Sec-Fetch-Site, which no page can forge."""
    one = await page()
    headers = {"Sec-Fetch-Site": site, "X-CSRF-Token": one.csrf}
    async with one.client.post("/services", json={}, headers=headers) as answer:
        assert answer.status == status
    async with one.client.get("/services", headers={"Sec-Fetch-Site": site}) as answer:
        assert answer.status == (200 if status == 405 else 401)


async def test_a_bearer_needs_no_page(page):
    """Nor a cookie, nor a word."""
    one = await page(token=None)
    bearer = {"Authorization": f"Bearer {ADMIN}"}
    async with one.client.post("/services", json={}, headers=bearer) as answer:
        assert answer.status == 405
    async with one.client.get("/session", headers=bearer) as answer:
        told = await answer.json()
    assert (told["name"], told["role"], told["csrf"], told["expires_at"]) == ("ann", "admin", None, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"token": "' + b"x" * 24 + b'"}', 401),
        (b"{}", 400),
        (b'{"token": 7}', 400),
        (b"[]", 400),
        (b"{", 400),
        (b"x" * 5000, 413),
    ],
)
async def test_what_is_no_login_is_refused(page, body, status):
    """By Kong's form of errors, and with no cookie."""
    one = await page(token=None)
    async with one.client.post("/session", data=body) as answer:
        assert answer.status == status
        assert "message" in await answer.json()
        assert not answer.cookies


async def test_another_site_logs_nobody_in(page):
    """Not even with a right token."""
    one = await page(token=None)
    await one.ask("POST", "/session", 403, origin="https://evil.example", json={"token": ADMIN})


async def test_a_login_ends_by_itself(page):
    """When nothing came for a while, and after some time whatever came."""
    clock = HandClock()
    settings = {"admin_session_idle_timeout": "10m", "admin_session_absolute_timeout": "1h"}
    one = await page(clock=clock, **settings)
    assert (await one.ask("GET", "/session"))["expires_at"] == clock.time() + 600
    clock.at += 601
    await one.ask("GET", "/services", 401)
    await one.log_in(ADMIN)
    for _ in range(6):
        clock.at += 599
        await one.ask("GET", "/services")
    assert (await one.ask("GET", "/session"))["expires_at"] == clock.time() + 6
    clock.at += 7
    await one.ask("GET", "/services", 401)


async def test_without_tokens_this_machine_is_admin(serve):
    """A login changes nothing, and is not asked for."""
    client = await serve()
    told = {"name": "local", "role": "admin", "csrf": None, "expires_at": None, "login_required": False}
    async with client.get("/session") as answer:
        assert await answer.json() == told
    async with client.post("/session", json={"token": ADMIN}) as answer:
        assert (answer.status, await answer.json(), dict(answer.cookies)) == (200, told, {})


async def test_without_tokens_no_other_page_of_this_machine_writes(serve):
    """Another port is another page."""
    client = await serve()
    for origin, status in (("http://localhost:3000", 403), (str(client.make_url("/")).rstrip("/"), 405)):
        async with client.post("/services", json={}, headers={"Origin": origin}) as answer:
            assert answer.status == status


def test_logins_of_a_token_are_bounded():
    """One more ends that which was idle for longest, and those of another token stay."""
    clock = HandClock()
    sessions = Sessions(clock, 100.0, 1000.0)
    ann, viewer = parse_tokens(TOKENS)
    other, _ = sessions.begin(viewer)
    ids = [sessions.begin(ann)[0] for _ in range(PER_TOKEN)]
    sessions.find(ids[0])
    sessions.begin(ann)
    assert [identity for identity in ids if sessions.find(identity) is None] == [ids[1]]
    assert repr(sessions) == f"<Sessions {PER_TOKEN + 1}>"
    assert sessions.find(other).token.role == "viewer"
    assert sessions.find("") is sessions.find("\udcff") is None
    clock.at += 101
    sessions.begin(ann)
    assert len(sessions) == 2
