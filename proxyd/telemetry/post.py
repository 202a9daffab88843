"""A POST from a thread: how tracing plugins hand a batch to a collector. Never on the request path."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from proxyd.telemetry.queue import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRY_LATER = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED = 300  # the statuses from here on; a redirect is none that anybody follows


class Post:
    """Posts to ``endpoint``, a full URL. Times in seconds: for the connection, and for each step after it."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], connect_timeout: float, timeout: float
    ) -> None:
        url = urlsplit(endpoint)
        self._host = url.hostname or ""
        self._port = url.port
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._secure = url.scheme == "https"
        self._headers = dict(headers)
        self._connect_timeout = connect_timeout
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<Post {self._host}:{self._port}>"

    def __call__(self, body: bytes) -> None:
        """Deliver a body over a connection of its own; raises DeliveryError."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._connect_timeout)
        try:
            connection.connect()
            connection.sock.settimeout(self._timeout)
            connection.request("POST", self._target, body, self._headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryError(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if status >= _REFUSED:
            raise DeliveryError(f"status {status}", again=status in _TRY_LATER)
