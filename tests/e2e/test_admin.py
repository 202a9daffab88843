"""The Admin API of running gateways: what is posted carries the next request, everywhere or nowhere."""

from __future__ import annotations

import json
import os
from signal import SIGHUP, SIGKILL

from e2e_gateway import config_for
from e2e_load import Load
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_a_posted_configuration_runs_until_the_file_is_loaded_again(gateway, origin, raw, ask):
    """And what is wrong with one is told, while the other goes on."""
    upstream = await origin(OK)
    one = await gateway(upstream.port, admin_listen="127.0.0.1:0")
    admin = ask(one.admin_url)
    (route,) = (await admin.get("/routes")).json()["data"]
    moved = config_for(upstream.port, route={"paths": ["/moved"]})
    answer = await admin.post("/config", json={"config": json.dumps(moved)})
    assert answer.status_code == 201, answer.text
    wire = await raw(one.port)
    assert (await wire.ask(GET)).status == 404
    assert (await wire.ask(GET.replace(b"/ ", b"/moved "))).status == 200
    moved["services"][0]["retries"] = -1
    answer = await admin.post("/config", json={"config": json.dumps(moved)})
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["services[0].retries"]
    assert (await wire.ask(GET.replace(b"/ ", b"/moved "))).status == 200
    assert await one.worker.reload()
    assert (await wire.ask(GET)).status == 200
    assert (await admin.get("/routes")).json()["data"][0]["id"] == route["id"]


async def test_the_admin_listener_tells_what_status_does(gateway, origin, ask):
    """Metrics and readiness too."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0")
    admin = ask(one.admin_url)
    assert (await admin.get("/status")).json()["generation"] == 1
    assert (await admin.get("/status/ready")).status_code == 200
    assert "proxyd_connections" in (await admin.get("/metrics")).text
    assert (await admin.get("/", headers={"Host": "elsewhere.example"})).status_code == 403


async def test_all_workers_take_a_posted_configuration_over(gang, origin, raw, ask, tmp_path):
    """Under load no request fails; a worker that comes later has it too, until the file is loaded again."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port), PROXYD_ADMIN_LISTEN=f"unix:{tmp_path / 'admin.sock'}")
    admin = ask(tmp_path / "admin.sock")
    load = Load(one.port)
    for number in range(5):
        tagged = config_for(upstream.port, route={"tags": [f"n{number}"]})
        answer = await admin.post("/config", json={"config": json.dumps(tagged)})
        assert answer.status_code == 201, answer.text
        assert (await admin.get("/tags")).json()["data"][0]["tag"] == f"n{number}"
        await load.more(20)
    await load.stop()
    assert (load.failures, set(load.statuses)) == ([], {200})
    wrong = await admin.post("/config", json={"config": '{"_format_version": "3.0", "servces": []}'})
    assert wrong.status_code == 400
    moved = config_for(upstream.port, route={"paths": ["/moved"]})
    assert (await admin.post("/config", json={"config": json.dumps(moved)})).status_code == 201
    workers = await one.workers()
    os.kill(workers[1], SIGKILL)
    await one.restarted(1, workers[1])
    for _ in range(8):
        assert (await (await raw(one.port)).ask(GET.replace(b"/ ", b"/moved "))).status == 200
    generation = (await one.status())["generation"]
    one.one.signal(SIGHUP)

    async def reloaded():
        return (await one.status())["generation"] > generation

    await one.until(reloaded)
    for _ in range(8):
        assert (await (await raw(one.port)).ask(GET)).status == 200
