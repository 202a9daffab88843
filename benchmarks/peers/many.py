"""The proxies with 100 routes and 1,000 consumers, who show a key each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.envoy import EXTENSIONS, EnvoyPeer
from benchmarks.peers.haproxy import HaproxyPeer
from benchmarks.peers.nginx import PASS, NginxPeer
from benchmarks.peers.proxyd import ProxydPeer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.base import Certificate
    from benchmarks.process import Command

ROUTES, CONSUMERS, ROUTES_PER_SERVICE = 100, 1000, 10


def prefix(route: int) -> str:
    """Return the path that a route stands for."""
    return f"/s{route // ROUTES_PER_SERVICE}/r{route % ROUTES_PER_SERVICE}"


def key(consumer: int) -> str:
    """Return a consumer's key."""
    return f"key-{consumer:032d}"


class ManyProxyd(ProxydPeer):
    """The gateway: key-auth on every route, the key hidden from the backend."""

    def command(
        self, directory: Path, *, listen: int, origin: int, tls: Certificate | None = None
    ) -> Command:
        """Write kong.json."""
        services = [
            {
                "name": f"service-{number}",
                "url": f"http://127.0.0.1:{origin}",
                "routes": [
                    {"name": f"route-{route}", "paths": [prefix(route)], "strip_path": False}
                    for route in range(number * ROUTES_PER_SERVICE, (number + 1) * ROUTES_PER_SERVICE)
                ],
            }
            for number in range(ROUTES // ROUTES_PER_SERVICE)
        ]
        document = {
            "_format_version": "3.0",
            "services": services,
            "consumers": [
                {"username": f"user-{number}", "keyauth_credentials": [{"key": key(number)}]}
                for number in range(CONSUMERS)
            ],
            "plugins": [{"name": "key-auth", "config": {"hide_credentials": True}}],
        }
        return self.command_for(directory, document, listen=listen, tls=tls)


class ManyNginx(NginxPeer):
    """nginx: a location each, and the keys in a map."""

    location_lines = "      return 404;\n"
    server_lines = '    if ($consumer = "") { return 401; }\n' + "".join(
        f"    location {prefix(route)}/ {{\n"
        '      proxy_set_header Connection "";\n      proxy_set_header apikey "";\n'
        f"      proxy_set_header X-Consumer-Username $consumer;\n{PASS}    }}\n"
        for route in range(ROUTES)
    )

    def http_lines(self, directory: Path) -> str:
        """Return the map."""
        del directory
        keys = "".join(f'    "{key(number)}" user-{number};\n' for number in range(CONSUMERS))
        return f'  access_log off;\n  map_hash_bucket_size 128;\n  map $http_apikey $consumer {{\n    default "";\n{keys}  }}\n'


class ManyHaproxy(HaproxyPeer):
    """HAProxy: prefixes and keys in map files, which are trees."""

    def frontend_lines(self, directory: Path) -> str:
        """Write the maps; return the rules that look into them."""
        keys, routes = directory / "keys.map", directory / "routes.map"
        keys.write_text("".join(f"{key(number)} user-{number}\n" for number in range(CONSUMERS)))
        routes.write_text("".join(f"{prefix(route)}/ route-{route}\n" for route in range(ROUTES)))
        return f"""  http-request set-var(txn.consumer) req.hdr(apikey),map_str({keys})
  http-request deny deny_status 401 unless {{ var(txn.consumer) -m found }}
  http-request set-var(txn.route) path,map_beg({routes})
  http-request deny deny_status 404 unless {{ var(txn.route) -m found }}
  http-request del-header apikey
  http-request set-header X-Consumer-Username %[var(txn.consumer)]
"""


class ManyEnvoy(EnvoyPeer):
    """Envoy: a route each, and its filter for keys."""

    def routes(self) -> list[dict[str, Any]]:
        """Return a route for each prefix."""
        return [
            {"match": {"prefix": f"{prefix(route)}/"}, "route": {"cluster": "origin"}}
            for route in range(ROUTES)
        ]

    def filters(self) -> list[dict[str, Any]]:
        """Return the filter with the keys."""
        return [
            {
                "name": "keys",
                "typed_config": {
                    "@type": f"{EXTENSIONS}.filters.http.api_key_auth.v3.ApiKeyAuth",
                    "credentials": [
                        {"key": key(number), "client": f"user-{number}"} for number in range(CONSUMERS)
                    ],
                    "key_sources": [{"header": "apikey"}],
                    "forwarding": {"header": "X-Consumer-Username", "hide_credentials": True},
                },
            }
        ]


MANY_PEERS = (ManyNginx(), ManyProxyd(), ManyHaproxy(), ManyEnvoy())
