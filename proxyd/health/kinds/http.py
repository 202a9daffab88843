"""Something that answers HTTP, over a connection of its own each time: what new clients meet is what counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from proxyd.health.look import DownError, context_of

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Http

MOST_READ = 64 * 1024  # bytes of a body in which a text is looked for


class HttpLook:
    """Asks once, and follows no redirect."""

    def __init__(self, config: Http, timeout: float) -> None:
        url = URL(config.url)
        self._config = config
        self._url = url.with_user(None)
        self._headers = {"User-Agent": "proxyd-health", **config.headers}
        if url.user is not None:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(url.user, url.password or "")
        self._tls = context_of(config.tls) if config.tls is not None else True
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._wanted = config.contains.encode() if config.contains is not None else None

    def __repr__(self) -> str:
        return f"<HttpLook {self._url.origin()}>"

    async def look(self) -> dict[str, Any]:
        """Ask; raises DownError."""
        connector = aiohttp.TCPConnector(force_close=True, ssl=self._tls)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
                ) as session,
                session.request(
                    self._config.method,
                    self._url,
                    headers=self._headers,
                    allow_redirects=False,
                ) as answer,
            ):
                return await self._judge(answer)
        except TimeoutError:
            raise
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorError) as error:
            raise (error.os_error or error) from error
        except aiohttp.ClientError as error:  # its text may hold the URL, query and all
            raise DownError(f"does not speak HTTP: {type(error).__name__}") from error

    async def _judge(self, answer: aiohttp.ClientResponse) -> dict[str, Any]:
        seen = {"http_status": answer.status}
        if not any(low <= answer.status <= high for low, high in self._config.statuses):
            raise DownError(f"answered {answer.status}", seen)
        if self._wanted is not None and self._wanted not in await _beginning(answer):
            raise DownError("its answer does not contain the text that it should", seen)
        return seen

    async def close(self) -> None:
        """Nothing is kept."""


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    while len(found) < MOST_READ and (piece := await answer.content.readany()):
        found += piece
    return bytes(found[:MOST_READ])


def make(config: Http, around: Around) -> HttpLook:
    """Set it up; raises TlsError."""
    return HttpLook(config, around.timeout)
