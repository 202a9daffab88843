"""A gateway as its Admin API sees it: one that has loaded a text, and takes others."""

from __future__ import annotations

import hashlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxyd.admin.app import admin_app
from proxyd.admin.audit.auditor import Auditor
from proxyd.admin.dashboard.observed import Observation, Standing
from proxyd.admin.source import BusyError
from proxyd.cli.config import plugin_configs
from proxyd.clock import Clock
from proxyd.control.answers import errors_as_json
from proxyd.control.health import ready_handler
from proxyd.database.uses import Uses
from proxyd.model.load import load_text
from proxyd.telemetry.admin_families import AdminCounts
from proxyd.telemetry.source import ConfigState

ADMIN, VIEWER = "a" * 24, "v" * 24
TOKENS = f"ann=admin:{ADMIN},viewer:sha256={hashlib.sha256(VIEWER.encode()).hexdigest()}"
FILE = """
_format_version: "3.0"
services:
  - name: shop
    url: http://10.0.0.1:3000/base
    tags: [web, live]
    routes:
      - {name: orders, paths: [/orders], tags: [web]}
      - {name: items, paths: [/items], plugins: [{name: cors}]}
    plugins:
      - name: rate-limiting
        config: {minute: 5, policy: redis, redis: {host: r, password: hush-hush}}
  - {name: blog, host: up, tags: [live]}
upstreams:
  - {name: up, targets: [{target: "10.0.0.2:80"}, {target: "10.0.0.3:80", weight: 50}]}
consumers:
  - username: ann
    custom_id: "17"
    keyauth_credentials: [{key: a-very-secret-key}]
    acls: [{group: staff}]
  - {username: bob}
"""


def load(text, settings=None):
    return load_text(text, "request", env=settings or {}, plugins=plugin_configs())


NOTHING = Observation(
    [], [], dict.fromkeys(("open", "answering", "tunnels", "limit"), 0), [], (0.02, 0.04), Standing, 0.0
)


class HandClock(Clock):
    """Time that the test moves."""

    def __init__(self):
        self.at = 1000.0
        self.now = lambda: self.at
        self.time = lambda: 1_700_000_000.0 + self.at


class Source:
    """A gateway that has loaded a text."""

    def __init__(self, text=FILE, **settings):
        self._env = {f"PROXYD_{name.upper()}": value for name, value in settings.items()}
        self._loaded = load(text, self._env)
        self.settings = self._loaded.settings
        self.config = ConfigState(Clock())
        self.config.loaded(self._loaded.hash)
        self.admin_counts = AdminCounts()
        self.auditor = Auditor(Clock())
        self.uses = Uses()
        self.busy = False
        self.database = None

    def not_ready(self):
        return ""

    async def loaded(self):
        return self._loaded

    async def observe(self):
        return NOTHING

    async def text(self):
        return FILE if self._loaded.hash == load(FILE).hash else None

    async def apply(self, text):
        if self.busy:
            raise BusyError
        self._loaded = load(text, self._env)
        self.config.loaded(self._loaded.hash)
        return self._loaded


@pytest.fixture
async def serve():
    """Give a client of an Admin API over a source."""
    clients = []

    async def start(source=None, clock=None):
        source = source or Source()
        status = web.Application(middlewares=[errors_as_json])
        status.router.add_get("/status/ready", ready_handler(source))
        client = TestClient(TestServer(admin_app(source, status, clock)))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


async def get(client, path, status=200, **headers):
    async with client.get(path, headers=headers) as response:
        assert response.status == status, await response.text()
        return await response.json()
