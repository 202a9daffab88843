"""A worker that does not get far, and how it ends."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.cli.config import plugin_configs
from proxyd.errors import ConfigError
from proxyd.model.load import load_text
from proxyd.process.assemble import rehearse
from proxyd.process.worker import Worker

SETTINGS = {
    "proxy_listen": "127.0.0.1:0",
    "status_listen": "127.0.0.1:0",
    "admin_listen": "off",
    "proxy_access_log": "off",
}
BROKEN = """\
_format_version: "3.0"
certificates:
  - cert: /nowhere/one.pem
    key: /nowhere/one.key
    snis: [one.test]
  - id: 3a4f2c1e-0000-4000-8000-000000000001
    cert: /nowhere/two.pem
    key: /nowhere/two.key
services:
  - name: secure
    url: https://localhost
    client_certificate: 3a4f2c1e-0000-4000-8000-000000000001
"""


def loaded(text='_format_version: "3.0"\n', **settings):
    return load_text(text, "kong.yml", env={}, plugins=plugin_configs(), overrides=SETTINGS | settings)


def worker(**settings):
    configuration = loaded(**settings)
    return Worker(configuration, lambda: configuration)


async def test_a_worker_that_never_started_can_be_stopped():
    """``stop`` needs no ``start``, and may be called twice."""
    one = worker()
    await one.stop()
    await one.stop()
    assert one.not_ready() == "draining"


@pytest.mark.parametrize(
    "settings",
    [
        {"proxy_access_log": "/nonexistent/access.log"},
        {"dns_resolver": "not-an-address"},
        {"proxy_listen": "192.0.2.1:80"},
        {"status_listen": "192.0.2.1:80"},
        {"proxy_listen": "127.0.0.1:0 ssl", "ssl_cert": "/nowhere.pem", "ssl_cert_key": "/nowhere.key"},
    ],
    ids=["log", "resolver", "listener", "status", "certificate"],
)
async def test_wherever_a_start_fails_stop_leaves_nothing(settings):
    """The reason is a ConfigError; tasks, sockets and threads are gone after ``stop``."""
    before = asyncio.all_tasks()
    one = worker(**settings)
    with pytest.raises(ConfigError):
        await one.start()
    await one.stop(drain=0.0)
    assert asyncio.all_tasks() == before


async def test_readiness_follows_the_life_of_a_worker():
    """Starting, ready, draining; the repr says so too."""
    one = worker()
    assert (one.not_ready(), repr(one)) == ("starting", "<Worker starting None>")
    await one.start()
    assert (one.not_ready(), repr(one)) == ("", "<Worker ready <Snapshot 1 routes=0 plugins=0>>")
    await one.stop()
    assert one.not_ready() == "draining"


async def test_a_rehearsal_finds_every_problem_with_its_place():
    """What a start would stumble over is told at once, certificates of listeners and of services alike."""
    with pytest.raises(ConfigError) as refused:
        await rehearse(loaded(BROKEN, proxy_listen="127.0.0.1:0 ssl"))
    assert [str(problem.place) for problem in refused.value.problems] == [
        "kong.yml:3:5",
        "kong.yml:6:5",
        "kong.yml:10:5",
    ]


async def test_a_rehearsal_looks_at_what_would_be_used():
    """Without a TLS listener, only the service's certificate matters; nothing is started."""
    before = asyncio.all_tasks()
    with pytest.raises(ConfigError) as refused:
        await rehearse(loaded(BROKEN))
    assert [str(problem.place) for problem in refused.value.problems] == ["kong.yml:10:5"]
    await rehearse(loaded())
    assert asyncio.all_tasks() == before
