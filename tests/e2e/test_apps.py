"""An application mounted in the gateway: a target like any other, with the caller at hand."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web
from e2e_command import proxyd
from jwks_case import document
from token_case import private, token

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "applications"
MIB = 1024 * 1024


@pytest.fixture
def mount(monkeypatch, gateway):
    """Give what starts a gateway with an application mounted, by its maker or by a reference."""
    monkeypatch.syspath_prepend(EXAMPLES)

    async def start(app, *plugins, route=None, service=None, settings=None, **top):
        if not isinstance(app, str):
            module = type(sys)("mounted_for_test")
            module.make = app
            monkeypatch.setitem(sys.modules, "mounted_for_test", module)
            app = "mounted_for_test:make"
        only = {"name": "main", "paths": ["/app"], **(route or {})}
        config = {
            "_format_version": "3.0",
            "services": [{"name": "shop", "url": "memory://shop", "routes": [only], **(service or {})}],
            "plugins": list(plugins),
            **top,
        }
        return await gateway(config, apps={"shop": app}, **(settings or {}))

    return start


def simple(**handlers):
    """Make an application with a handler for each path."""
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_route("*", f"/{name}", handler)
    return app


CONSUMERS = [
    {"username": "ann", "keyauth_credentials": [{"key": "k-ann"}], "acls": [{"group": "clerk"}]},
    {"username": "max", "keyauth_credentials": [{"key": "k-max"}], "acls": [{"group": "manager"}]},
    {"username": "guest"},
]
KEYS = {"name": "key-auth", "config": {"anonymous": "guest"}}


# --- the example ---------------------------------------------------------------------------------------------


async def test_roles_of_consumers(mount):
    """401 for nobody, 403 without the role; headers that a client sends name nobody."""
    proxy = await mount("storefront:make_app", KEYS, consumers=CONSUMERS)
    asked = [
        ("GET", "/app", "", 200),
        ("GET", "/app/me", "", 401),
        ("GET", "/app/me", "k-ann", 200),
        ("GET", "/app/orders/7", "", 401),
        ("GET", "/app/orders/7", "k-ann", 200),
        ("DELETE", "/app/orders/7", "k-ann", 403),
        ("DELETE", "/app/orders/7", "k-max", 204),
        ("GET", "/app/nothing", "", 404),
    ]
    claimed = {"X-Consumer-Username": "max", "X-Consumer-Groups": "manager"}
    async with httpx.AsyncClient(base_url=proxy.url, headers=claimed) as client:
        answers = [
            await client.request(method, path, headers={"apikey": key}) for method, path, key, _ in asked
        ]
    assert [answer.status_code for answer in answers] == [status for *_, status in asked]
    assert answers[2].json() == {"name": "ann", "groups": ["clerk"]}
    assert answers[1].headers["www-authenticate"] == "Bearer"


async def test_roles_of_tokens(mount):
    """A token without a consumer will do: its claims get to the application, and they are in no header."""
    keys = {
        "name": "jwt",
        "config": {"issuers": [{"issuer": "https://id", "jwks": json.loads(document(1))}]},
    }
    proxy = await mount("storefront:make_app", keys)
    header = {"alg": "RS256", "kid": "k1"}
    claims = {"iss": "https://id", "sub": "u1", "exp": 4_000_000_000, "realm_access": {"roles": ["clerk"]}}
    bearer = {"Authorization": f"Bearer {token(claims, private('RS256', 1), 'RS256', header)}"}
    async with httpx.AsyncClient(base_url=proxy.url, headers=bearer) as client:
        assert (await client.get("/app/me")).json() == {"name": "u1", "groups": []}
        assert (await client.get("/app/orders/7")).status_code == 200
        assert (await client.delete("/app/orders/7")).status_code == 403


async def test_a_websocket(mount):
    """Upgraded, with the caller's name; it ends with the gateway, not at a timeout."""
    proxy = await mount("storefront:make_app", KEYS, consumers=CONSUMERS)
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{proxy.url}/app/chat", headers={"apikey": "k-ann"})
        await socket.send_str("hello")
        assert (await socket.receive_str()) == "ann: hello"
        await proxy.worker.stop(drain=0.0)
        assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}
        await socket.close()


