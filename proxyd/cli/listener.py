"""Asking a gateway's status listener, at the address that the configuration or the command line says."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.cli.codes import ABSENT, CommandError

if TYPE_CHECKING:
    from proxyd.model.listen import Listen

PATIENCE = 5.0  # seconds for one answer
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to find what listens everywhere


class StatusListener:
    """The first entry of ``status_listen``."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen

    def __repr__(self) -> str:
        return f"<StatusListener {self._listen}>"

    def __str__(self) -> str:
        """Write the address as the settings do."""
        return str(self._listen)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body; raises OSError."""
        connection = self._connection()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP: {error!r}") from error
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """Return what ``/status`` says; raises CommandError where nobody answers."""
        try:
            code, body = self.get("/status")
            document = orjson.loads(body) if code == http.client.OK else None
        except OSError as error:
            reason = error.strerror or str(error)
            raise CommandError(f"no gateway answers on {self._listen}: {reason}", ABSENT) from error
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict) or "generation" not in document:
            raise CommandError(f"what answers on {self._listen} is no proxyd", ABSENT)
        return document

    def _connection(self) -> http.client.HTTPConnection:
        listen = self._listen
        if listen.path is not None:
            return UnixConnection(listen.path)
        host = _ANY.get(listen.host, listen.host)
        if not listen.ssl:
            return http.client.HTTPConnection(host, listen.port, timeout=PATIENCE)
        context = ssl.create_default_context()
        # It is this machine, and its certificate is made out to another name, or to none.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, listen.port, timeout=PATIENCE, context=context)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
