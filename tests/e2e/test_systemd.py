"""The units that ship, run by a real systemd: the sandbox, the socket, restarts, and what an end looks like."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest
from e2e_load import Load
from e2e_systemd import Systemd, missing
from e2e_wire import OK, closed_port

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
LOGS = "StandardOutput=append:/opt/out/access\nStandardError=append:/opt/out/events\n"


PATIENCE = 60.0  # seconds: interpreters start, on cores that other tests may be using


def config(port):
    return (
        '_format_version: "3.0"\n'
        f"services: [{{name: a, url: 'http://127.0.0.1:{port}', routes: [{{name: r, paths: [/]}}]}}]\n"
    )


@pytest.fixture
async def systemd(tmp_path):
    """Give what starts a systemd with a configuration and more directives; the port of proxyd.socket is ``port``."""
    running = []

    async def start(text, directives=""):
        port = closed_port()
        one = await Systemd.start(
            tmp_path,
            text,
            {
                "PROXYD_PROXY_LISTEN": f"127.0.0.1:{port}",
                "PROXYD_STATUS_LISTEN": "unix:/run/proxyd/status.sock",
                "PROXYD_ADMIN_LISTEN": "off",
            },
            service=f"[Service]\n{LOGS}{directives}",
            socket=f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n",
        )
        one.port = port
        running.append(one)
        return one

    yield start
    for one in running:
        await one.stop()


async def event(systemd, name):
    """Wait for an event of the gateway's, and return it."""
    give_up = time.monotonic() + PATIENCE
    file = systemd.directory / "events"
    while True:
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        if found := [line for line in lines if line["event"] == name]:
            return found[-1]
        assert time.monotonic() < give_up, f"no event {name!r} in {lines}"
        await asyncio.sleep(0.05)


async def first_answer(port):
    """Post, and wait as long as the start takes that it brings about; returns the status."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    return int(line.split()[1])


async def test_the_gateway_serves_within_its_sandbox(systemd, origin, raw):
    """As a user of its own without any capability, on a file system that it cannot write to."""
    upstream = await origin(OK)
    one = await systemd(config(upstream.port))
    assert await one.run("systemctl", "start", "proxyd.service") == (0, "")
    await event(one, "started")
    assert (await (await raw(one.port)).ask(POST)).status == 200  # at once: systemd was told when it serves
    pid = (await one.show("proxyd.service", "MainPID"))["MainPID"]
    _, status = await one.run("cat", f"/proc/{pid}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert 0 not in map(int, facts["Uid"].split())
    assert {int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert (facts["NoNewPrivs"].strip(), facts["Seccomp"].strip()) == ("1", "2")
    _, mounts = await one.run("cat", f"/proc/{pid}/mounts")
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts.splitlines()}
    assert "ro" in options["/"]
    assert "ro" in options["/etc"]
    assert await one.run("systemctl", "stop", "proxyd.service") == (0, "")
    assert (await event(one, "stopped"))["level"] == "notice"
    assert (await one.show("proxyd.service", "Result"))["Result"] == "success"


async def test_a_refused_configuration_is_not_tried_again(systemd):
    """The unit fails at once, with the reason in its log."""
    one = await systemd("_format_version: '3.0'\nservises: []\n")
    await one.run("systemctl", "start", "proxyd.service")
    give_up = time.monotonic() + PATIENCE
    while (shown := await one.show("proxyd.service", "ActiveState", "NRestarts"))["ActiveState"] != "failed":
        assert time.monotonic() < give_up, shown
        await asyncio.sleep(0.05)
    assert shown["NRestarts"] == "0"
    assert re.search(r"proxyd\.yml:2:1: .*servises", (one.directory / "events").read_text())


async def test_a_killed_gateway_comes_back(systemd):
    """A second later, another process serves."""
    one = await systemd(config(1))
    await one.run("systemctl", "start", "proxyd.service")
    (one.directory / "events").write_text("")
    assert await one.run("systemctl", "kill", "--signal=KILL", "proxyd.service") == (0, "")
    await event(one, "started")
    assert (await one.show("proxyd.service", "NRestarts"))["NRestarts"] == "1"


async def test_clients_wait_at_the_socket_while_the_service_restarts(systemd, origin):
    """The first connection starts the service, and a restart under load fails no request."""
    upstream = await origin(OK)
    one = await systemd(config(upstream.port))
    assert await one.run("systemctl", "start", "proxyd.socket") == (0, "")
    assert (await one.show("proxyd.service", "ActiveState"))["ActiveState"] == "inactive"
    assert await first_answer(one.port) == 200
    load = Load(one.port, kept=2, fresh=2, pause=0.01)
    await load.more(50)
    before = await one.show("proxyd.service", "MainPID")
    restarted = await one.run("systemctl", "restart", "proxyd.service")
    await load.more(50)
    await load.stop()
    assert (restarted, load.failures, set(load.statuses)) == ((0, ""), [], {200})
    assert await one.show("proxyd.service", "MainPID") != before


async def test_a_reload_says_what_came_of_it(systemd, origin, raw):
    """When it has ended, the new configuration runs; or it fails, and the old one does."""
    upstream = await origin(OK)
    one = await systemd(config(upstream.port))
    await one.run("systemctl", "start", "proxyd.service")
    file = "/etc/proxyd/proxyd.yml"
    assert await one.run("sed", "-i", r"s#\[/\]#[/new]#", file) == (0, "")
    assert await one.run("systemctl", "reload", "proxyd.service") == (0, "")
    assert (await (await raw(one.port)).ask(POST)).status == 404
    assert await one.run("sed", "-i", "s#paths#path#", file) == (0, "")
    code, _ = await one.run("systemctl", "reload", "proxyd.service")
    assert code != 0
    assert "did you mean 'paths'" in (one.directory / "events").read_text()
    shown = await one.show("proxyd.service", "ActiveState", "NRestarts")
    assert shown == {"ActiveState": "active", "NRestarts": "0"}
    assert (await (await raw(one.port)).ask(POST.replace(b"/ ", b"/new ", 1))).status == 200


async def test_a_gateway_that_hangs_is_replaced(systemd):
    """It says nothing of its loop any more, and the watchdog ends it."""
    one = await systemd(config(1), "WatchdogSec=2\nTimeoutAbortSec=1\n")
    await one.run("systemctl", "start", "proxyd.service")
    (one.directory / "events").write_text("")
    assert await one.run("systemctl", "kill", "--signal=STOP", "--kill-who=main", "proxyd.service") == (0, "")
    await event(one, "started")
    assert (await one.show("proxyd.service", "NRestarts"))["NRestarts"] == "1"


async def test_workers_serve_from_the_socket_within_the_sandbox(systemd, origin):
    """A master and two workers, reloaded and replaced as one service, without a request lost."""
    upstream = await origin(OK)
    one = await systemd(config(upstream.port), "Environment=PROXYD_WORKERS=2\n")
    assert await one.run("systemctl", "start", "proxyd.socket") == (0, "")
    assert await first_answer(one.port) == 200
    assert await one.run("systemctl", "reload", "proxyd.service") == (0, "")
    load = Load(one.port, kept=2, fresh=2, pause=0.01)
    await load.more(20)
    replaced = await one.run("systemctl", "kill", "--signal=USR2", "--kill-who=main", "proxyd.service")
    await event(one, "upgraded")
    await load.stop()
    assert (replaced, load.failures, set(load.statuses)) == ((0, ""), [], {200})
    assert await one.run("systemctl", "stop", "proxyd.socket", "proxyd.service") == (0, "")
    assert (await one.show("proxyd.service", "Result"))["Result"] == "success"
