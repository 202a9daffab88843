"""Which certificate is shown for which server name: one generation of them, made out of a configuration."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxyd.crypto.certificate import TlsError, is_path, read_pem
from proxyd.downstream.tls import ClientAuthorities, Policy, ServerContext, make_context
from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.entities import Configuration
    from proxyd.model.settings import Settings

SELF_SIGNED_DAYS = 365


class Certificates:
    """The contexts of one generation: exact names, wildcards, and what is shown where no name fits.

    ``contexts`` are all of them by what they are made of: the next generation takes over those that stay the
    same, and with them the sessions of clients.
    """

    def __init__(
        self,
        default: _Shown,
        named: Mapping[str, _Shown],
        asked: frozenset[str],
        contexts: Mapping[bytes, ServerContext],
    ) -> None:
        self.contexts = contexts
        self._default = default
        self._named = dict(named)
        self._asked = asked

    def __repr__(self) -> str:
        return f"<Certificates {sorted(self._named)} asks={sorted(self._asked)}>"

    def find(self, name: str) -> ServerContext:
        """Return the context for a server name: exact before ``*.suffix`` before ``prefix.*`` before ``*``."""
        shown = self._default
        for pattern in patterns(name):
            if pattern in self._named:
                shown = self._named[pattern]
                break
        if shown.asking is not None and not self._asked.isdisjoint(patterns(name)):
            return shown.asking
        return shown.plain


def patterns(name: str) -> tuple[str, str, str, str]:
    """Return what may stand for a server name, the most exact first."""
    name = name.lower()
    return name, f"*.{name.partition('.')[2]}", f"{name.rpartition('.')[0]}.*", "*"


class _Shown:
    """What is shown for a name: to clients in general, and with the request for a certificate of theirs."""

    __slots__ = ("asking", "plain")

    def __init__(self, plain: ServerContext, asking: ServerContext | None) -> None:
        self.plain = plain
        self.asking = asking


def build_certificates(
    configuration: Configuration,
    settings: Settings,
    clients: ClientAuthorities | None = None,
    before: Certificates | None = None,
) -> Certificates:
    """Load the certificates of the file and of ``ssl_cert``; raises ConfigError with every one that fails."""
    return _Builder(configuration, settings, clients, before).build()


class _Builder:
    """Builds one generation, and collects what is wrong with it."""

    def __init__(
        self,
        configuration: Configuration,
        settings: Settings,
        clients: ClientAuthorities | None,
        before: Certificates | None,
    ) -> None:
        self._configuration = configuration
        self._settings = settings
        self._policy = Policy.of(settings)
        self._clients = clients
        self._before = before.contexts if before is not None else {}
        self._contexts: dict[bytes, ServerContext] = {}
        self._problems: list[Problem] = []

    def build(self) -> Certificates:
        self._check_policy()
        shown: dict[str, _Shown] = {}
        for entity in self._configuration.certificates.values():
            pairs = [(entity.cert, entity.key)]
            if entity.cert_alt and entity.key_alt:
                pairs.append((entity.cert_alt, entity.key_alt))
            try:
                shown[entity.id] = self._shown(pairs)
            except TlsError as error:
                place = self._configuration.places.get(entity.id, Place("certificates"))
                self._problems.append(Problem(place, f"certificates[{entity.id}]", str(error)))
        default = self._default()
        if self._problems or default is None:
            raise ConfigError(self._problems)
        named = {
            sni.name.lower(): shown[sni.certificate]
            for sni in self._configuration.snis.values()
            if sni.certificate in shown
        }
        asked = self._clients.names if self._clients is not None else frozenset()
        return Certificates(default, named, asked, self._contexts)

    def _check_policy(self) -> None:
        try:
            make_context(self._policy, ())
        except ssl.SSLError:
            problem = Problem(Place("ssl_ciphers"), "", "OpenSSL knows none of these suites")
            raise ConfigError([problem]) from None

    def _default(self) -> _Shown | None:
        settings = self._settings
        if len(settings.ssl_cert) != len(settings.ssl_cert_key):
            self._problems.append(Problem(Place("ssl_cert"), "", "needs as many keys in ssl_cert_key"))
            return None
        try:
            return self._shown(list(zip(settings.ssl_cert, settings.ssl_cert_key, strict=True)))
        except TlsError as error:
            self._problems.append(Problem(Place("ssl_cert"), "", str(error)))
            return None

    def _shown(self, given: list[tuple[str, str]]) -> _Shown:
        """Return the contexts that show these pairs, texts or paths; a certificate of our own where there are none."""
        pairs = [(read_pem(certificate), read_pem(key)) for certificate, key in given]
        try:
            plain = self._context(pairs, None)
            return _Shown(plain, self._context(pairs, self._clients) if self._clients is not None else None)
        except TlsError as error:
            paths = " and ".join(text for pair in given for text in pair if is_path(text))
            raise TlsError(f"{paths}: {error}" if paths else str(error)) from error

    def _context(self, pairs: list[tuple[str, str]], clients: ClientAuthorities | None) -> ServerContext:
        # Keys are hashed, not kept.
        trusted = (clients.certificates, clients.partial) if clients is not None else ()
        key = hashlib.sha256(repr((self._policy, pairs, trusted)).encode()).digest()
        context = self._contexts.get(key) or self._before.get(key)
        if context is None:
            context = make_context(self._policy, pairs or [self_signed()], clients)
        self._contexts[key] = context
        return context


def self_signed() -> tuple[str, str]:
    """Make a certificate for localhost, as Kong does where a TLS listener has none; nobody should trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
