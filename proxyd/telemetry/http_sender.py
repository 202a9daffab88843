"""Records to a collector over HTTP. aiohttp is the client: this is off the path of requests."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from proxyd.telemetry.queue import DeliveryError

if TYPE_CHECKING:
    import ssl

MAX_ANSWER = 64 * 1024  # bytes that are read of an answer, so that its connection can be kept
FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where and how to send; times in seconds. With ``array`` a batch is an array, and otherwise one record."""

    url: str = field(repr=False)
    method: str = "POST"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float = 10.0
    keepalive: float = 60.0
    array: bool = False

    @property
    def destination(self) -> str:
        """Name the collector without a credential: neither user information nor a query is in it."""
        url = URL(self.url)
        return str(url.with_user(None).with_query(None).with_fragment(None))


class HttpSender:
    """Sends batches; a status from 400 on is a failure, as in Kong. Redirects are not followed."""

    def __init__(self, target: HttpTarget, tls: ssl.SSLContext | None) -> None:
        url = URL(target.url)
        self._target = target
        self._url = url.with_user(None)
        self._tls = tls
        self._headers = [*target.headers, ("Content-Type", target.content_type)]
        if url.user is not None:
            credentials = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
            self._headers.append(("Authorization", f"Basic {credentials}"))
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<HttpSender {self._target.destination}>"

    async def send(self, batch: list[bytes]) -> None:
        """Send a batch; raises DeliveryError."""
        body = b"[%b]" % b",".join(batch) if self._target.array else batch[0]
        try:
            status = await self._ask(body)
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._target.timeout:g} s") from None
        except aiohttp.ClientResponseError as error:  # its text holds the URL, query and all
            raise DeliveryError("answered with what is not HTTP") from error
        except (aiohttp.ClientError, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        if status >= FIRST_ERROR:
            raise DeliveryError(f"answered with {status}")

    async def _ask(self, body: bytes) -> int:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            self._target.method, self._url, data=body, headers=self._headers, allow_redirects=False
        ) as answer:
            read = 0
            while read < MAX_ANSWER and (piece := await answer.content.readany()):
                read += len(piece)
            return answer.status

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            keepalive_timeout=self._target.keepalive, ssl=True if self._tls is None else self._tls
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._target.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent",),
        )

    async def close(self) -> None:
        """Close connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
