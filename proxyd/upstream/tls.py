"""TLS towards upstreams: contexts made when a configuration is compiled, shared by all that ask for the same.

A context is part of an endpoint's identity. The cache outlives reloads, so that an unchanged service keeps its
context and with it its pooled connections; files are read at each compilation, so that a renewed certificate
under the same path makes a new context.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxyd.errors import ProxydError

if TYPE_CHECKING:
    import asyncio

SYSTEM = "system"  # the trust store of the operating system
PEM_MARK = "-----BEGIN"


class TlsError(ProxydError):
    """TLS material is unusable; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TlsInputs:
    """Everything that a context is made of; certificates are PEM texts.

    ``depth`` is the number of intermediate certificates accepted, None for OpenSSL's limit. With an empty
    ``authorities``, the operating system's trust store decides.
    """

    verify: bool = False
    depth: int | None = None
    authorities: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"TlsInputs(verify={self.verify}, own={bool(self.certificate)})"  # the key is a secret


class UpstreamContext(ssl.SSLContext):
    """A client context that knows how deep a chain may be, which Python's ssl cannot tell OpenSSL."""

    depth: int | None = None


class Contexts:
    """Contexts by what they are made of."""

    def __init__(self) -> None:
        self._contexts: dict[TlsInputs, UpstreamContext] = {}

    def __repr__(self) -> str:
        return f"<Contexts {len(self._contexts)}>"

    def get(self, inputs: TlsInputs) -> UpstreamContext:
        """Return the context for these inputs; raises TlsError."""
        context = self._contexts.get(inputs)
        if context is None:
            context = self._contexts[inputs] = make_context(inputs)
        return context

    def keep(self, used: set[UpstreamContext]) -> None:
        """Forget the contexts that are not among the used."""
        self._contexts = {inputs: context for inputs, context in self._contexts.items() if context in used}


def make_context(inputs: TlsInputs) -> UpstreamContext:
    """Make a context for HTTP/1.1 over TLS 1.2 or later; raises TlsError."""
    context = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.depth = inputs.depth if inputs.verify else None
    if inputs.verify:
        _trust(context, inputs.authorities)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if inputs.certificate:
        try:
            load_chain(context, inputs.certificate, inputs.key)
        except TlsError as error:
            raise TlsError(f"client {error}") from error
    return context


def _trust(context: ssl.SSLContext, authorities: tuple[str, ...]) -> None:
    if not authorities:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    # A named intermediate is trusted as it stands, without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata="\n".join(authorities))
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"CA certificate is not usable: {_reason(error)}") from error


def load_chain(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate chain and its key, both PEM text; raises TlsError."""
    # Python loads a chain from files only; an anonymous one in memory keeps the key off the disk.
    descriptor = os.memfd_create("proxyd-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(f"{key}\n{certificate}\n".encode())
        # Without a password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise TlsError(f"certificate is not usable: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


def read_pem(text_or_path: str) -> str:
    """Return PEM text given as itself or as a path; raises TlsError."""
    if PEM_MARK in text_or_path:
        return text_or_path
    try:
        text = Path(text_or_path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TlsError(f"{text_or_path}: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    if PEM_MARK not in text:
        raise TlsError(f"{text_or_path}: holds no PEM certificate or key")
    return text


def check_connection(context: UpstreamContext, transport: asyncio.BaseTransport) -> str:
    """Say what is wrong with a connection after its handshake; empty for nothing."""
    if context.depth is None:
        return ""
    intermediates = chain_length(transport.get_extra_info("ssl_object")) - 2
    if intermediates > context.depth:
        return f"certificate chain too long: {intermediates} intermediates, {context.depth} accepted"
    return ""


def chain_length(connection: Any) -> int:
    """Count the certificates of the verified chain, leaf and root included."""
    public = getattr(connection, "get_verified_chain", None)  # Python 3.13
    chain = public() if public else connection._sslobj.get_verified_chain()  # noqa: SLF001
    return len(chain or ())
