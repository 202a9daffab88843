"""What an indicator is to those who ask for it: it looks, and says what it saw or what is wrong."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.crypto.client import client_context
from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.places import Tls


class DownError(ProxydError):
    """What is looked at is not as it should be. The text says why and holds no secret; ``seen`` is what there is to tell besides."""

    def __init__(self, reason: str, seen: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.seen = dict(seen or {})


class Look(Protocol):
    """One kind of indicator, set up. It is asked by one caller at a time, and cancelled when it takes too long."""

    async def look(self) -> dict[str, Any]:
        """Return what there is to tell where all is well; raises DownError, and whatever a client raises."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a kind may need besides its own configuration.

    ``timeout`` is the seconds that a look may take, ``processes`` are the gateway's own, and ``authorities`` is in PEM who
    is trusted by servers whose record does not say; None: by whom the system trusts.
    """

    timeout: float
    processes: Processes
    authorities: str | None = None


class Processes(Protocol):
    """The processes of this gateway, by name."""

    def resident(self) -> dict[str, int]:
        """Return how many bytes each holds."""

    def lags(self) -> dict[str, float]:
        """Return by how many seconds the loop of each that serves was late at most, lately."""


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return the context that a record asks for; raises TlsError."""
    return client_context(**tls.model_dump())


def reason_of(error: BaseException) -> str:
    """Say what an exception means, without what its text may hold that is not to be shown."""
    if isinstance(error, DownError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or type(error).__name__}"
    if isinstance(error, socket.gaierror):
        return f"its name is not found: {error.strerror}"
    if isinstance(error, OSError) and error.errno:  # its own text may be a client's, with an address in it
        return os.strerror(error.errno).lower()
    return type(error).__name__
