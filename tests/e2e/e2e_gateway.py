"""A whole gateway in the test's event loop, and configurations for it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from e2e_wire import PATIENCE

from proxyd.cli.config import plugin_configs
from proxyd.model.load import Loaded, load, load_text
from proxyd.process.administered import Texts
from proxyd.process.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    Config = str | dict[str, Any]


class Gateway:
    """A running gateway; ``worker`` is the thing itself, ``file`` its configuration."""

    def __init__(self, directory: Path, config: Config, settings: dict[str, Any]) -> None:
        self.file = directory / "kong.yml"
        self.access_log = directory / "access.log"
        self._settings = {
            "proxy_listen": "127.0.0.1:0",
            "status_listen": "127.0.0.1:0",
            "admin_listen": "off",
            "proxy_access_log": str(self.access_log),
            "shutdown_timeout": 2.0,
        } | settings
        self.write(config)
        self.worker = Worker(self._load(), self._load, texts=Texts(self.file.read_text, self._take))

    def write(self, config: Config) -> None:
        """Replace the configuration file; ``worker.reload`` takes it over."""
        self.file.write_text(config if isinstance(config, str) else json.dumps(config))

    def _load(self) -> Loaded:
        return load(self.file, env={}, plugins=plugin_configs(), overrides=self._settings)

    def _take(self, text: str) -> Loaded:
        return load_text(text, "request", env={}, plugins=plugin_configs(), overrides=self._settings)

    @property
    def admin_url(self) -> str:
        return self.worker.admin_addresses[0]

    @property
    def url(self) -> str:
        """The first listener, such as ``http://127.0.0.1:40123``."""
        return self.worker.addresses[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def status_url(self) -> str:
        return self.worker.status_addresses[0]

    async def log_lines(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the lines of the access log, as soon as there are ``count`` of them."""
        give_up = time.monotonic() + PATIENCE
        while True:
            lines = self.access_log.read_text().splitlines() if self.access_log.exists() else []
            if len(lines) >= count or time.monotonic() > give_up:
                assert len(lines) >= count, f"{len(lines)} of {count} access lines: {lines}"
                return [json.loads(line) for line in lines]
            await asyncio.sleep(0.02)


def config_for(
    target: int | str,
    *,
    route: dict[str, Any] | None = None,
    service: dict[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """Return a configuration with one service, at a local port or a URL, and one route to it on ``/``."""
    url = f"http://127.0.0.1:{target}" if isinstance(target, int) else target
    only = {"name": "main", "paths": ["/"], **(route or {})}
    return {
        "_format_version": "3.0",
        "services": [{"name": "backend", "url": url, "routes": [only], **(service or {})}],
        **top,
    }
