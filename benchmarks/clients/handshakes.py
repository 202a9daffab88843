"""TLS connections one after the other, with one request on each: whole handshakes, or resumed ones.

    python -m benchmarks.clients.handshakes '{"port": 8443, "resume": true, "pid": 42, "seconds": 5}'

prints how many there were, how many of them resumed a session, how long each took in microseconds, and what the proxy,
which is that process, used meanwhile.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from time import monotonic
from typing import Any

from benchmarks.accounting import cpu_ns
from benchmarks.quantiles import summary

REQUEST = b"GET /api/v1/orders/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Connect, ask and close, again and again."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session: ssl.SSLSession | None = None
    resumed, latencies = 0, []
    used, began = cpu_ns(options["pid"]), monotonic()
    while (now := monotonic()) < began + options["seconds"]:
        session, reused = _one(context, options["port"], session if options["resume"] else None)
        resumed += reused
        latencies.append((monotonic() - now) * 1e6)
    spent, used = monotonic() - began, cpu_ns(options["pid"]) - used
    counted = {"connections": len(latencies), "resumed": resumed, "spent": spent, "cpu_ns": used}
    return counted | {"us": summary(latencies)}


def _one(context: ssl.SSLContext, port: int, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession, bool]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
            connection.sendall(REQUEST)
            answer = connection.recv(65_536)
            while connection.recv(65_536):
                pass
            if not answer.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(f"answered with {answer[:40]!r}")
            # With TLS 1.3, tickets come after the handshake: the session is worth keeping only now.
            return connection.session, bool(connection.session_reused)


if __name__ == "__main__":
    try:
        print(json.dumps(run(json.loads(sys.argv[1]))))
    except OSError as error:
        sys.exit(f"{type(error).__name__}: {error}")
