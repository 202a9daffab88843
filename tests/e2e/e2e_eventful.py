"""A gateway to which all sorts of things happen, so that there is something to see."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

import trustme
from e2e_tls import pem
from e2e_wire import OK, closed_port
from websockets.asyncio.client import connect

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
CROWDED = b"GET /crowded HTTP/1.1\r\nHost: x\r\n\r\n"
SETTINGS = {
    "overload_control": True,
    "min_concurrent_requests": 1,
    "max_concurrent_requests": 1,
    "proxy_listen": "127.0.0.1:0, 127.0.0.1:0 ssl",
    "proxy_error_log": "off",
    "slow_request_log": "0.001ms",
    "trusted_ips": "127.0.0.1",
}


def busy(pool, weak, crowded, backend, keys, log):
    """Return a configuration in which every kind of thing can happen; ports are of what stands behind it."""
    nobody = closed_port()

    def service(name, url, *plugins, **more):
        route = {"name": name, "paths": [f"/{name}"], "plugins": list(plugins), "strip_path": False}
        return {"name": name, "url": url, "routes": [route], **more}

    return {
        "_format_version": "3.0",
        "upstreams": [
            {
                "name": "pool",
                "targets": [{"target": f"127.0.0.1:{pool}"}, {"target": f"127.0.0.1:{nobody}"}],
                "healthchecks": {"passive": {"unhealthy": {"tcp_failures": 3}}},
            },
            {
                "name": "weak",
                "targets": [{"target": f"127.0.0.1:{weak}"}, {"target": f"127.0.0.1:{pool}"}],
                "resilience": {"outlier_detection": {"consecutive_5xx": 1}},
            },
            {
                "name": "broken",
                "targets": [{"target": f"127.0.0.1:{weak}"}],
                "resilience": {"circuit_breaker": {"minimum_requests": 1}},
            },
        ],
        "certificates": [pem(trustme.CA(), "shop.example")],
        "consumers": [{"username": "ann", "keyauth_credentials": [{"key": "ann-key"}]}],
        "services": [
            service(
                "orders",
                "http://pool",
                {"name": "key-auth"},
                {"name": "rate-limiting", "config": {"year": 8, "limit_by": "consumer"}},
            ),
            service("weak", "http://weak"),
            service("broken", "http://broken"),
            service("crowded", f"http://127.0.0.1:{crowded}"),
            service(
                "graphql",
                "http://pool",
                {"name": "graphql", "config": {"errors": {"mask": True}, "limits": {"max_depth": 2}}},
            ),
            service("ws", f"http://127.0.0.1:{backend}"),
            service("dead", f"http://127.0.0.1:{nobody}", retries=1),
            service(
                "shared",
                "http://pool",
                {
                    "name": "rate-limiting",
                    "config": {
                        "year": 1000,
                        "policy": "redis",
                        "redis": {"host": "127.0.0.1", "port": nobody},
                    },
                },
            ),
            service(
                "token",
                "http://pool",
                {"name": "jwt", "config": {"issuers": [{"issuer": "https://id.example", "jwks_uri": keys}]}},
            ),
        ],
        "plugins": [
            {
                "name": "prometheus",
                "config": {
                    "per_consumer": True,
                    "status_code_metrics": True,
                    "latency_metrics": True,
                    "bandwidth_metrics": True,
                    "upstream_health_metrics": True,
                },
            },
            {"name": "file-log", "config": {"path": str(log)}},
            {
                "name": "zipkin",
                "config": {"http_endpoint": f"http://127.0.0.1:{nobody}/spans", "sample_ratio": 1},
            },
        ],
    }


class Crowded:
    """The script of a backend that has room for one request, and answers it when it may."""

    def __init__(self):
        self.arrived, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                self.arrived.set()
                await self.go.wait()
                await wire.send(OK)

    async def refuses(self, first, second):
        """Send it two requests, of which the gateway refuses the second."""
        self.arrived.clear()
        self.go.clear()
        held = asyncio.ensure_future(first.ask(CROWDED))
        await self.arrived.wait()
        assert (await second.ask(CROWDED)).status == 503
        self.go.set()
        assert (await held).status == 200


class Eventful:
    """The gateway, and what makes things happen to it."""

    def __init__(self, gateway, crowded, raw):
        self.gateway = gateway
        self._crowded = crowded
        self._raw = raw

    async def things_happen(self):
        """Answers, refusals, limits, failures, load that is shed, a WebSocket, a handshake that is none."""
        client = await self._raw(self.gateway.port)
        await self._crowded.refuses(await self._raw(self.gateway.port), client)
        for path, key in [("orders", "ann-key")] * 6 + [
            ("orders", "wrong"),
            ("dead", ""),
            ("shared", ""),
            ("weak", ""),
            ("weak", ""),
            ("broken", ""),
            ("broken", ""),
        ]:
            await client.ask(
                b"GET /%b HTTP/1.1\r\nHost: x\r\napikey: %b\r\n\r\n" % (path.encode(), key.encode())
            )
        await client.ask(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        for query in (b"{a}", b"query Deep{a{b{c}}}"):  # its backend's answer is no GraphQL
            body = b'{"query":"%b"}' % query
            head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            await client.ask(head % len(body) + body)
        await client.ask(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        async with connect(f"ws://127.0.0.1:{self.gateway.port}/ws") as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
        plain = await self._raw(urlsplit(self.gateway.worker.addresses[1]).port)
        await plain.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await plain.rest()
