"""What a load does not look at and a start would trip over: what is no certificate, and what is not there.

An entity that nobody can run would keep all that is written after it from running.
"""

from __future__ import annotations

import ssl
from itertools import chain
from typing import TYPE_CHECKING

from proxyd.crypto.certificate import TlsError, load_chain, parse_pem, read_pem
from proxyd.errors import ConfigError, Place, Problem
from proxyd.model.document import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxyd.model.load import Loaded


def refuse_unusable(loaded: Loaded, name: str = DATABASE) -> None:
    """Raise ConfigError with everything in a configuration, which problems call ``name``, that no worker could use."""
    problems = [
        Problem(Place(name), path, reason) for path, reason in chain(_unusable(loaded), _nowhere(loaded))
    ]
    if problems:
        raise ConfigError(problems)


def _unusable(loaded: Loaded) -> Iterator[tuple[str, str]]:
    configuration = loaded.configuration
    for one in configuration.certificates.values():
        for field, cert, key in (("cert", one.cert, one.key), ("cert_alt", one.cert_alt, one.key_alt)):
            if cert and key and (reason := _of_pair(cert, key)):
                yield f"certificates/{one.id}.{field}", reason
    for authority in configuration.ca_certificates.values():
        try:
            parse_pem(read_pem(authority.cert))
        except TlsError as error:
            yield f"ca_certificates/{authority.id}.cert", str(error)
    for identity, config in loaded.plugin_configs.items():
        for index, wanted in enumerate(getattr(config, "ca_certificates", None) or ()):
            if wanted not in configuration.ca_certificates:
                path = f"plugins/{identity}.config.ca_certificates[{index}]"
                yield path, "there is no CA certificate with this id"


def _nowhere(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Yield what leads to no backend."""
    configuration = loaded.configuration
    for service in configuration.services.values():
        if service.protocol == "memory" and service.host not in loaded.settings.apps:
            yield (
                f"services/{service.id}.host",
                "no application is mounted under this name: proxyd.apps has them",
            )
    for plugin in configuration.plugins.values():
        source = getattr(loaded.plugin_configs.get(plugin.id), "schema_from", None)
        asks = getattr(source, "introspection", None) is not None
        if asks and plugin.enabled and plugin.service is None and plugin.route is None:
            path = f"plugins/{plugin.id}.config.schema_from.introspection"
            yield path, "there is no backend to ask: put the plugin on a service or a route"


def _of_pair(cert: str, key: str) -> str:
    try:
        load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), read_pem(cert), read_pem(key))
    except TlsError as error:
        return str(error)
    return ""
