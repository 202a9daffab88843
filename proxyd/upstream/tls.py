"""TLS towards upstreams: contexts made when a configuration is compiled, shared by all that ask for the same.

A context is part of an endpoint's identity. The cache outlives reloads, so that an unchanged service keeps its
context and with it its pooled connections; files are read at each compilation, so that a renewed certificate
under the same path makes a new context.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.crypto.certificate import TlsError, load_chain, trust, verified_chain

if TYPE_CHECKING:
    import asyncio

SYSTEM = "system"  # the trust store of the operating system


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
        if inputs.authorities:
            trust(context, inputs.authorities, partial=True)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if inputs.certificate:
        try:
            load_chain(context, inputs.certificate, inputs.key)
        except TlsError as error:
            raise TlsError(f"client {error}") from error
    return context


def check_connection(context: UpstreamContext, transport: asyncio.BaseTransport) -> str:
    """Say what is wrong with a connection after its handshake; empty for nothing."""
    if context.depth is None:
        return ""
    intermediates = len(verified_chain(transport.get_extra_info("ssl_object"))) - 2
    if intermediates > context.depth:
        return f"certificate chain too long: {intermediates} intermediates, {context.depth} accepted"
    return ""
