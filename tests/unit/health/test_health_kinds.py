"""Each kind of indicator before the real thing, where there is one."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis_case import RedisServer, free_port

from proxyd.health.kinds import disk


async def no_answer(_reader, writer):
    writer.close()


@pytest.fixture
async def listener():
    """Start a listener of a handler, perhaps with TLS; return its port."""
    running = []

    async def start(handler=no_answer, context=None):
        running.append(await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context))
        return running[-1].sockets[0].getsockname()[1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def authority(tmp_path):
    """An authority in a file, and the context of a server whose certificate is for db.test."""
    one = trustme.CA()
    one.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    one.issue_cert("db.test").configure_cert(context)
    return str(tmp_path / "ca.pem"), context


async def test_tcp_is_up_while_somebody_accepts(seen, listener):
    """And down with the system's words for why not."""
    assert await seen("tcp", {"host": "127.0.0.1", "port": await listener()}) == {"status": "up"}
    found = await seen("tcp", {"host": "127.0.0.1", "port": free_port()})
    assert found["status"] == "down"
    assert "refused" in found["message"]


async def test_tls_is_verified_as_the_record_says(seen, listener, authority):
    """By its authority and under its name; a wrong name and an unknown authority are told."""
    file, context = authority
    where = {"host": "127.0.0.1", "port": await listener(context=context)}
    assert await seen("tcp", {**where, "tls": {"ca": file, "server_name": "db.test"}}) == {"status": "up"}
    assert await seen("tcp", {**where, "tls": {"verify": "off"}}) == {"status": "up"}
    for tls, reason in (
        ({}, "unable to get local issuer certificate"),
        ({"ca": file}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ):
        found = await seen("tcp", {**where, "tls": tls})
        assert found["message"].startswith(f"its certificate is not trusted: {reason}")


async def test_tls_that_is_not_ended_by_the_other_side_is_up(seen, authority):
    """Whoever completes the handshake and then reads nothing is there: nobody waits for its farewell."""
    _, context = authority
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def shake():
        with context.wrap_socket(listening.accept()[0], server_side=True):
            done.wait(60)

    thread = threading.Thread(target=shake)
    thread.start()
    try:
        where = {"host": "127.0.0.1", "port": listening.getsockname()[1], "tls": {"verify": "off"}}
        assert await seen("tcp", where) == {"status": "up"}
    finally:
        done.set()
        thread.join()
        listening.close()


async def test_https_tells_why_a_certificate_is_not_trusted(seen, listener, authority):
    """As TCP does: an unknown authority, a wrong name, one that is over; and a port that speaks no TLS."""
    file, context = authority
    url = f"https://127.0.0.1:{await listener(context=context)}/"
    for tls, reason in (
        ({}, "unable to get local issuer certificate"),
        ({"ca": file}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ):
        found = await seen("http", {"url": url, "tls": tls})
        assert found["message"].startswith(f"its certificate is not trusted: {reason}")
    over = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    old, known = trustme.CA(), datetime(2020, 1, 1, tzinfo=UTC)
    old.issue_cert("127.0.0.1", not_before=known, not_after=known + timedelta(days=1)).configure_cert(over)
    old.cert_pem.write_to_path(file)
    found = await seen(
        "http", {"url": f"https://127.0.0.1:{await listener(context=over)}/", "tls": {"ca": file}}
    )
    assert found["message"] == "its certificate is not trusted: certificate has expired"
    found = await seen("http", {"url": f"https://127.0.0.1:{await listener()}/"})
    assert found["status"] == "down"
    assert "Error" not in found["message"]


@pytest.fixture
async def site():
    """A server that answers what its path says, and remembers what it was asked."""
    asked = []

    async def answer(request):
        asked.append((request.method, dict(request.headers)))
        return web.Response(
            status=int(request.match_info["status"]), text="all is well", headers={"Location": "/200"}
        )

    app = web.Application()
    app.router.add_route("*", "/{status}", answer)
    server = TestServer(app)
    await server.start_server()
    yield server, asked
    await server.close()


async def test_http_is_up_with_the_statuses_that_are_set(seen, site):
    """By default everything below 400, without following a redirect; any other is the reason."""
    server, asked = site
    url = str(server.make_url("/"))
    assert await seen("http", {"url": url + "302"}) == {"status": "up", "http_status": 302}
    down = {"status": "down", "message": "answered 503", "http_status": 503}
    assert await seen("http", {"url": url + "503"}) == down
    assert (await seen("http", {"url": url + "302", "statuses": [200, "204-299"]}))["status"] == "down"
    assert (await seen("http", {"url": url + "503", "statuses": 503, "method": "HEAD"}))["status"] == "up"
    assert [method for method, _ in asked] == ["GET", "GET", "GET", "HEAD"]


async def test_http_logs_in_and_looks_for_a_text(seen, site):
    """User information is Basic authentication, and in no answer; a text has to be in the body."""
    server, asked = site
    url = str(server.make_url("/200").with_user("ann").with_password("secret"))
    config = {"url": url, "headers": {"X-Key": "k"}, "contains": "is well"}
    assert (await seen("http", config))["status"] == "up"
    assert asked[0][1]["Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert asked[0][1]["X-Key"] == "k"
    found = await seen("http", {**config, "contains": "is broken"})
    assert found["message"] == "its answer does not contain the text that it should"


async def test_http_that_is_none_is_down(seen, listener):
    """A server that hangs up, one that is not there, and one that never answers: no URL in what is told."""
    port = await listener()
    found = await seen("http", {"url": f"http://u:secret@127.0.0.1:{port}/?key=secret"})
    assert found == {"status": "down", "message": "does not speak HTTP: ServerDisconnectedError"}
    found = await seen("http", {"url": f"http://u:secret@127.0.0.1:{free_port()}/"})
    assert "refused" in found["message"]
    assert "secret" not in found["message"]


async def test_redis_answers_a_ping(seen, tmp_path):
    """Up with the right password, down without; down with the system's words when it is gone."""
    server = await RedisServer.start(tmp_path, "--requirepass", "secret")
    where = {"host": "127.0.0.1", "port": server.port}
    assert await seen("redis", {**where, "password": "secret"}) == {"status": "up"}
    assert (await seen("redis", {**where, "password": "wrong"}))["message"] == "it does not let this user in"
    assert (await seen("redis", where))["message"] == "it does not let this user in"
    await server.kill()
    found = await seen("redis", {**where, "password": "secret"})
    assert found["status"] == "down"
    assert "secret" not in found["message"]


async def test_disk_is_held_to_bytes_and_percent(seen, tmp_path, monkeypatch):
    """What is free for this user is what counts."""
    monkeypatch.setattr(
        disk.os, "statvfs", lambda _: os.statvfs_result((512, 1000, 100, 25, 15, 0, 0, 0, 0, 255))
    )
    room = {"free_bytes": 15000, "free_percent": 15.0}
    assert await seen("disk", {"path": "/"}) == {"status": "up", **room}
    found = await seen("disk", {"path": "/", "min_free": "15k"})
    assert found == {"status": "down", "message": "15000 bytes are free, less than 15360", **room}
    found = await seen("disk", {"path": "/", "min_free_percent": 20})
    assert found["message"] == "15.0 % are free, less than 20 %"


async def test_a_disk_that_is_not_there_is_down(seen, tmp_path):
    """The reason is the system's."""
    assert (await seen("disk", {"path": str(tmp_path)}))["status"] == "up"
    found = await seen("disk", {"path": str(tmp_path / "none")})
    assert found == {"status": "down", "message": "no such file or directory"}


async def test_a_file_system_that_hangs_holds_one_thread(monitor, monkeypatch):
    """The look ends at its timeout; the next one says so at once, and starts no other thread."""
    let_go, asked = threading.Event(), []

    def hang(path):
        asked.append(path)
        let_go.wait(20)
        raise OSError

    monkeypatch.setattr(disk.os, "statvfs", hang)
    one = monitor("disk", {"path": "/mnt"}, timeout="50ms")
    thread = one._look
    await one.look()
    assert one.why_down() == "no answer within 0.05 s"
    await one.look()
    assert (one.why_down(), asked) == ("the file system does not answer", ["/mnt"])
    hanging = thread._asking
    let_go.set()
    hanging.join()


async def test_memory_is_held_to_limits_of_one_and_of_all(seen):
    """The process that holds too much is named."""
    told = {"rss_bytes": 150, "processes": {"master": 50, "worker 0": 100}}
    assert await seen("memory", {"max_each": 100, "max_total": 150}) == {"status": "up", **told}
    found = await seen("memory", {"max_each": 99})
    assert found == {"status": "down", "message": "worker 0 holds 100 bytes, more than 99", **told}
    assert "all processes hold 150 bytes" in (await seen("memory", {"max_total": 149}))["message"]


async def test_the_latest_loop_is_what_counts(seen, processes):
    """The worker that was late is named."""
    assert (await seen("event_loop", {}))["lag_seconds"] == {"worker 0": 0.01, "worker 1": 0.02}
    processes.late["worker 1"] = 0.5
    found = await seen("event_loop", {"max_lag": "100ms"})
    assert found["message"] == "worker 1 was 0.500 s late, more than 0.1 s"
