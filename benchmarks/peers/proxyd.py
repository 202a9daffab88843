"""The gateway itself."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import output
from benchmarks.process import Command, free_port

if TYPE_CHECKING:
    from pathlib import Path


def one_route(origin: int) -> dict[str, Any]:
    """Return the smallest file: one service, one route, no plugin."""
    route = {"name": "all", "paths": ["/"], "strip_path": False}
    service = {"name": "origin", "url": f"http://127.0.0.1:{origin}", "routes": [route]}
    return {"_format_version": "3.0", "services": [service]}


class ProxydPeer:
    """``proxyd run`` as a user starts it; metrics are on, as always."""

    name = "proxyd"
    settings = "1 process, one service and route, no plugin, metrics on, no access log"

    def missing(self) -> str | None:
        """Tell whether ``proxyd version`` works."""
        text = output([sys.executable, "-m", "proxyd", "version"])
        return None if "Traceback" not in text and "No module" not in text else text.splitlines()[-1]

    def version(self) -> str:
        """Return the last word of ``proxyd version``."""
        return output([sys.executable, "-m", "proxyd", "version"]).split()[-1]

    def command(self, directory: Path, *, listen: int, origin: int) -> Command:
        """Write kong.json with one route."""
        return self.command_for(directory, one_route(origin), listen=listen)

    def command_for(self, directory: Path, document: dict[str, Any], *, listen: int) -> Command:
        """Write ``document`` and return how to start the gateway with it on port ``listen``."""
        config = directory / "kong.json"
        config.write_text(json.dumps(document, indent=1))
        settings = {
            "PROXY_LISTEN": f"127.0.0.1:{listen} backlog=4096",
            "STATUS_LISTEN": f"127.0.0.1:{free_port()}",
            "ADMIN_LISTEN": "off",
            "PROXY_ACCESS_LOG": "off",
            "LOG_LEVEL": "warn",
            "KEEPALIVE_REQUESTS": "100000000",
            "UPSTREAM_KEEPALIVE_MAX_REQUESTS": "100000000",
            "CLIENT_MAX_BODY_SIZE": "0",
            "WORKER_CONNECTIONS": "65536",
        }
        env = {f"PROXYD_{name}": value for name, value in settings.items()}
        return Command([sys.executable, "-m", "proxyd", "run", "-c", str(config)], env)
