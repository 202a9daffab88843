"""Who may vouch for clients, out of the plugins that want certificates of them; and for servers, out of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from proxyd.crypto.certificate import TlsError, digest, parse_pem, read_pem
from proxyd.downstream.tls import ClientAuthorities
from proxyd.errors import ConfigError, Place, Problem
from proxyd.plugins.mtls_auth import Config, MtlsAuth
from proxyd.upstream.tls import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.model.entities import Configuration, Plugin
    from proxyd.model.load import Loaded
    from proxyd.model.settings import Settings

EVERY_NAME = "*"


def authorities_of(settings: Settings) -> str | None:
    """Return who vouches for servers, in PEM; None: whom the system trusts. Raises ConfigError."""
    if settings.trusted_certificate == SYSTEM:
        return None
    try:
        return read_pem(settings.trusted_certificate)
    except TlsError as error:
        raise ConfigError([Problem(Place("trusted_certificate"), "", str(error))]) from error


def client_authorities(loaded: Loaded) -> ClientAuthorities | None:
    """Return what handshakes need to know of the plugins mtls-auth, None without any; raises ConfigError.

    A certificate is asked for under the server names of the routes on which the plugin runs, and under every name
    where one of those routes has none.
    """
    configuration = loaded.configuration
    names: set[str] = set()
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    partial = False
    for entity, config in _wanting(loaded):
        names.update(_names(configuration, entity))
        partial = partial or config.allow_partial_chain
        for index, identity in enumerate(config.ca_certificates):
            try:
                authority = configuration.ca_certificates[identity]
                texts[identity] = read_pem(authority.cert)
                parse_pem(texts[identity])
            except (KeyError, TlsError) as error:
                place = configuration.places.get(entity.id, Place("plugins"))
                reason = (
                    str(error) if isinstance(error, TlsError) else "there is no CA certificate with this id"
                )
                problems.append(
                    Problem(place, f"plugins[{entity.name}].config.ca_certificates[{index}]", reason)
                )
    if problems:
        raise ConfigError(problems)
    return ClientAuthorities(frozenset(names), tuple(texts.values()), partial) if names else None


def authority_digests(loaded: Loaded) -> dict[str, bytes]:
    """Return the digests of the CA certificates that plugins may ask about, by id; raises ConfigError."""
    if client_authorities(loaded) is None:
        return {}
    digests = {}
    for authority in loaded.configuration.ca_certificates.values():
        try:
            certificate = parse_pem(read_pem(authority.cert))
        except TlsError:
            continue  # it is no plugin's
        digests[authority.id] = digest(certificate.public_bytes(Encoding.DER))
    return digests


def _wanting(loaded: Loaded) -> Iterator[tuple[Plugin, Config]]:
    for entity in loaded.configuration.plugins.values():
        config = loaded.plugin_configs.get(entity.id)
        if entity.name == MtlsAuth.name and entity.enabled and isinstance(config, Config):
            yield entity, config


def _names(configuration: Configuration, entity: Plugin) -> Iterator[str]:
    for route in configuration.routes.values():
        if entity.route in (None, route.id) and entity.service in (None, route.service):
            yield from (name.lower() for name in route.snis or (EVERY_NAME,))
