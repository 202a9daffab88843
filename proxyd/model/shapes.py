"""The shape of the file: its collections, how entities refer to one another, and what else may stand there.

Everything about the format that is a table is a table here; ``decode`` walks the file by it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxyd.model import entities

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMATS: Final = ("1.1", "2.1", "3.0")


@dataclass(frozen=True, slots=True)
class Shape:
    """One collection.

    ``references`` leads from fields to the collections whose entities they name. ``name`` is the field that
    others refer to it by. Each of ``unique`` is a set of fields that no two entities may share. ``identity`` are
    the fields that an absent id is derived from; without any, it is derived from all that may be shown.
    ``hidden`` fields are secret.
    """

    entity: type[entities.Stored]
    noun: str
    references: Mapping[str, str]
    name: str = ""
    unique: tuple[tuple[str, ...], ...] = ()
    identity: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()


_CONSUMER: Final = {"consumer": "consumers"}

SHAPES: Final[Mapping[str, Shape]] = {
    "services": Shape(
        entities.Service,
        "service",
        {"client_certificate": "certificates"},
        "name",
        unique=(("name",),),
        identity=("name",),
    ),
    "routes": Shape(entities.Route, "route", {"service": "services"}, "name", (("name",),), ("name",)),
    "consumers": Shape(
        entities.Consumer,
        "consumer",
        {},
        "username",
        unique=(("username",), ("custom_id",)),
        identity=("username",),
    ),
    "plugins": Shape(
        entities.Plugin,
        "plugin",
        {"service": "services", "route": "routes", "consumer": "consumers"},
        unique=(("instance_name",), ("name", "service", "route", "consumer")),
        identity=("name", "service", "route", "consumer"),
        hidden=frozenset({"config"}),
    ),
    "upstreams": Shape(
        entities.Upstream,
        "upstream",
        {"client_certificate": "certificates"},
        "name",
        unique=(("name",),),
        identity=("name",),
    ),
    "targets": Shape(
        entities.Target,
        "target",
        {"upstream": "upstreams"},
        unique=(("target", "upstream"),),
        identity=("target", "upstream"),
    ),
    "certificates": Shape(entities.Certificate, "certificate", {}, hidden=frozenset({"key", "key_alt"})),
    "ca_certificates": Shape(entities.CACertificate, "CA certificate", {}),
    "snis": Shape(entities.SNI, "SNI", {"certificate": "certificates"}, "name", (("name",),), ("name",)),
    "keyauth_credentials": Shape(
        entities.KeyAuthCredential,
        "key",
        _CONSUMER,
        unique=(("key",), ("hash",), ("key_id",)),
        identity=("key_id",),
        hidden=frozenset({"key", "hash"}),
    ),
    "basicauth_credentials": Shape(
        entities.BasicAuthCredential,
        "credential",
        _CONSUMER,
        unique=(("username",),),
        identity=("username",),
        hidden=frozenset({"password", "hash"}),
    ),
    "hmacauth_credentials": Shape(
        entities.HMACAuthCredential,
        "credential",
        _CONSUMER,
        unique=(("username",),),
        identity=("username",),
        hidden=frozenset({"secret"}),
    ),
    "jwt_secrets": Shape(
        entities.JWTSecret,
        "JWT secret",
        _CONSUMER,
        unique=(("key",),),
        identity=("key",),
        hidden=frozenset({"secret"}),
    ),
    "mtls_auth_credentials": Shape(
        entities.MTLSAuthCredential,
        "name in certificates",
        {**_CONSUMER, "ca_certificate": "ca_certificates"},
        unique=(("subject_name", "ca_certificate"),),
        identity=("subject_name", "ca_certificate"),
    ),
    "acls": Shape(
        entities.ACL,
        "group",
        _CONSUMER,
        unique=(("group", "consumer"),),
        identity=("group", "consumer"),
    ),
}


def _children() -> dict[str, dict[str, str]]:
    nested: dict[str, dict[str, str]] = defaultdict(dict)
    for collection, shape in SHAPES.items():
        for field, parent in shape.references.items():
            nested[parent][collection] = field
    return nested


# parent collection -> collection that may be nested in it -> field of the child that the nesting fills
CHILDREN: Final[Mapping[str, Mapping[str, str]]] = _children()

# Allowed in every entity, and without effect.
IGNORED_FIELDS: Final = frozenset({"_comment", "_ignore", "created_at", "updated_at"})

# Top-level keys that are no entities: those read elsewhere, and those of other tools, ignored with a warning.
OWN_KEYS: Final = frozenset({"_format_version", "_transform", "_comment", "_ignore", "proxyd", "vaults"})
FOREIGN_KEYS: Final = frozenset({"_konnect", "_info", "_workspace"})

_NO_GROUPS: Final = "consumer groups are not supported: what is limited to one would apply to everybody"
_NO_STREAM: Final = "TCP and UDP proxying is not supported"
_NO_EXPRESSIONS: Final = "the expressions router is not supported: use hosts, paths, methods and headers"
_NO_FILTERS: Final = "WebAssembly filters are not run, and one of them may be a lock"

# Kong's collections that are not served. What grants access may be ignored, for then nobody is let in; what
# restricts it may not.
REFUSED_COLLECTIONS: Final = {
    "consumer_groups": _NO_GROUPS,
    "consumer_group_consumers": _NO_GROUPS,
    "consumer_group_plugins": _NO_GROUPS,
    "groups": _NO_GROUPS,
    "filter_chains": _NO_FILTERS,
}
UNUSED_COLLECTIONS: Final = frozenset(
    {
        "keys",
        "key_sets",
        "oauth2_credentials",
        "oauth2_tokens",
        "acme_storage",
        "sessions",
    },
)

# Kong's fields that are not served: fine while empty, an error with its reason otherwise.
REFUSED_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "routes": {
        "sources": _NO_STREAM,
        "destinations": _NO_STREAM,
        "expression": _NO_EXPRESSIONS,
        "priority": _NO_EXPRESSIONS,
    },
    "plugins": {
        "ordering": "plugins run in the order of their priorities, and that order is fixed",
        "consumer_group": _NO_GROUPS,
        "condition": "conditions are not evaluated",
        "_config": "decK's shared plugin configurations are not read: use a YAML anchor under _ignore",
    },
    "services": {"tls_sans": "alternative names are not checked: the host name is"},
}