async def test_server_sent_events(mount):
    """Streamed, under chunks of the gateway's."""
    proxy = await mount("storefront:make_app", KEYS, consumers=CONSUMERS)
    async with httpx.AsyncClient(base_url=proxy.url, headers={"apikey": "k-ann"}) as client:
        answer = await client.get("/app/events")
    assert (answer.headers["content-type"], answer.text) == (
        "text/event-stream",
        "data: 0\n\ndata: 1\n\ndata: 2\n\n",
    )


async def test_cors_of_the_application(mount):
    """By the plugin's settings."""
    proxy = await mount("storefront:make_shared_app")
    async with httpx.AsyncClient(
        base_url=proxy.url, headers={"Origin": "https://shop.example.com"}
    ) as client:
        answer = await client.get("/app/catalogue")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"


# --- a target like any other ---------------------------------------------------------------------------------


async def test_what_the_application_is_told(mount):
    """The client's address, scheme and host, of each request for itself, though connections are kept for others."""
    seen = []

    async def look(request):
        seen.append((request.remote, request.scheme, request.host, request.path_qs, id(request.transport)))
        return web.Response()

    settings = {"trusted_ips": "127.0.0.1", "real_ip_header": "X-Forwarded-For"}
    proxy = await mount(lambda: simple(look=look), settings=settings)
    async with httpx.AsyncClient(base_url=proxy.url) as client:
        for number in (1, 2):
            headers = {
                "X-Forwarded-For": f"192.0.2.{number}",
                "X-Forwarded-Proto": "https",
                "Host": f"h{number}.example",
            }
            assert (await client.get(f"/app/look?n=%2{number}", headers=headers)).status_code == 200
    (*first, one), (*second, other) = seen
    assert first == ["192.0.2.1", "https", "h1.example", "/look?n=%21"]
    assert second == ["192.0.2.2", "https", "h2.example", "/look?n=%22"]
    assert one == other


async def test_plugins_limits_logs_and_metrics(mount):
    """Work on its route as on any other."""
    limit = {"name": "rate-limiting", "config": {"hour": 1}}

    async def answer(request):
        return web.Response(text=request.headers["X-Forwarded-Prefix"])

    proxy = await mount(lambda: simple(x=answer), limit)
    async with httpx.AsyncClient() as client:
        answers = [await client.get(f"{proxy.url}/app/x") for _ in range(2)]
        metrics = (await client.get(f"{proxy.status_url}/metrics")).text
    assert (answers[0].status_code, answers[0].text) == (200, "/app")
    assert answers[1].status_code == 429
    line = (await proxy.log_lines(2))[0]
    assert (line["status"], "memory://shop" in str(line)) == (200, True)
    assert 'target="memory://shop"' in metrics


