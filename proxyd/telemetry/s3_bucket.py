"""One bucket of S3, MinIO and their kin: asked whether it is there, and given objects. Off the path of requests."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import aiohttp
from aiohttp_s3_client import S3Client
from aiohttp_s3_client.credentials import StaticCredentials, collect_credentials
from yarl import URL

from proxyd.crypto.client import client_context
from proxyd.errors import ProxydError
from proxyd.telemetry.shipping import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.places import S3

MOST_READ = 64 * 1024  # bytes of an answer that says what is wrong
FIRST_ERROR = 300  # the statuses from here on: a redirect means that the region is another one
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


class Bucket:
    """A bucket; each request has ``timeout`` seconds. Raises ProxydError where there are no credentials, or no such file of TLS."""

    def __init__(self, place: S3, timeout: float, *, keep: bool = False) -> None:
        self._place = place
        self._timeout = timeout
        self._keep = keep
        if place.access_key_id is not None:
            self._credentials = StaticCredentials(
                place.access_key_id, place.secret_access_key or "", place.session_token, place.region
            )
        else:
            self._credentials = collect_credentials(region=place.region)
        if not self._credentials:
            raise ProxydError("there are no credentials: set access_key_id and secret_access_key")
        self._url = _url_of(place)
        self._tls = client_context(**place.tls.model_dump()) if place.tls is not None else True
        self._session: aiohttp.ClientSession | None = None
        self._client: S3Client | None = None

    def __repr__(self) -> str:
        return f"<Bucket {self._place}>"

    async def head(self) -> None:
        """Ask whether it is there, and may be used; raises StoreError, and OSError where nobody answers."""
        await self._ask("HEAD", "", {})

    async def put(self, key: str, body: bytes, headers: Mapping[str, str], sha256: str) -> None:
        """Store an object; ``sha256`` is its digest, in hexadecimal. Raises StoreError, and OSError where nobody answers."""
        await self._ask("PUT", key, headers, body, sha256)

    async def _ask(
        self, method: str, key: str, headers: Mapping[str, str], body: bytes | None = None, sha256: str = ""
    ) -> None:
        client = self._open()
        try:
            async with client.request(
                method,
                key,
                headers=dict(headers),
                # As a file, so that it is written piece by piece, with requests in between.
                data=io.BytesIO(body) if body is not None else None,  # type: ignore[arg-type]
                data_length=len(body) if body is not None else None,
                content_sha256=sha256 or EMPTY,
                allow_redirects=False,
            ) as answer:
                if answer.status >= FIRST_ERROR:
                    raise _error_of(answer, await _beginning(answer))
        except TimeoutError:
            raise StoreError(f"no answer within {self._timeout:g} s", "timeout") from None
        except aiohttp.ClientConnectorError as error:
            raise (error.os_error or error) from error
        except aiohttp.ClientError as error:  # its text may hold the URL
            raise StoreError(f"the connection failed: {type(error).__name__}", "connection") from error

    def _open(self) -> S3Client:
        if self._client is None:
            connector = aiohttp.TCPConnector(force_close=not self._keep, ssl=self._tls)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._client = S3Client(self._session, self._url, credentials=self._credentials)
        return self._client

    async def close(self) -> None:
        """Close connections."""
        session, self._session, self._client = self._session, None, None
        if session is not None:
            await session.close()


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


def _url_of(place: S3) -> URL:
    base = URL(place.endpoint or f"https://s3.{place.region}.amazonaws.com")
    if place.in_path:
        return base / place.bucket
    return base.with_host(f"{place.bucket}.{base.host}")


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    while len(found) < MOST_READ and (piece := await answer.content.readany()):
        found += piece
    return bytes(found)


def _error_of(answer: aiohttp.ClientResponse, text: bytes) -> StoreError:
    """Return what an answer means; of its text only the code is told, as the rest repeats what was asked."""
    found = _CODE.search(text)
    code = found[1].decode() if found else ""
    after = answer.headers.get("Retry-After", "")
    reason = f"answered {answer.status}{f' {code}' if code else ''}"
    throttled = answer.status in {429, 503}
    kind = "throttled" if throttled else "server" if answer.status >= 500 else "refused"  # noqa: PLR2004
    return StoreError(reason, kind, float(after) if after.isdigit() and len(after) < 6 else 0.0)  # noqa: PLR2004
