"""A new configuration while requests run: taken over whole, or not at all."""

from __future__ import annotations

import asyncio
import copy
import ssl

import httpx
import pytest
import trustme
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.plugins import BY_NAME

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


class Config(plugin.Config):
    """Settings of the plugin of these tests."""

    fail: bool = False
    """Whether it fails to start."""


class Watched(plugin.Plugin[Config]):
    """A plugin whose life can be looked at; its ``access`` waits for ``go``."""

    name = "watched"
    priority = 5
    running: list[Watched]
    go: asyncio.Event

    async def start(self):
        if self.config.fail:
            raise RuntimeError("the secret is hunter2")
        self.running.append(self)

    async def stop(self):
        if self in self.running:
            self.running.remove(self)

    async def access(self, exchange):
        await self.go.wait()
        return Reply(200, body=b"waited") if self in self.running else Reply(500, body=b"stopped meanwhile")


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setitem(BY_NAME, "watched", Watched)
    Watched.running = []
    Watched.go = asyncio.Event()
    return Watched


def terminating(message):
    return [{"name": "request-termination", "config": {"status_code": 200, "message": message}}]


async def eventually(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # what is looked at tells nobody
            await asyncio.sleep(0.01)


async def test_a_new_file_is_taken_over(gateway, origin, raw):
    """The next request on the same connection meets the new configuration."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    assert (await client.ask(GET)).body == b"ok"
    proxy.write(config_for(upstream.port, plugins=terminating("new")))
    assert await proxy.worker.reload() is True
    assert (await client.ask(GET)).body == b'{"message":"new"}'
    assert proxy.worker.config.generation == 2


async def test_no_request_fails_while_files_are_swapped(gateway, origin, raw):
    """Eight keep-alive connections go on posting through thirty reloads, and each request is answered."""
    upstream = await origin(OK)
    configs = [config_for(upstream.port), config_for(upstream.port, route={"paths": ["/", "/other"]})]
    proxy = await gateway(configs[0])
    done = False
    statuses = []

    async def post():
        client = await raw(proxy.port)
        while not done:
            statuses.append((await client.ask(POST)).status)

    clients = [asyncio.ensure_future(post()) for _ in range(8)]
    for turn in range(30):
        proxy.write(configs[turn % 2])
        assert await proxy.worker.reload()
    done = True
    await asyncio.gather(*clients)
    assert set(statuses) == {200}
    assert len(statuses) > 30
    assert proxy.worker.config.generation == 31


async def test_a_bad_file_changes_nothing_but_the_status(gateway, origin, raw):
    """What runs goes on; status, metrics and readiness tell of the refusal with file, line and column."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    proxy.write('_format_version: "3.0"\nservices:\n  - name: backend\n    hots: nowhere\n')
    assert await proxy.worker.reload() is False
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 200
    async with httpx.AsyncClient(base_url=proxy.status_url) as http:
        status = (await http.get("/status")).json()
        metrics = (await http.get("/metrics")).text
        assert (await http.get("/status/ready")).status_code == 200
        assert (status["generation"], status["last_reload"]["success"]) == (1, False)
        errors = "\n".join(status["last_reload"]["errors"])
        assert f"{proxy.file}:4:5: services[0].hots: unknown field" in errors
        assert 'proxyd_config_reloads_total{result="failure"} 1.0' in metrics
        proxy.write(config_for(upstream.port))
        assert await proxy.worker.reload()
        status = (await http.get("/status")).json()
        assert (status["generation"], status["last_reload"]["errors"]) == (2, [])


@pytest.mark.parametrize("what", ["gone", "not text", "unusable certificate"])
async def test_whatever_is_wrong_with_a_file_the_old_one_stays(gateway, origin, raw, what):
    """A file that is gone, that is no text, or that cannot be compiled, is refused."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    if what == "gone":
        proxy.file.unlink()
    elif what == "not text":
        proxy.file.write_bytes(b"\xff\xfe\x00")
    else:
        identity = "3a4f2c1e-0000-4000-8000-000000000001"
        broken = [{"id": identity, "cert": "/nowhere/cert.pem", "key": "/nowhere/key.pem"}]
        service = {"url": "https://localhost:1", "client_certificate": identity}
        proxy.write(config_for(upstream.port, service=service, certificates=broken))
    assert await proxy.worker.reload() is False
    assert str(proxy.file) in proxy.worker.config.problems[0]
    assert (await (await raw(proxy.port)).ask(GET)).status == 200


async def test_a_failure_that_nobody_foresaw_is_a_refusal_too(gateway, origin, raw, watched, capfd):
    """A plugin that cannot start does not end the process; what it said is in the event log only."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    proxy.write(config_for(upstream.port, plugins=[{"name": "watched", "config": {"fail": True}}]))
    assert await proxy.worker.reload() is False
    assert "RuntimeError" in proxy.worker.config.problems[0]
    assert "hunter2" not in proxy.worker.config.problems[0]
    assert "hunter2" in capfd.readouterr().err
    assert (await (await raw(proxy.port)).ask(GET)).status == 200


async def test_a_request_under_way_keeps_its_configuration(gateway, origin, raw):
    """An answer that comes after the reload is still the business of the plugins that it began with."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def script(wire):
        await wire.message()
        asked.set()
        await go.wait()
        await wire.send(OK)

    upstream = await origin(script)
    echo = {"header_name": "X-Gen", "generator": "uuid", "echo_downstream": True}
    proxy = await gateway(config_for(upstream.port, plugins=[{"name": "correlation-id", "config": echo}]))
    client = await raw(proxy.port)
    await client.send(POST)
    await asked.wait()
    proxy.write(config_for(upstream.port, route={"paths": ["/elsewhere"]}))
    assert await proxy.worker.reload()
    go.set()
    answer = await client.message()
    assert (answer.status, "X-Gen" in answer) == (200, True)
    assert (await client.ask(GET)).status == 404


async def test_plugins_are_stopped_once_nobody_needs_them(gateway, raw, watched):
    """The old instance runs on as long as a request waits in it, the new one begins at once."""
    config = config_for(1, plugins=[{"name": "watched"}])
    proxy = await gateway(config)
    client = await raw(proxy.port)
    await client.send(GET)
    await eventually(lambda: any(connection.exchange for connection in proxy.worker.clients))
    first = watched.running[0]
    assert await proxy.worker.reload()
    assert [instance is first for instance in watched.running] == [True, False]
    watched.go.set()
    assert (await client.message()).body == b"waited"
    await eventually(lambda: first not in watched.running)
    assert len(watched.running) == 1
    assert await proxy.worker.reload()
    assert len(watched.running) == 1
    await proxy.worker.stop(drain=1)
    assert watched.running == []


async def test_connections_to_upstreams_survive(gateway, origin, raw):
    """A service that stays the same keeps its pooled connections, one that is gone has them closed."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.ask(GET)
    assert await proxy.worker.reload()
    await client.ask(GET)
    assert len(upstream.wires) == 1
    proxy.write({"_format_version": "3.0"})
    assert await proxy.worker.reload()
    with pytest.raises(EOFError):
        await upstream.wires[0].exactly(1)


async def test_what_is_known_of_health_survives(gateway, origin, raw):
    """A target that failed before the reload is not tried after it."""
    upstream = await origin(OK)
    bad = await origin(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
    checks = {"passive": {"unhealthy": {"http_failures": 1}, "healthy": {"successes": 1}}}
    pool = {
        "name": "pool",
        "healthchecks": checks,
        "targets": [{"target": f"127.0.0.1:{upstream.port}"}, {"target": f"127.0.0.1:{bad.port}"}],
    }
    proxy = await gateway(config_for("http://pool", upstreams=[pool]))
    client = await raw(proxy.port)
    while (await client.ask(GET)).status != 500:
        pass
    assert await proxy.worker.reload()
    assert {(await client.ask(GET)).status for _ in range(8)} == {200}
    states = {target.target: target.health for target in proxy.worker.targets()}
    assert states[f"127.0.0.1:{bad.port}"] == "UNHEALTHY"


async def test_certificates_are_replaced(gateway, origin):
    """A handshake after the reload shows the new certificate; a connection from before lives on."""
    authority = trustme.CA()
    upstream = await origin(OK)

    def configuration(name):
        issued = authority.issue_cert("site.test", organization_name=name)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode()
        key = issued.private_key_pem.bytes().decode()
        certificates = [{"cert": chain, "key": key, "snis": ["site.test"]}]
        return config_for(upstream.port, certificates=certificates)

    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    writers = []

    async def open_one():
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", proxy.port, ssl=trust, server_hostname="site.test"
        )
        writers.append(writer)
        subject = writer.get_extra_info("peercert")["subject"]
        return reader, writer, dict(field[0] for field in subject)["organizationName"]

    proxy = await gateway(configuration("old"), proxy_listen="127.0.0.1:0 ssl")
    reader, writer, name = await open_one()
    assert name == "old"
    proxy.write(configuration("new"))
    assert await proxy.worker.reload()
    assert (await open_one())[2] == "new"
    writer.write(GET)
    assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
    for each in writers:
        each.close()
        await each.wait_closed()


async def test_two_hundred_reloads_leave_nothing_behind(gateway, origin, raw):
    """Tasks, connections, peers and meters are as many after 200 reloads as after the first."""
    upstream = await origin(OK)
    checks = {"active": {"healthy": {"interval": 30}, "unhealthy": {"interval": 30}, "type": "tcp"}}
    pool = {
        "name": "pool",
        "healthchecks": checks,
        "targets": [{"target": f"127.0.0.1:{upstream.port}"}, {"target": f"localhost:{upstream.port}"}],
    }
    base = config_for("http://pool", upstreams=[pool])
    other = copy.deepcopy(base)
    other["upstreams"][0]["targets"].pop()
    other["services"][0]["routes"].append({"name": "more", "paths": ["/more"]})
    proxy = await gateway(base)
    client = await raw(proxy.port)

    async def figures():
        await asyncio.sleep(0.05)
        registry = proxy.worker._registry
        return (
            len(asyncio.all_tasks().difference(upstream._tasks)),
            len(proxy.worker.clients),
            len(registry.peers),
            len(registry._healths),
            len(list(proxy.worker.telemetry.meters.used())),
        )

    async def cycle(count):
        for turn in range(count):
            proxy.write(other if turn % 2 == 0 else base)
            assert await proxy.worker.reload()
            assert (await client.ask(GET)).status == 200

    await cycle(2)
    before = await figures()
    await cycle(200)
    assert await figures() == before
    assert proxy.worker.config.generation == 203
