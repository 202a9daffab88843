"""Access logs in a bucket: of one process and of workers, before a real S3 server that checks signatures."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import signal

import httpx
import pytest
from e2e_gateway import config_for
from e2e_wire import PATIENCE
from s3_case import SECRET

from proxyd.clock import Clock
from proxyd.errors import ConfigError
from proxyd.model.shipping import LogShipping
from proxyd.process.shipping import make_shipping

KEY = re.compile(
    r"[\w-]+/access/\d{4}/\d\d/access_[\w.-]+_(?P<worker>main|\d+)_\d{8}T\d{9}Z_[0-9a-f]{8}\.log\.gz"
)


def shipping(place, directory, **values):
    return {
        **place,
        "spool": str(directory / "spool"),
        "prefix": f"{directory.name}/{{log}}/{{year}}/{{month}}/",
        "segment_age": 1,
        **values,
    }


def lines_of(objects):
    """Return the paths that the lines of all objects tell of, in no order."""
    return sorted(
        json.loads(line)["path"] for text in objects.values() for line in gzip.decompress(text).splitlines()
    )


async def ask(port, *paths):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        for path in paths:
            assert (await client.post(path)).status_code < 500


async def objects(server, directory, count):
    """Return what a test has in the bucket, once so many lines are there."""
    async with asyncio.timeout(2 * PATIENCE):
        while len(lines_of(found := await server.objects(f"{directory.name}/"))) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # another process's server tells nobody
    return found


async def test_the_access_log_gets_into_the_bucket(gateway, backend, s3_server, tmp_path):
    """As compressed lines under keys that tell of log, month, host and process; the end of a gateway sends the rest."""
    one = await gateway(backend.port, log_shipping=shipping(s3_server.place, tmp_path))
    await ask(one.port, *(f"/first/{number}" for number in range(40)))
    found = await objects(s3_server, tmp_path, 40)
    assert all(KEY.fullmatch(key)["worker"] == "main" for key in found)
    await ask(one.port, "/last")
    await one.worker.stop(drain=0.0)
    found = await s3_server.objects(f"{tmp_path.name}/")
    assert lines_of(found) == sorted(["/last", *(f"/first/{number}" for number in range(40))])
    assert lines_of(found) == sorted(line["path"] for line in await one.log_lines(41))
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_kill_loses_nothing_and_repeats_nothing(run, backend, s3_server, tmp_path):
    """While the bucket is away, lines wait in the spool; behind a kill, the next process sends each of them once."""
    place = {**s3_server.place, "endpoint": "http://127.0.0.1:1"}
    env = {"PROXYD_LOG_SHIPPING": json.dumps(shipping(place, tmp_path)), "PROXYD_PROXY_ACCESS_LOG": "off"}
    first = await run(config_for(backend.port), **env)
    await ask(first.port, *(f"/{number}" for number in range(20)))
    await first.event("log segments are not taken")
    await ask(first.port, *(f"/{number}" for number in range(20, 40)))
    spool = tmp_path / "spool"
    async with asyncio.timeout(PATIENCE):
        while sum(path.read_bytes().count(b"\n") for path in spool.iterdir()) < 40:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    first.signal(signal.SIGKILL)
    await first.ended()
    env["PROXYD_LOG_SHIPPING"] = json.dumps(shipping(s3_server.place, tmp_path))
    second = await run(config_for(backend.port), **env)
    assert lines_of(await objects(s3_server, tmp_path, 40)) == sorted(f"/{number}" for number in range(40))
    second.signal(signal.SIGTERM)
    assert await second.ended() == 0
    assert SECRET not in json.dumps([*first.events, *second.events])
    assert list(spool.iterdir()) == []


async def test_the_master_ships_what_its_workers_write(gang, backend, s3_server, tmp_path):
    """Keys have the worker's number; metrics tell of it, and a worker that is killed leaves its lines to be sent."""
    setting = json.dumps(shipping(s3_server.place, tmp_path, segment_age="1h"))
    workers = await gang(config_for(backend.port), PROXYD_LOG_SHIPPING=setting)
    pids = await workers.workers()

    async def both_have_written():
        await asyncio.gather(*(ask(workers.port, "/x") for _ in range(4)))
        slots = {path.name.split("~")[2] for path in (tmp_path / "spool").iterdir()}
        return slots == {"0", "1"}

    await workers.until(both_have_written)
    os.kill(pids[0], signal.SIGKILL)
    await workers.restarted(0, pids[0])

    async def sent():
        return await workers.metric('proxyd_log_shipping_segments_total{result="sent"}') >= 1

    await workers.until(sent)
    found = await s3_server.objects(f"{tmp_path.name}/")
    assert {KEY.fullmatch(key)["worker"] for key in found} == {"0"}
    workers.one.signal(signal.SIGTERM)
    assert await workers.one.ended() == 0
    found = await s3_server.objects(f"{tmp_path.name}/")
    assert {KEY.fullmatch(key)["worker"] for key in found} >= {"0", "1"}
    with (tmp_path / "access.log").open() as file:
        assert len(lines_of(found)) == len(file.readlines())


async def test_the_audit_log_gets_there_too(gateway, backend, s3_server, tmp_path):
    """What is done over the Admin API is a line under keys of its own, without a file of it, and without a secret."""
    setting = shipping(s3_server.place, tmp_path, logs="audit")
    one = await gateway(backend.port, log_shipping=setting, admin_listen="127.0.0.1:0")
    config = config_for(
        backend.port, consumers=[{"username": "ann", "keyauth_credentials": [{"key": "hush-hush"}]}]
    )
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        assert (await client.post(f"{one.admin_url}/config", json=config)).status_code == 201
    await ask(one.port, "/nothing-of-this")
    await one.worker.stop(drain=0.0)
    found = await s3_server.objects(f"{tmp_path.name}/")
    assert {key.split("/")[1] for key in found} == {"audit"}
    lines = [json.loads(line) for text in found.values() for line in gzip.decompress(text).splitlines()]
    assert len(lines) == 1
    assert "hush-hush" not in str(lines)


async def test_what_is_wrong_is_told_with_its_place(gateway, tmp_path):
    """Fields at their lines, a missing directory as such; no value of a secret."""
    text = """_format_version: "3.0"
proxyd:
  log_shipping:
    bucket: Logs
    spool: /dev/null/spool
    prefix: /{log}/{user}
    access_key_id: only-half
    segment_size: 1g
"""
    with pytest.raises(ConfigError) as caught:
        await gateway(text)
    assert [
        str(problem).partition("kong.yml:")[2].partition(" (")[0] for problem in caught.value.problems
    ] == [
        "4:13: proxyd.log_shipping.bucket: string should match pattern '^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$'",
        "6:13: proxyd.log_shipping.prefix: must be the beginning of a key, such as logs/{log}/{year}/{month}/{day}/",
    ]
    place = {"bucket": "logs", "access_key_id": "a", "secret_access_key": "hush"}
    with pytest.raises(ConfigError, match=r"log_shipping: /dev/null/spool: Not a directory") as caught:
        make_shipping(LogShipping(**place, spool="/dev/null/spool"), Clock())
    assert "hush" not in str(caught.value)
