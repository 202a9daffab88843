"""nginx and the gateway with the same policies: a key, a limit, CORS, an id, metrics, and a line of JSON per request.

Envoy and the aiohttp proxy stand beside them as they are, without a policy, to be compared with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.peers.aiohttp_peer import AiohttpPeer
from benchmarks.peers.envoy import EnvoyPeer
from benchmarks.peers.nginx import NginxPeer
from benchmarks.peers.proxyd import ProxydPeer, PurePeer, one_route

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate
    from benchmarks.process import Command


KEY = "bench-key"
ORIGIN = "https://www.shop.example"
HEADERS = {"apikey": KEY, "Origin": ORIGIN}
LIMIT = 1_000_000_000  # requests per hour: counted, and never reached
LOG = "requests.log"  # one line of JSON per request, in the peer's directory


def plugins() -> list[dict[str, object]]:
    """Return the plugins of every request."""
    return [
        {"name": "key-auth", "config": {"hide_credentials": True}},
        {"name": "rate-limiting", "config": {"hour": LIMIT, "policy": "local", "limit_by": "consumer"}},
        {
            "name": "cors",
            "config": {"origins": [ORIGIN], "credentials": True, "exposed_headers": ["X-Total"]},
        },
        {"name": "correlation-id", "config": {"echo_downstream": True}},
        {
            "name": "prometheus",
            "config": {"status_code_metrics": True, "latency_metrics": True, "bandwidth_metrics": True},
        },
    ]


class PolicyProxyd(ProxydPeer):
    """The gateway with the plugins, a consumer and its own access log, compiled where it is."""

    shown = "all policies, its own JSON access log of 31 fields"

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write kong.json, and have the access log written to a file."""
        made = self.command_for(directory, self.document(directory, origin), listen=listen, tls=tls)
        return replace(made, env=made.env | self.log(directory))

    def document(self, directory: Path, origin: int) -> dict[str, object]:
        """Return the declarative file."""
        del directory
        consumers = [{"username": "bench", "keyauth_credentials": [{"key": KEY}]}]
        return one_route(origin) | {"plugins": plugins(), "consumers": consumers}

    def log(self, directory: Path) -> dict[str, str]:
        """Return the setting of the access log."""
        return {"PROXYD_PROXY_ACCESS_LOG": str(directory / LOG)}


class PolicyPure(PurePeer, PolicyProxyd):
    """The same, interpreted."""


class PolicyFileLog(PolicyProxyd):
    """The same with Kong's whole record, by the plugin file-log, in the access log's place."""

    name = "proxyd-file-log"
    shown = "all policies, file-log with Kong's record of about 45 fields in the access log's place"

    def document(self, directory: Path, origin: int) -> dict[str, object]:
        """Return the declarative file with one plugin more."""
        log: dict[str, object] = {"name": "file-log", "config": {"path": str(directory / LOG)}}
        return super().document(directory, origin) | {"plugins": [*plugins(), log]}

    def log(self, directory: Path) -> dict[str, str]:
        """Leave the access log off."""
        del directory
        return {}


class NoPolicyEnvoy(EnvoyPeer):
    """Envoy as in the scenario ``plain``."""

    name = "envoy-plain"
    shown = "no policy, no log"


class NoPolicyAiohttp(AiohttpPeer):
    """The aiohttp proxy as in the scenario ``plain``."""

    name = "aiohttp-plain"
    shown = "no policy, no log"


LOCATION = """      if ($consumer = "") { return 401; }
      limit_req zone=consumers burst=1000000 nodelay;
      limit_req_status 429;
      proxy_set_header apikey "";
      proxy_set_header X-Consumer-Username $consumer;
      proxy_set_header X-Request-Id $request_id;
      add_header Kong-Request-ID $request_id always;
      add_header Access-Control-Allow-Origin $allowed always;
      add_header Access-Control-Allow-Credentials true always;
      add_header Access-Control-Expose-Headers X-Total always;
      add_header Vary Origin always;
"""


# What a line of proxyd's access log tells, as far as nginx knows it: not the tries, the gateway's own time, the cause
# of a failure.
FIELDS = {
    "time": "$time_iso8601",
    "request_id": "$request_id",
    "traceparent": "$http_traceparent",
    "client_ip": "$remote_addr",
    "scheme": "$scheme",
    "tls_version": "$ssl_protocol",
    "method": "$request_method",
    "host": "$http_host",
    "path": "$uri",
    "query": "$args",
    "protocol": "$server_protocol",
    "status": "$status",
    "bytes_received": "$request_length",
    "bytes_sent": "$body_bytes_sent",
    "route": "all",
    "service": "$proxy_host",
    "consumer": "$consumer",
    "upstream": "$upstream_addr",
    "upstream_status": "$upstream_status",
    "total_seconds": "$request_time",
    "upstream_seconds": "$upstream_response_time",
    "connect_seconds": "$upstream_connect_time",
    "user_agent": "$http_user_agent",
    "referer": "$http_referer",
    "upgrade": "$http_upgrade",
    "completed": "$request_completion",
}


class PolicyNginx(NginxPeer):
    """What an nginx does for the same: a key check by map, limit_req, CORS and id headers, a JSON access log."""

    location_lines = LOCATION
    shown = f"key check by map, limit_req, CORS and id headers, a JSON access log of {len(FIELDS)} fields, buffered"

    def http_lines(self, directory: Path) -> str:
        """Return the format of the log, the keys, the origins and the limit."""
        fields = ",".join(f'"{name}":"{variable}"' for name, variable in FIELDS.items())
        return f"""  log_format line escape=json '{{{fields}}}';
  access_log {directory}/{LOG} line buffer=64k flush=1s;
  map $http_apikey $consumer {{ default ""; "{KEY}" bench; }}
  map $http_origin $allowed {{ default ""; "{ORIGIN}" $http_origin; }}
  limit_req_zone $consumer zone=consumers:10m rate=1000000r/s;
"""


POLICY_PEERS = (
    PolicyNginx(),
    PolicyProxyd(),
    PolicyPure(),
    PolicyFileLog(),
    NoPolicyEnvoy(),
    NoPolicyAiohttp(),
)
