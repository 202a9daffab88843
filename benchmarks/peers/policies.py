"""nginx and the gateway with the same policies: a key, a limit, CORS, an id, and a line of JSON per request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.nginx import NginxPeer
from benchmarks.peers.proxyd import ProxydPeer, PurePeer, one_route

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.process import Command


KEY = "bench-key"
ORIGIN = "https://www.shop.example"
HEADERS = {"apikey": KEY, "Origin": ORIGIN}
LIMIT = 1_000_000_000  # requests per hour: counted, and never reached


def plugins(log: Path) -> list[dict[str, object]]:
    """Return the plugins of the route; ``log`` is where file-log writes."""
    return [
        {"name": "key-auth", "config": {"hide_credentials": True}},
        {"name": "rate-limiting", "config": {"hour": LIMIT, "policy": "local", "limit_by": "consumer"}},
        {
            "name": "cors",
            "config": {"origins": [ORIGIN], "credentials": True, "exposed_headers": ["X-Total"]},
        },
        {"name": "correlation-id", "config": {"echo_downstream": True}},
        {"name": "file-log", "config": {"path": str(log)}},
        {
            "name": "prometheus",
            "config": {"status_code_metrics": True, "latency_metrics": True, "bandwidth_metrics": True},
        },
    ]


class PolicyProxyd(ProxydPeer):
    """The gateway with the plugins and a consumer, compiled where it is; file-log takes the access log's place."""

    def command(self, directory: Path, *, listen: int, origin: int) -> Command:
        """Write kong.json."""
        consumers = [{"username": "bench", "keyauth_credentials": [{"key": KEY}]}]
        document = one_route(origin) | {"plugins": plugins(directory / "file.log"), "consumers": consumers}
        return self.command_for(directory, document, listen=listen)


class PolicyPure(PurePeer, PolicyProxyd):
    """The same, interpreted."""


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


class PolicyNginx(NginxPeer):
    """What an nginx does for the same: a key check by map, limit_req, CORS and id headers, a JSON access log."""

    location_lines = LOCATION

    def http_lines(self, directory: Path) -> str:
        """Return the format of the log, the keys, the origins and the limit."""
        return f"""  log_format line escape=json '{{"id":"$request_id","client_ip":"$remote_addr","method":"$request_method",'
    '"uri":"$request_uri","host":"$host","status":$status,"sent":$bytes_sent,"received":$request_length,'
    '"consumer":"$consumer","seconds":$request_time,"upstream_seconds":"$upstream_response_time",'
    '"upstream":"$upstream_addr","agent":"$http_user_agent","started_at":"$msec"}}';
  access_log {directory}/access.log line buffer=64k flush=1s;
  map $http_apikey $consumer {{ default ""; "{KEY}" bench; }}
  map $http_origin $allowed {{ default ""; "{ORIGIN}" $http_origin; }}
  limit_req_zone $consumer zone=consumers:10m rate=1000000r/s;
"""
