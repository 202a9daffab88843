"""file-log through a running gateway: every request has its line, and no request pays for one that cannot be written."""

from __future__ import annotations

import asyncio
import json

import httpx
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


def logged(port, path, *more, **config):
    plugins = [{"name": "file-log", "config": {"path": str(path), **config}}, *more]
    return config_for(port, plugins=plugins)


async def lines(path, count):
    """Return the records in a file, as soon as there are so many."""
    async with asyncio.timeout(PATIENCE):
        while not path.exists() or path.read_bytes().count(b"\n") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return [json.loads(line) for line in path.read_text().splitlines()]


async def metrics(proxy):
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{proxy.status_url}/metrics")).text
    return {
        line.partition("{")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("proxyd_log_records")
    }


async def test_a_request_has_its_line(gateway, origin, raw, tmp_path):
    """With what both sides saw, and without the caller's key."""
    upstream = await origin(OK)
    path = tmp_path / "requests.log"
    config = logged(upstream.port, path, {"name": "key-auth"}, {"name": "correlation-id"})
    config["consumers"] = [{"username": "ann", "keyauth_credentials": [{"key": "s3cr3t"}]}]
    proxy = await gateway(config)
    client = await raw(proxy.port)
    await client.ask(b"GET /a?apikey=s3cr3t HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.ask(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    first, second = await lines(path, 2)
    assert (first["request"]["uri"], first["response"]["status"], first["source"]) == (
        "/a?apikey=REDACTED",
        200,
        "upstream",
    )
    assert first["consumer"]["username"] == "ann"
    assert first["tries"] == [{"ip": "127.0.0.1", "port": upstream.port}]
    assert first["correlation_id"] == upstream.requests[0]["kong-request-id"]
    assert first["request"]["size"] == len(b"GET /a?apikey=s3cr3t HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (second["response"]["status"], second["source"], second["tries"]) == (401, "kong", [])
    assert second["response"]["headers"]["www-authenticate"] == "Key"
    assert "s3cr3t" not in path.read_text()


async def test_a_failed_try_is_told(gateway, origin, raw, tmp_path):
    """One that another made good, with the status that it would have been."""
    upstream = await origin(OK)
    path = tmp_path / "requests.log"
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as gone:
        closed = gone.sockets[0].getsockname()[1]
    config = logged("http://pair", path)
    targets = [{"target": f"127.0.0.1:{port}"} for port in (closed, upstream.port)]
    config["upstreams"] = [{"name": "pair", "targets": targets}]
    proxy = await gateway(config)
    client = await raw(proxy.port)
    statuses = [(await client.ask(GET % number)).status for number in range(4)]
    tries = [record["tries"] for record in await lines(path, 4)]
    failed = {"ip": "127.0.0.1", "port": closed, "state": "failed", "code": 502}
    good = {"ip": "127.0.0.1", "port": upstream.port}
    assert statuses == [200] * 4
    assert [failed, good] in tries
    assert all(one in ([failed, good], [good]) for one in tries)


async def test_a_reload_neither_loses_nor_repeats_a_line(gateway, origin, raw, tmp_path):
    """Old and new generation share the file; so do two instances that name it."""
    upstream = await origin(OK)
    path = tmp_path / "requests.log"
    config = logged(upstream.port, path)
    proxy = await gateway(config)
    client = await raw(proxy.port)
    for number in range(30):
        await client.ask(GET % number)
        if number % 10 == 9:
            assert await proxy.worker.reload()
    await proxy.worker.stop()
    found = [record["request"]["uri"] for record in await lines(path, 30)]
    assert sorted(found) == sorted(f"/{number}" for number in range(30))


async def test_rotation(gateway, origin, raw, tmp_path):
    """What was noted before goes to the old file, what follows to a new one."""
    upstream = await origin(OK)
    path, old = tmp_path / "requests.log", tmp_path / "old.log"
    proxy = await gateway(logged(upstream.port, path))
    client = await raw(proxy.port)
    await client.ask(GET % 1)
    await lines(path, 1)
    path.rename(old)
    proxy.worker.reopen_logs()
    await client.ask(GET % 2)
    assert [record["request"]["uri"] for record in await lines(path, 1) + await lines(old, 1)] == ["/2", "/1"]


async def test_what_cannot_be_written_is_counted_and_costs_no_request(gateway, origin, raw, tmp_path):
    """Neither a full disk nor a missing directory is the clients' concern."""
    upstream = await origin(OK)
    for path in ("/dev/full", tmp_path / "absent" / "log"):
        proxy = await gateway(logged(upstream.port, path))
        client = await raw(proxy.port)
        assert [(await client.ask(GET % number)).status for number in range(5)] == [200] * 5
        async with asyncio.timeout(PATIENCE):
            while (await metrics(proxy))["proxyd_log_records_dropped_total"] < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await metrics(proxy) == {
            "proxyd_log_records_waiting": 0,
            "proxyd_log_records_sent_total": 0,
            "proxyd_log_records_dropped_total": 5,
        }


async def test_custom_fields(gateway, origin, raw, tmp_path):
    """Added, and taken out."""
    upstream = await origin(OK)
    path = tmp_path / "requests.log"
    fields = {"team": "return 'shop'", "service": "return nil"}
    proxy = await gateway(logged(upstream.port, path, custom_fields_by_lua=fields, reopen=True))
    await (await raw(proxy.port)).ask(GET % 1)
    (record,) = await lines(path, 1)
    assert (record["team"], "service" in record, record["route"]["name"]) == ("shop", False, "main")
