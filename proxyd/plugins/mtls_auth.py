"""mtls-auth: callers prove themselves by a certificate in the TLS handshake."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication, unauthorized
from proxyd.http1.headers import Block
from proxyd.identity import header_list, header_value, identify
from proxyd.model.grammar import check_uuid

if TYPE_CHECKING:
    from proxyd.crypto.certificate import ClientCertificate
    from proxyd.exchange import Exchange, Reply
    from proxyd.model.entities import Consumer, MTLSAuthCredential

Uuid = Annotated[str, AfterValidator(check_uuid)]

_REMEMBERED = 1024  # certificates whose lines are kept


class Config(authentication.Config):
    """Settings of mtls-auth (Kong Gateway Enterprise's plugin of that name)."""

    ca_certificates: tuple[Uuid, ...] = Field(min_length=1)
    """Ids of the CA certificates that vouch for clients; one of them must be in the verified chain."""
    consumer_by: tuple[Literal["username", "custom_id"], ...] = ("username", "custom_id")
    """What of a consumer the names in a certificate are compared with, after the mtls_auth_credentials; none: nothing."""
    skip_consumer_lookup: bool = False
    """Whether any certificate of these authorities will do, and no consumer is looked for."""
    authenticated_group_by: Literal["CN", "DN"] | None = "CN"
    """Without a consumer: what of the subject is the group that acl sees, the common name or all of it."""
    default_consumer: str | None = Field(None, min_length=1)
    """Id or username of the consumer of certificates whose names are no consumer's."""
    allow_partial_chain: bool = False
    """Whether an intermediate among the ca_certificates is enough, without its root."""
    forward_certificate: bool = False
    """Whether the upstream is told of the certificate: X-Client-Cert-Dn, -San, -Serial and -Fingerprint; not Kong's."""
    revocation_check_mode: Literal["SKIP"] = "SKIP"
    """Whether revoked certificates are looked for: they are not, so SKIP is the one value."""
    send_ca_dn: Literal[False] = False
    """Whether clients are told which authorities count: they are not."""
    cache_ttl: float = 60.0
    """Accepted for Kong's sake: consumers are in memory."""
    cert_cache_ttl: float = 60_000.0
    """Accepted for Kong's sake: a certificate is read once per connection."""
    http_timeout: float = 30_000.0
    """Accepted for Kong's sake: nobody is asked about revocation."""
    http_proxy_host: str | None = None
    """Accepted for Kong's sake."""
    http_proxy_port: int | None = None
    """Accepted for Kong's sake."""

    @field_validator("revocation_check_mode", mode="before")
    @classmethod
    def _no_revocation(cls, value: object) -> object:
        if value in ("IGNORE_CA_ERROR", "STRICT"):
            raise ValueError("revocation is not checked", "SKIP, and certificates that live for days")
        return value

    @field_validator("send_ca_dn", mode="before")
    @classmethod
    def _no_names(cls, value: object) -> object:
        if value is True:
            raise ValueError("Python's ssl cannot send the names of authorities", "leave it out")
        return value


class MtlsAuth(Authentication[Config]):
    """Finds out who calls by the certificate that the handshake has verified."""

    name = "mtls-auth"
    priority = 1600

    def prepare(self) -> None:
        """Look the authorities up; one that is not there vouches for nobody."""
        known = self.kit.authorities
        self._trusted = frozenset(known[one] for one in self.config.ca_certificates if one in known)

    def authenticate(self, exchange: Exchange) -> Reply | None:
        """Look at the connection's certificate: at who vouches for it, and for whom."""
        certificate = exchange.client.certificate
        if certificate is None:
            return unauthorized("No required TLS certificate was sent", "Certificate")
        if self._trusted.isdisjoint(certificate.issuers) or certificate.not_after < self.kit.clock.time():
            return unauthorized("TLS certificate failed verification", "Certificate")
        config = self.config
        if config.skip_consumer_lookup:
            identify(exchange, None)
            exchange.groups = _groups(certificate, config.authenticated_group_by)
        else:
            consumer, credential, name = self._find(certificate)
            if consumer is None:
                return unauthorized("Unauthorized", "Certificate")
            identify(exchange, consumer, credential, credential.id if credential is not None else name)
        if config.forward_certificate:
            exchange.headers.put(_lines(certificate))
        return None

    def _find(
        self, certificate: ClientCertificate
    ) -> tuple[Consumer | None, MTLSAuthCredential | None, str | None]:
        """Find the consumer: first by credentials, then by its own names; alternative names before the common one."""
        consumers = self.kit.consumers
        names = (*certificate.alternative_names, certificate.common_name)
        for name in names:
            for credential in consumers.certificate(name):
                authority = credential.ca_certificate
                if authority is None or self.kit.authorities.get(authority) in certificate.issuers:
                    return consumers.by_id.get(credential.consumer), credential, name
        for name in names:
            for kind in self.config.consumer_by:
                find = consumers.of_username if kind == "username" else consumers.of_custom_id
                consumer = find(name)
                if consumer is not None:
                    return consumer, None, name
        default = self.config.default_consumer
        return consumers.find(default) if default is not None else None, None, None


def _groups(certificate: ClientCertificate, by: str | None) -> tuple[str, ...]:
    group = certificate.subject if by == "DN" else certificate.common_name if by == "CN" else ""
    return (group,) if group else ()


@lru_cache(maxsize=_REMEMBERED)
def _lines(certificate: ClientCertificate) -> Block:
    """Write the lines that tell the upstream of a certificate."""
    return Block.of(
        [
            (b"X-Client-Cert-Dn", header_value(certificate.subject)),
            (b"X-Client-Cert-San", header_list(certificate.alternative_names)),
            (b"X-Client-Cert-Serial", certificate.serial.encode()),
            (b"X-Client-Cert-Fingerprint", certificate.fingerprint.encode()),
        ]
    )
