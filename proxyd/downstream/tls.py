"""TLS towards clients: which certificate is shown for which server name.

The context that listeners are given never changes; it asks a ``Certificates`` table for each handshake, so that
a reload changes certificates without touching a listener.
"""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxyd.errors import ConfigError, Place, Problem
from proxyd.upstream.tls import TlsError, load_chain, read_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.model.entities import Configuration
    from proxyd.model.settings import Settings

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
# Mozilla's "intermediate" suites for TLS 1.2; those of 1.3 are all sound.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
SELF_SIGNED_DAYS = 365


class Certificates:
    """The contexts of one generation: exact names, wildcards, and what is shown where no name fits."""

    def __init__(self, default: ssl.SSLContext, named: Mapping[str, ssl.SSLContext]) -> None:
        self._default = default
        self._named = dict(named)

    def __repr__(self) -> str:
        return f"<Certificates {sorted(self._named)}>"

    def find(self, name: str) -> ssl.SSLContext:
        """Return the context for a server name: exact before ``*.suffix`` before ``prefix.*`` before ``*``."""
        name = name.lower()
        exact = self._named.get(name)
        if exact is not None:
            return exact
        _, _, suffix = name.partition(".")
        prefix, _, _ = name.rpartition(".")
        for pattern in (f"*.{suffix}", f"{prefix}.*", "*"):
            found = self._named.get(pattern)
            if found is not None:
                return found
        return self._default


class TlsFront:
    """The context for listeners, and the table that it asks; assign ``certificates`` to change them."""

    def __init__(self, certificates: Certificates, protocols: tuple[str, ...]) -> None:
        self.certificates = certificates
        self.context = _context(protocols)
        load_chain(self.context, *_self_signed())  # replaced in every handshake by what the table says
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self.certificates.find(name or "")
        connection.requested_server_name = (name or "").lower()  # type: ignore[attr-defined]  # for routes' snis


def build_certificates(configuration: Configuration, settings: Settings) -> Certificates:
    """Load the certificates of the file and of ``ssl_cert``; raises ConfigError with every one that fails."""
    problems: list[Problem] = []
    named: dict[str, ssl.SSLContext] = {}
    contexts: dict[str, ssl.SSLContext] = {}
    for entity in configuration.certificates.values():
        pairs = [(entity.cert, entity.key)]
        if entity.cert_alt and entity.key_alt:
            pairs.append((entity.cert_alt, entity.key_alt))
        try:
            contexts[entity.id] = _loaded(pairs, settings.ssl_protocols)
        except TlsError as error:
            place = configuration.places.get(entity.id, Place("certificates"))
            problems.append(Problem(place, f"certificates[{entity.id}]", str(error)))
    for sni in configuration.snis.values():
        if sni.certificate in contexts:
            named[sni.name.lower()] = contexts[sni.certificate]
    default: list[tuple[str, str]] = []
    if len(settings.ssl_cert) != len(settings.ssl_cert_key):
        problems.append(Problem(Place("ssl_cert"), "", "needs as many keys in ssl_cert_key"))
    else:
        default = list(zip(settings.ssl_cert, settings.ssl_cert_key, strict=True))
    try:
        fallback = _loaded(default or [_self_signed()], settings.ssl_protocols)
    except TlsError as error:
        problems.append(Problem(Place("ssl_cert"), "", str(error)))
    if problems:
        raise ConfigError(problems)
    return Certificates(fallback, named)


def _context(protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    versions = [_VERSIONS[name] for name in protocols]
    context.minimum_version = min(versions)
    context.maximum_version = max(versions)
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _loaded(pairs: list[tuple[str, str]], protocols: tuple[str, ...]) -> ssl.SSLContext:
    context = _context(protocols)
    for certificate, key in pairs:
        load_chain(context, read_pem(certificate), read_pem(key))
    return context


def _self_signed() -> tuple[str, str]:
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
