"""X.509 as the gateway needs it: PEM in, contexts loaded, and what a certificate says of itself.

Certificates and keys are texts or paths wherever a configuration gives them; what is wrong with one is a
``TlsError`` that names the path, and never shows a key.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from collections.abc import Iterable

PEM_MARK = "-----BEGIN"
_DER = 2  # _ssl.ENCODING_DER


class TlsError(ProxydError):
    """TLS material is unusable; the text says which and why."""


def is_path(text_or_path: str) -> bool:
    """Tell whether PEM text is given as a path."""
    return bool(text_or_path) and PEM_MARK not in text_or_path


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
        raise TlsError(f"certificate is not usable: {reason(error)}") from error
    finally:
        os.close(descriptor)


def trust(context: ssl.SSLContext, authorities: Iterable[str], *, partial: bool) -> None:
    """Have a context believe these CA certificates, PEM text; raises TlsError.

    With ``partial``, a named intermediate is believed as it stands, without its root.
    """
    if partial:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata="\n".join(authorities))
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"CA certificate is not usable: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Say in words what OpenSSL did not like."""
    words = getattr(error, "reason", None)
    if words == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    return str(words).replace("_", " ").lower() if words else str(error)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says: its names, and when it is valid, in seconds since the epoch."""

    names: tuple[str, ...]
    not_before: float
    not_after: float

    @property
    def label(self) -> str:
        """The first of the names."""
        return self.names[0] if self.names else ""


def read_facts(pem: str) -> Facts:
    """Return the facts of the first certificate in a PEM text; raises TlsError."""
    certificate = parse_pem(pem)
    return Facts(
        (*alternative_names(certificate), *common_names(certificate)),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def parse_pem(pem: str) -> x509.Certificate:
    """Return the first certificate in a PEM text; raises TlsError."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise TlsError("certificate is not usable: it cannot be read") from error


def digest(der: bytes) -> bytes:
    """Return what a certificate is known by: the SHA-256 of its DER form, 32 bytes."""
    return hashlib.sha256(der).digest()


def verified_chain(connection: Any) -> list[bytes]:
    """Return the chain that a handshake has verified, in DER, leaf first; empty for a session taken up again."""
    public = getattr(connection, "get_verified_chain", None)  # Python 3.13
    if public is not None:
        return list(public() or ())
    chain = connection._sslobj.get_verified_chain() or ()  # noqa: SLF001
    return [certificate.public_bytes(_DER) for certificate in chain]


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return its subject alternative names of those kinds that are texts, in their order; () where unreadable."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    names = (name.value for name in extension.value if not isinstance(name, x509.OtherName))
    return tuple(name.rfc4514_string() if isinstance(name, x509.Name) else str(name) for name in names)


def common_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the common names of its subject."""
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(str(attribute.value) for attribute in attributes)


@dataclass(frozen=True, slots=True, eq=False)
class ClientCertificate:
    """What a client has proved to hold: parsed once per connection, after the handshake has verified it.

    ``subject`` is written as RFC 4514 has it, the most special part first; ``issuers`` are the digests of the
    certificates above it, up to one that is trusted; times are seconds since the epoch.
    """

    subject: str
    common_name: str
    alternative_names: tuple[str, ...]
    serial: str
    fingerprint: str
    not_after: float
    issuers: frozenset[bytes]

    @classmethod
    def parse(cls, der: bytes, issuers: frozenset[bytes]) -> ClientCertificate | None:
        """Read a certificate; None where its content makes no sense, whoever signed it."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            names = common_names(certificate)
            return cls(
                certificate.subject.rfc4514_string(),
                names[-1] if names else "",
                alternative_names(certificate),
                f"{certificate.serial_number:x}",
                digest(der).hex(),
                certificate.not_valid_after_utc.timestamp(),
                issuers,
            )
        except ValueError:
            return None