async def test_large_bodies_both_ways(mount, raw):
    """With backpressure, and with no limit but the gateway's; the application's own default would be 1 MiB."""

    async def count(request):
        return web.json_response(len(await request.read()))

    async def send(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(32):
            await response.write(b"x" * (MIB // 4))
        return response

    proxy = await mount(lambda: simple(count=count, send=send), settings={"client_max_body_size": "8m"})
    async with httpx.AsyncClient(base_url=proxy.url, timeout=30) as client:
        sent = await client.post("/app/count", content=b"x" * (4 * MIB))
        received = await client.get("/app/send")
    assert (sent.json(), len(received.content)) == (4 * MIB, 8 * MIB)
    wire = await raw(proxy.port)
    refused = await wire.ask(b"POST /app/count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (9 * MIB))
    assert refused.status == 413


async def test_a_slow_client_pauses_the_application(mount, raw):
    """What is not taken is not made: buffers stay small however much there is to send."""
    written = 0

    async def send(request):
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while written < 64 * MIB:
            await response.write(b"x" * MIB)
            written += MIB
        return response

    proxy = await mount(lambda: simple(send=send))
    client = await raw(proxy.port)
    await client.send(b"GET /app/send HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.head()
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.2)
    assert written < 32 * MIB
    client.close()
    await proxy.log_lines(1)


async def test_a_slow_application_pauses_the_client(mount, raw):
    """What it does not read is not taken from the client, and nothing is lost when it reads at last."""
    gate = asyncio.Event()

    async def count(request):
        await gate.wait()
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.json_response(size)

    proxy = await mount(lambda: simple(count=count), settings={"client_max_body_size": "64m"})
    client = await raw(proxy.port)
    head = b"POST /app/count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (32 * MIB)
    sending = asyncio.ensure_future(client.send(head, *[b"x" * MIB] * 32))
    taken, before = 0, -1
    while before != taken or not taken:
        before = taken
        await asyncio.sleep(0.2)
        (connection,) = proxy.worker.clients
        taken = connection.exchange.bytes_received if connection.exchange is not None else 0
    assert taken < 8 * MIB
    assert not sending.done()
    gate.set()
    await sending
    answer = await client.body(await client.head())
    assert (answer.status, answer.body) == (200, b"%d" % (32 * MIB))


async def test_a_client_that_leaves(mount, raw):
    """Is seen by the handler, and its connection is not used for anybody else."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def wait(request):
        begun.set()
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        over.set()
        return web.Response()

    async def hello(request):
        del request
        return web.Response(text="hello")

    proxy = await mount(lambda: simple(wait=wait, hello=hello))
    client = await raw(proxy.port)
    await client.send(b"GET /app/wait HTTP/1.1\r\nHost: x\r\n\r\n")
    await begun.wait()
    client.close()
    async with asyncio.timeout(10):
        await over.wait()
    async with httpx.AsyncClient(base_url=proxy.url) as other:
        answers = await asyncio.gather(*(other.get("/app/hello") for _ in range(20)))
    assert {answer.text for answer in answers} == {"hello"}
    assert (await proxy.log_lines(1))[0]["status"] == 499


async def test_an_application_that_raises(mount):
    """Answers 500 itself; the gateway goes on."""

    async def fail(request):
        raise RuntimeError(request.path)

    proxy = await mount(lambda: simple(fail=fail))
    async with httpx.AsyncClient(base_url=proxy.url) as client:
        answers = [await client.get("/app/fail") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert "Traceback" not in answers[0].text


async def test_a_file(mount, tmp_path):
    """Is sent, for want of a socket without the kernel's help."""
    if "uvloop" not in type(asyncio.get_running_loop()).__module__:
        pytest.skip(
            "aiohttp asks asyncio's own loop for sendfile, which wants a socket; the gateway runs on uvloop"
        )
    (tmp_path / "file.bin").write_bytes(b"x" * 3 * MIB)

    def make():
        app = web.Application()
        app.router.add_static("/files", tmp_path)
        return app

    proxy = await mount(make)
    async with httpx.AsyncClient(base_url=proxy.url) as client:
        answer = await client.get("/app/files/file.bin")
        part = await client.get("/app/files/file.bin", headers={"Range": "bytes=0-9"})
    assert (len(answer.content), part.status_code, part.content) == (3 * MIB, 206, b"x" * 10)


async def test_a_reload_keeps_the_application(mount):
    """It goes on with its state; the file that names another one is told that a restart is needed."""
    calls = []

    async def count(request):
        del request
        calls.append(1)
        return web.json_response(len(calls))

    proxy = await mount(lambda: simple(count=count))
    async with httpx.AsyncClient(base_url=proxy.url) as client:
        await client.get("/app/count")
        assert await proxy.worker.reload()
        assert (await client.get("/app/count")).json() == 2
        proxy.write(proxy.file.read_text().replace("memory://shop", "memory://other"))
        assert not await proxy.worker.reload()
        assert "no application is mounted as 'other'" in proxy.worker.config.problems[0]
        assert (await client.get("/app/count")).json() == 3


def test_the_command_line_knows_applications(tmp_path):
    """``check`` imports what is named, and tells its place where that fails; ``explain`` says where a request goes."""
    file = tmp_path / "kong.yml"
    file.write_text(
        '_format_version: "3.0"\nproxyd: {apps: {shop: "storefront:make_app"}}\n'
        "services: [{name: shop, url: memory://shop/v1, routes: [{name: shop, paths: [/shop]}]}]\n"
    )
    path = {"PYTHONPATH": str(EXAMPLES)}
    assert proxyd("check", "-c", str(file), env=path).returncode == 0
    told = proxyd("explain", "-c", str(file), "GET", "http://x/shop/a", env=path).stdout
    assert "upstream  memory://shop/v1/a\ntarget    storefront:make_app\n" in told
    missing = proxyd("check", "-c", str(file))
    assert (
        missing.returncode,
        f"{file}:2:23: proxyd.apps.shop: error: storefront:make_app: Module" in missing.stderr,
    ) == (1, True)
