"""TLS towards clients: what a handshake is made with, and what it leaves.

Listeners are given one context that never changes. For each connection it reads the server name, asks the
``Certificates`` of the present generation which context that name has, and lets it do the handshake: a reload
changes certificates without touching a listener or a connection.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from proxyd.crypto.certificate import ClientCertificate, digest, load_chain, trust, verified_chain
from proxyd.downstream.hello import HelloReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.downstream.certificates import Certificates
    from proxyd.model.settings import Settings

MAX_REMEMBERED = 4096  # client certificates whose chains are known when their sessions are taken up again

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
# Mozilla's suites for TLS 1.2, without those of finite-field Diffie-Hellman; those of 1.3 are all sound.
_INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_OLD = (
    f"{_INTERMEDIATE}:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:"
    "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA"
)
_SUITES = {"modern": _INTERMEDIATE, "intermediate": _INTERMEDIATE, "old": _OLD}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is offered to clients, whatever the certificate."""

    protocols: tuple[str, ...]
    ciphers: str
    prefer_own: bool
    tickets: bool

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Take it from the settings."""
        suite = settings.ssl_cipher_suite
        return cls(
            ("TLSv1.3",) if suite == "modern" else settings.ssl_protocols,
            _SUITES.get(suite, settings.ssl_ciphers),
            settings.ssl_prefer_server_ciphers,
            settings.ssl_session_tickets,
        )


@dataclass(frozen=True, slots=True)
class ClientAuthorities:
    """Who may vouch for clients, PEM texts, and under which server names a certificate is asked for.

    Names are patterns as certificates have them; ``*`` is every name and none. With ``partial``, an
    intermediate is believed without its root.
    """

    names: frozenset[str] = frozenset()
    certificates: tuple[str, ...] = ()
    partial: bool = False


class ServerContext(ssl.SSLContext):
    """A context for handshakes with clients; ``asks`` tells whether they are asked for a certificate.

    ``known`` says by whom a client certificate was vouched for, by its digest, the oldest first: a session that is
    taken up again has the certificate with it, and not the chain.
    """

    asks: bool
    known: dict[bytes, frozenset[bytes]]

    def remember(self, leaf: bytes, issuers: frozenset[bytes]) -> None:
        """Keep by whom a certificate, by its digest, has just been vouched for."""
        self.known.pop(leaf, None)
        self.known[leaf] = issuers
        if len(self.known) > MAX_REMEMBERED:
            del self.known[next(iter(self.known))]

    def recall(self, leaf: bytes) -> frozenset[bytes]:
        """Return by whom it was vouched for in this context; nobody where that is forgotten."""
        return self.known.get(leaf, frozenset())


def make_context(
    policy: Policy, pairs: Iterable[tuple[str, str]], clients: ClientAuthorities | None = None
) -> ServerContext:
    """Make a context that shows these certificates, pairs of PEM texts; raises TlsError.

    With ``clients``, it asks for a certificate, and fails the handshake of a client that sends one that does
    not lead to them. One that sends none gets in: whether it may stay is for the route's plugins to say.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.asks = clients is not None
    context.known = {}
    versions = [_VERSIONS[name] for name in policy.protocols]
    context.minimum_version = min(versions)
    context.maximum_version = max(versions)
    context.set_ciphers(policy.ciphers)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if policy.prefer_own:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if not policy.tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    for certificate, key in pairs:
        load_chain(context, certificate, key)
    if clients is not None:
        trust(context, clients.certificates, partial=clients.partial)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class TlsFront:
    """The context for listeners, and what it asks; assign ``certificates`` to change them.

    ``failures`` counts handshakes that failed, by what OpenSSL did not like; ``handshakes`` are under way.
    """

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.failures: dict[str, int] = {}
        self.handshakes: WeakSet[Handshake] = WeakSet()
        self.context = ListenerContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.front = self

    def __repr__(self) -> str:
        return f"<TlsFront {self.certificates!r} failures={sum(self.failures.values())}>"

    def failed(self, error: ssl.SSLError) -> None:
        """Count a handshake that failed."""
        words = (error.reason or "unknown").replace("_", " ").lower()
        self.failures[words] = self.failures.get(words, 0) + 1


class ListenerContext(ssl.SSLContext):
    """What a listener is given: it has nothing of its own, and begins each handshake by reading the name."""

    front: TlsFront

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *_: Any, **_options: Any) -> Any:
        """Make what event loops take for an ``ssl.SSLObject``."""
        return Handshake(self.front, incoming, outgoing)


class Handshake:
    """Stands in for an ``ssl.SSLObject``: it is one, as soon as the ClientHello has told which."""

    __slots__ = (
        "__weakref__",
        "_context",
        "_front",
        "_hello",
        "_incoming",
        "_object",
        "_outgoing",
        "requested_server_name",
    )

    def __init__(self, front: TlsFront, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.requested_server_name = ""
        self._front = front
        self._hello = HelloReader()
        self._incoming = incoming
        self._outgoing = outgoing
        self._context: ServerContext | None = None
        self._object: Any = None
        front.handshakes.add(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._object, name)

    def do_handshake(self) -> None:
        """Go on with the handshake; raises SSLWantReadError for more bytes, as ``ssl`` does."""
        if self._object is None:
            self._begin()
        try:
            self._object.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._front.handshakes.discard(self)
            self._front.failed(error)
            raise
        self._front.handshakes.discard(self)

    def _begin(self) -> None:
        received = self._incoming.read()
        self._incoming.write(received)
        name = self._hello.name(received)
        if name is None:
            raise ssl.SSLWantReadError
        self.requested_server_name = name
        self._context = context = self._front.certificates.find(name)
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def read(self, *arguments: Any) -> Any:
        """Read decrypted bytes; event loops keep this method from before the handshake."""
        return self._object.read(*arguments)

    def write(self, data: Any) -> Any:
        """Encrypt bytes; the same."""
        return self._object.write(data)

    def pending(self) -> int:
        """Count decrypted bytes that are yet to be read; the same."""
        return int(self._object.pending())

    def client_certificate(self) -> ClientCertificate | None:
        """Return what the client has proved to hold; None where it was not asked, or had nothing to show."""
        context = self._context
        if context is None or not context.asks:
            return None
        leaf = self._object.getpeercert(binary_form=True)
        if leaf is None:
            return None
        known = digest(leaf)
        chain = verified_chain(self._object)
        if chain:
            issuers = frozenset(digest(one) for one in chain[1:])
            context.remember(known, issuers)
        else:
            issuers = context.recall(known)
        return ClientCertificate.parse(leaf, issuers)
