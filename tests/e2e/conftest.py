"""A whole gateway in the test's event loop, and what stands on either side of it.

``gateway`` starts one, ``origin`` a scripted upstream, ``backend`` the demo application, ``raw`` a client that
sends bytes as they are. All listen on ports of the system's choice and are gone when the test is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from e2e_command import Running
from e2e_eventful import FAILED, SETTINGS, Crowded, Eventful, busy
from e2e_events import Events
from e2e_gateway import Gateway, config_for
from e2e_graphql import (  # noqa: F401 - fixtures
    graphql_backends,
    graphql_client,
    graphql_scripts,
    strawberry_backend,
)
from e2e_master import Gang
from e2e_prometheus import PROMETHEUS, Prometheus
from e2e_wire import OK, Origin, Wire, connect
from jwks_case import Endpoint, document

from proxyd.apps.demo.app import start_demo
from proxyd.telemetry.events import _output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    """Give what starts a gateway, from a configuration and settings; a port or a URL will do for the former."""
    running: list[Gateway] = []

    async def start(config: dict[str, Any] | str | int, **settings: Any) -> Gateway:
        if isinstance(config, int) or (isinstance(config, str) and config.startswith("http")):
            config = config_for(config)
        directory = tmp_path / f"gateway{len(running)}"
        directory.mkdir()
        one = Gateway(directory, config, settings)
        running.append(one)
        await one.worker.start()
        return one

    yield start
    for one in running:
        await one.worker.stop(drain=0.0)


@pytest.fixture
async def origin() -> AsyncIterator[Callable[..., Awaitable[Origin]]]:
    """Give what starts an origin: a coroutine function of a wire is its script, or the bytes of every answer."""
    running: list[Origin] = []

    async def start(script: Any, receive_buffer: int = 0) -> Origin:
        running.append(Origin(script, receive_buffer))
        return running[-1]

    yield start
    for one in running:
        await one.stop()


@pytest.fixture
async def raw() -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Give what opens a connection to a port."""
    wires: list[Wire] = []

    async def open_one(port: int, **options: Any) -> Wire:
        wires.append(await connect(port, **options))
        return wires[-1]

    yield open_one
    for wire in wires:
        wire.close()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """Give what gateways log."""
    written = Events()
    monkeypatch.setattr(_output, "write", written.take)
    return written


class Backend:
    """Where the demo application listens."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """Run the demo application."""
    runner, port = await start_demo("127.0.0.1", 0)
    yield Backend(port)
    await runner.cleanup()


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Prometheus]]]:
    """Give what starts Prometheus with the shipped configuration, in front of these status listeners."""
    if PROMETHEUS is None:
        pytest.skip("prometheus (Debian package prometheus) is not installed")
    running: list[Prometheus] = []

    async def start(*status_urls: str) -> Prometheus:
        directory = tmp_path / f"prometheus{len(running)}"
        directory.mkdir()
        targets = [url.partition("//")[2] for url in status_urls]
        running.append(await Prometheus.start(directory, targets))
        return running[-1]

    yield start
    for one in running:
        await one.stop()


@pytest.fixture
async def eventful(
    gateway: Any, origin: Any, backend: Backend, raw: Any, tmp_path: Path
) -> AsyncIterator[Eventful]:
    """Run a gateway in which every kind of thing can happen."""
    crowded, keys = Crowded(), await Endpoint(document(1)).start()
    ports = [(await origin(script)).port for script in (OK, FAILED, crowded)]
    config = busy(*ports, backend.port, keys.uri, tmp_path / "requests.log")
    try:
        yield Eventful(await gateway(config, **SETTINGS), crowded, raw)
    finally:
        await keys.stop()


@pytest.fixture
async def gang(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Gang]]]:
    """Give what starts a master, with two workers."""
    running: list[Gang] = []

    async def start(config: dict[str, Any], workers: int = 2, **env: Any) -> Gang:
        running.append(await Gang.start(config, tmp_path, workers, **env))
        return running[-1]

    yield start
    for one in running:
        await one.close()


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Give what starts the command with a configuration; ``run.file`` is where that stands."""
    running: list[Running] = []
    file = tmp_path / "kong.json"

    async def start(config: dict[str, Any], *options: str, **env: Any) -> Running:
        file.write_text(json.dumps(config))
        running.append(await Running.start(file, tmp_path, *options, **env))
        return running[-1]

    start.file = file  # type: ignore[attr-defined]
    yield start
    for one in running:
        await one.kill()


@pytest.fixture
async def ask() -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Give what asks an admin listener, at a URL or at a unix socket."""
    clients: list[httpx.AsyncClient] = []

    def start(where: Any, **options: Any) -> httpx.AsyncClient:
        over = httpx.AsyncHTTPTransport(uds=str(where)) if not str(where).startswith("http") else None
        clients.append(
            httpx.AsyncClient(
                base_url="http://localhost" if over else where, transport=over, timeout=30, **options
            )
        )
        return clients[-1]

    yield start
    for client in clients:
        await client.aclose()
