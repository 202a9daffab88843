"""Asking a gateway's Admin API, at a URL, with a token."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from proxyd.cli.codes import ABSENT, FORBIDDEN, CommandError
from proxyd.cli.listener import UnixConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE: Final = 60.0  # seconds for one answer: a write waits until it runs
VARIABLE: Final = "PROXYD_ADMIN_TOKEN"
_PORTS: Final = {"http": 80, "https": 443}


class Admin:
    """An admin listener: ``http://HOST:PORT``, ``https://HOST:PORT`` or ``unix:PATH``."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._token = token
        parts = urlsplit(self._url)
        self._unix = self._url.removeprefix("unix:") if self._url.startswith("unix:") else ""
        if not self._unix and (parts.scheme not in _PORTS or not parts.hostname or parts.path):
            raise CommandError(f"'{url}' is no address of an Admin API: http://127.0.0.1:8001 is one")
        self._parts = parts

    def __repr__(self) -> str:
        return f"<Admin {self._url}>"

    def __str__(self) -> str:
        """Write its address."""
        return self._url

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the document that is answered; raises CommandError with why something is not done."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        text = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            text = json.dumps(body)
        try:
            connection = self._connection()
            try:
                connection.request(method, path, text, headers)
                answer = connection.getresponse()
                status, data = answer.status, answer.read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandError(f"no Admin API answers at {self._url}: {reason}", ABSENT) from None
        return _read(status, data, self._url)

    def _connection(self) -> http.client.HTTPConnection:
        if self._unix:
            return UnixConnection(self._unix, PATIENCE)
        scheme, host = self._parts.scheme, str(self._parts.hostname)
        port = self._parts.port or _PORTS[scheme]
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=PATIENCE)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)


def _read(status: int, data: bytes, url: str) -> dict[str, Any]:
    if status == http.client.NO_CONTENT:
        return {}
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandError(f"what answers at {url} is no Admin API (status {status})", ABSENT)
    if status < 300:  # noqa: PLR2004
        return document
    message = document.get("message", f"status {status}")
    if status == http.client.UNAUTHORIZED:
        raise CommandError(f"a token is needed, in {VARIABLE} or --token-file: {message}", FORBIDDEN)
    if status == http.client.FORBIDDEN:
        raise CommandError(f"the token's role does not suffice, it takes admin: {message}", FORBIDDEN)
    if status == http.client.METHOD_NOT_ALLOWED:
        raise CommandError(f"{message}: there, the file is the truth, and POST /config replaces it")
    raise CommandError(message)


def token(file: str | None, environ: Mapping[str, str]) -> str:
    """Return the token of a file, or of the environment; raises CommandError."""
    if file is None:
        return environ.get(VARIABLE, "").strip()
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise CommandError(f"{file}: cannot be read: {reason}") from None
