"""The gateway itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import output
from benchmarks.process import Command

if TYPE_CHECKING:
    from benchmarks.peers.base import Certificate


def one_route(origin: int) -> dict[str, Any]:
    """Return the smallest file: one service, one route, no plugin."""
    route = {"name": "all", "paths": ["/"], "strip_path": False}
    service = {"name": "origin", "url": f"http://127.0.0.1:{origin}", "routes": [route]}
    return {"_format_version": "3.0", "services": [service]}


COMPILED = Path(sys.prefix) / "compiled"  # where `make compiled` puts the compiled build


class ProxydPeer:
    """``proxyd run`` as a user starts it, compiled where `make compiled` has been; metrics are on, as always."""

    name = "proxyd"

    @property
    def settings(self) -> str:
        """Describe how it runs."""
        build = "compiled" if self.environment() else "not compiled"
        return f"{build}, 1 process, one service and route, no plugin, metrics on, no access log"

    def environment(self) -> dict[str, str]:
        """Return what makes Python find the build that is meant."""
        return {"PYTHONPATH": str(COMPILED)} if COMPILED.is_dir() else {}

    def missing(self) -> str | None:
        """Tell whether ``proxyd version`` works."""
        text = output([sys.executable, "-m", "proxyd", "version"])
        return None if "Traceback" not in text and "No module" not in text else text.splitlines()[-1]

    def version(self) -> str:
        """Return the last word of ``proxyd version``."""
        return output([sys.executable, "-m", "proxyd", "version"]).split()[-1]

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write kong.json with one route."""
        return self.command_for(directory, one_route(origin), listen=listen, tls=tls)

    def command_for(
        self, directory: Path, document: dict[str, Any], *, listen: int, tls: Certificate | None = None
    ) -> Command:
        """Write ``document`` and return how to start the gateway with it on port ``listen``."""
        config = directory / "kong.json"
        config.write_text(json.dumps(document, indent=1))
        settings = {
            "PROXY_LISTEN": f"127.0.0.1:{listen}{' ssl' if tls else ''} backlog=4096",
            "STATUS_LISTEN": "127.0.0.1:0",
            "ADMIN_LISTEN": "off",
            "PROXY_ACCESS_LOG": "off",
            "LOG_LEVEL": "warn",
            "KEEPALIVE_REQUESTS": "100000000",
            "UPSTREAM_KEEPALIVE_MAX_REQUESTS": "100000000",
            "CLIENT_MAX_BODY_SIZE": "0",
            "WORKER_CONNECTIONS": "65536",
        }
        env = {f"PROXYD_{name}": value for name, value in settings.items()}
        if tls:
            env |= {"PROXYD_SSL_CERT": str(tls.chain), "PROXYD_SSL_CERT_KEY": str(tls.key)}
        env |= self.environment()
        # -P: the source in the working directory must not come before the build that is meant.
        return Command([sys.executable, "-P", "-m", "proxyd", "run", "-c", str(config)], env)


class PurePeer(ProxydPeer):
    """The same source, interpreted."""

    name = "proxyd-python"

    def environment(self) -> dict[str, str]:
        """Return nothing: the installed package is Python."""
        return {}

    def missing(self) -> str | None:
        """Tell whether there is a difference to see."""
        return None if COMPILED.is_dir() else "the row proxyd is that already: make compiled has not been run"
