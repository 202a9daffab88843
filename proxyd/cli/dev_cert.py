"""``proxyd dev-cert``: a certificate authority of one's own, and a certificate for this machine, to develop with."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxyd.cli.output import stdout
from proxyd.crypto.certificate import alternative_names
from proxyd.errors import ProxydError
from proxyd.model.grammar import is_host_name

if TYPE_CHECKING:
    import argparse

CA_DAYS = 3650
DAYS = 397  # the most that browsers take
ALWAYS = ("localhost", "127.0.0.1", "::1")

Key = ec.EllipticCurvePrivateKey


def dev_cert(arguments: argparse.Namespace) -> int:
    """Make what is not there, and renew the certificate."""
    directory = Path(arguments.directory)
    files = Files(directory)
    fresh = arguments.force or not files.any_there()
    authority, key = make_authority() if fresh else files.authority()
    names = arguments.names or (() if fresh else files.names())
    certificate, own_key = issue(authority, key, (*ALWAYS, *names), arguments.days)
    try:
        files.prepare()
        if fresh:
            files.write(files.ca_key, _private(key), 0o600)
            files.write(files.ca, authority.public_bytes(Encoding.PEM), 0o644)
        files.write(files.key, _private(own_key), 0o600)
        files.write(files.cert, certificate.public_bytes(Encoding.PEM), 0o644)
    except OSError as error:
        raise ProxydError(f"{error.filename or directory}: {error.strerror}") from error
    _tell(files, certificate, fresh=fresh)
    return 0


class Files:
    """The files of a directory: the authority with its key, and the certificate with its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.ca_key = directory / "ca.key"
        self.cert = directory / "cert.pem"
        self.key = directory / "cert.key"

    def any_there(self) -> bool:
        """Tell whether something would be overwritten."""
        return any(path.exists() for path in (self.ca, self.ca_key, self.cert, self.key))

    def authority(self) -> tuple[x509.Certificate, Key]:
        """Return the authority that is there; raises ProxydError where the files are not what this command made."""
        try:
            authority = x509.load_pem_x509_certificate(self.ca.read_bytes())
            key = load_pem_private_key(self.ca_key.read_bytes(), None)
            if not isinstance(key, Key) or key.public_key() != authority.public_key():
                raise ValueError("the authority's key is another one's")  # noqa: TRY301  # told below, as the rest is
            if self.cert.exists():
                x509.load_pem_x509_certificate(self.cert.read_bytes()).verify_directly_issued_by(authority)
        except (
            Exception
        ) as error:  # OSError, ValueError, TypeError, InvalidSignature: something else is there
            raise ProxydError(
                f"{self.directory}: holds other certificates, or not all of them; --force overwrites them"
            ) from error
        return authority, key

    def names(self) -> tuple[str, ...]:
        """Return the names that the certificate has beside those that all have."""
        if not self.cert.exists():
            return ()
        certificate = x509.load_pem_x509_certificate(self.cert.read_bytes())
        return tuple(name for name in alternative_names(certificate) if name not in ALWAYS)

    def prepare(self) -> None:
        """Make the directory, and keep it out of version control."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = self.directory / ".gitignore"
        if not ignore.exists():
            self.write(ignore, b"*\n", 0o644)

    def write(self, path: Path, data: bytes, mode: int) -> None:
        """Put a file in its place, whole; nobody else can read a key in between."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        fresh.replace(path)


def make_authority() -> tuple[x509.Certificate, Key]:
    """Make an authority that may sign certificates, and no other authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "proxyd development"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"proxyd dev CA on {socket.gethostname()}"[:64]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def issue(
    authority: x509.Certificate, authority_key: Key, names: tuple[str, ...], days: int
) -> tuple[x509.Certificate, Key]:
    """Make a certificate for host names and addresses, with a key of its own; raises ProxydError."""
    key = ec.generate_private_key(ec.SECP256R1())
    unique = list(dict.fromkeys(names))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxyd dev certificate")])
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, authority.subject, key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in unique]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    return certificate, key


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not is_host_name(name.removeprefix("*.")):
        raise ProxydError(f"'{name}' is no host name and no address")
    return x509.DNSName(name.lower())


def _private(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _tell(files: Files, certificate: x509.Certificate, *, fresh: bool) -> None:
    out = stdout()
    until = certificate.not_valid_after_utc.strftime("%Y-%m-%d")
    out.line(f"{out.style('authority', 'bold')}    {files.ca}{'' if fresh else ' (as it was)'}")
    out.line(f"{out.style('certificate', 'bold')}  {files.cert}, until {until}")
    out.line(f"{out.style('names', 'bold')}        {', '.join(alternative_names(certificate))}")
    out.line(out.style("settings", "bold"))
    out.line("  PROXYD_PROXY_LISTEN='127.0.0.1:8443 ssl'")
    out.line(f"  PROXYD_SSL_CERT={files.cert}")
    out.line(f"  PROXYD_SSL_CERT_KEY={files.key}")
    out.line(out.style("to trust it", "bold"))
    out.line(f"  curl         curl --cacert {files.ca} https://localhost:8443/")
    out.line(f"  Node         NODE_EXTRA_CA_CERTS={files.ca}")
    out.line(f"  Debian       sudo cp {files.ca} /usr/local/share/ca-certificates/proxyd-dev.crt")
    out.line("               sudo update-ca-certificates")
    out.line("  macOS        sudo security add-trusted-cert -d -r trustRoot \\")
    out.line(f"                 -k /Library/Keychains/System.keychain {files.ca}")
    out.line(f"  Firefox      Settings, Certificates, Authorities, Import: {files.ca}")
    if fresh:
        out.line(
            f"whoever has {files.ca_key} can pose as any site to whoever trusts the authority: keep it here"
        )
