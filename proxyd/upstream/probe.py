"""One active probe of one address. Off the request path; aiohttp is the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import aiohttp
from yarl import URL

from proxyd.errors import GatewayError, Kind
from proxyd.upstream.addresses import join_port
from proxyd.upstream.connector import Endpoint, dial

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model.healthchecks import ActiveChecks
    from proxyd.upstream.cluster import Member
    from proxyd.upstream.tls import UpstreamContext


class Probe(Protocol):
    """A way of probing."""

    async def __call__(self, member: Member) -> int:
        """Return the status, 0 for a bare connection; raises GatewayError where there is none."""

    async def close(self) -> None:
        """Release what the probes share."""


class TcpProbe:
    """Connects and closes."""

    def __init__(self, checks: ActiveChecks) -> None:
        self._timeout = checks.timeout

    async def __call__(self, member: Member) -> int:
        """Return 0 where the address takes connections; raises GatewayError."""
        endpoint = Endpoint(member.record.address, member.port)
        protocol = await dial(endpoint, _Connected, self._timeout)
        protocol.close()
        return 0

    async def close(self) -> None:
        """Nothing is shared."""


class _Connected(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()


class HttpProbe:
    """GETs the path and looks at the status; redirects are not followed, bodies not read."""

    def __init__(self, checks: ActiveChecks, host_header: str | None, tls: UpstreamContext | None) -> None:
        self._host_header = host_header
        self._scheme = "http" if tls is None else "https"
        self._path = checks.http_path
        self._timeout = checks.timeout
        self._headers = [(name, value) for name, values in (checks.headers or {}).items() for value in values]
        self._server_name = checks.https_sni
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, member: Member) -> int:
        """Return the status; raises GatewayError."""
        authority = join_port(member.record.address, member.port)
        url = URL(f"{self._scheme}://{authority}{self._path}", encoded=True)
        server_name = self._server_name or self._host_header or member.target.host
        try:
            async with self._open_session().get(
                url,
                headers=[("Host", self._host_header or member.target.label), *self._headers],
                allow_redirects=False,
                ssl=self._tls if self._tls is not None else True,
                server_hostname=server_name if self._tls is not None else None,
            ) as response:
                return response.status
        except TimeoutError as error:
            raise GatewayError(Kind.READ_TIMEOUT, f"{authority}: no answer in {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise GatewayError(Kind.CONNECT_FAILED, f"{authority}: {error}") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A probe that reused a connection would not notice that new ones are refused.
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": "proxyd healthcheck"},
            )
        return self._session

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def make_probe(
    checks: ActiveChecks, host_header: str | None, context: Callable[[], UpstreamContext]
) -> Probe:
    """Return the probe that the checks ask for; ``context`` is asked for only where TLS is."""
    if checks.type in {"http", "https"}:
        return HttpProbe(checks, host_header, context() if checks.type == "https" else None)
    return TcpProbe(checks)
