"""Opening a connection to an upstream: the step before a request can be sent to a target without an idle one.

Whatever goes wrong here went wrong before a byte of the request was sent, so each error may be retried.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from proxyd.errors import GatewayError, Kind
from proxyd.upstream.tls import check_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.upstream.tls import UpstreamContext

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect; equal endpoints may share connections.

    ``host`` is an IP address, ``path`` a UNIX socket that takes the place of host and port. ``tls`` None is
    plain TCP; ``server_name`` is the name asked for and verified, the address itself where it is None. ``memory``
    says that ``host`` is the name of a mounted application.
    """

    host: str
    port: int
    path: str | None = None
    tls: UpstreamContext | None = None
    server_name: str | None = None
    memory: bool = False

    def __str__(self) -> str:
        """Render as ``host:port``, ``[v6]:port`` or ``unix:path``."""
        if self.path is not None:
            return f"unix:{self.path}"
        if self.memory:
            return f"memory://{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def dial(endpoint: Endpoint, protocol_factory: Callable[[], ProtocolT], timeout: float) -> ProtocolT:  # noqa: ASYNC109
    """Connect, shake hands where TLS is asked for, and return the protocol.

    ``timeout`` in seconds covers both. Raises GatewayError of the kinds CONNECT_REFUSED, CONNECT_TIMEOUT,
    CONNECT_FAILED and TLS_FAILED. When cancelled, the socket is closed.
    """
    try:
        async with asyncio.timeout(timeout):
            transport, protocol = await _connect(endpoint, protocol_factory, timeout)
    except TimeoutError as error:
        # The kernel's own timeout (ETIMEDOUT) is a TimeoutError as well.
        seconds = "the kernel's limit" if error.errno else f"{timeout:g} s"
        raise GatewayError(Kind.CONNECT_TIMEOUT, f"{endpoint}: no connection within {seconds}") from error
    except ssl.SSLError as error:
        raise GatewayError(Kind.TLS_FAILED, f"{endpoint}: {_tls_cause(error)}") from error
    except OSError as error:
        raise _translate(endpoint, error) from error
    if endpoint.tls is not None and (reason := check_connection(endpoint.tls, transport)):
        transport.abort()
        raise GatewayError(Kind.TLS_FAILED, f"{endpoint}: {reason}")
    return protocol


async def _connect(
    endpoint: Endpoint, protocol_factory: Callable[[], ProtocolT], handshake: float
) -> tuple[asyncio.WriteTransport, ProtocolT]:
    # TCP_NODELAY is set by asyncio's and uvloop's transports alike.
    loop = asyncio.get_running_loop()
    tls = endpoint.tls
    name = None if tls is None else endpoint.server_name or endpoint.host
    # The loop's own limit on the handshake stands behind ours, in case a closing transport waits for it.
    limit = None if tls is None else handshake + 1.0
    if endpoint.path is not None:
        return await loop.create_unix_connection(
            protocol_factory, endpoint.path, ssl=tls, server_hostname=name, ssl_handshake_timeout=limit
        )
    return await loop.create_connection(
        protocol_factory,
        endpoint.host,
        endpoint.port,
        ssl=tls,
        server_hostname=name,
        ssl_handshake_timeout=limit,
    )


def _translate(endpoint: Endpoint, error: OSError) -> GatewayError:
    if error.errno == errno.ECONNREFUSED:
        return GatewayError(Kind.CONNECT_REFUSED, f"{endpoint}: connection refused")
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    if endpoint.tls is not None and isinstance(error, ConnectionError):
        return GatewayError(Kind.TLS_FAILED, f"{endpoint}: connection lost in the handshake: {text}")
    return GatewayError(Kind.CONNECT_FAILED, f"{endpoint}: {text}")


def _tls_cause(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return f"certificate verify failed: {error.verify_message.rstrip('.')}"
    if error.reason:
        return f"TLS handshake failed: {error.reason.replace('_', ' ').lower()}"
    return f"TLS handshake failed: {error}"
