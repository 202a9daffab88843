"""Which collections the Admin API has, under which paths, and how they lead to one another.

Names of paths are Kong's (``kong/api/routes/*.lua`` and the ``admin_api_name`` of its entities); everything else follows
from ``model.shapes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxyd.model.shapes import CHILDREN, SHAPES

# collection -> name of its path on its own, and below its parent where that differs
_PATHS: Final = {
    "keyauth_credentials": ("key-auths", "key-auth"),
    "basicauth_credentials": ("basic-auths", "basic-auth"),
    "hmacauth_credentials": ("hmac-auths", "hmac-auth"),
    "jwt_secrets": ("jwts", "jwt"),
    "mtls_auth_credentials": ("mtls-auths", "mtls-auth"),
}

# Kong's names of the fields by which an entity can be named in a path, beside its id.
_KEYS: Final = {
    "consumers": "username",
    "targets": "target",
    "plugins": "instance_name",
    "keyauth_credentials": "",  # its key is a secret
    "jwt_secrets": "key",
    "basicauth_credentials": "username",
    "hmacauth_credentials": "username",
    "acls": "group",
}


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: ``name`` in ``model``, ``path`` in the API, ``key`` the field that names an entity of it."""

    name: str
    path: str
    nested: str
    key: str

    @property
    def noun(self) -> str:
        """What one entity is called: ``service``."""
        return SHAPES[self.name].noun

    @property
    def plural(self) -> str:
        """What several are called."""
        return "names in certificates" if self.name == "mtls_auth_credentials" else f"{self.noun}s"


COLLECTIONS: Final = {
    name: Collection(name, *(_PATHS.get(name) or (name, name)), _KEYS.get(name, shape.name))
    for name, shape in SHAPES.items()
}
BY_PATH: Final = {one.path: one for one in COLLECTIONS.values()}

# Targets are reached by their upstream alone, as in Kong.
TOP: Final = tuple(one for one in COLLECTIONS.values() if one.name != "targets")


def children(parent: str) -> list[tuple[Collection, str]]:
    """Return what may stand below a collection in a path, each with the field that names the parent."""
    return [
        (COLLECTIONS[name], field)
        for name, field in CHILDREN.get(parent, {}).items()
        if field in {"service", "route", "consumer", "upstream", "certificate"}
    ]


def parents(name: str) -> list[tuple[str, Collection]]:
    """Return the fields of an entity that can be followed in a path: ``/routes/r/service``."""
    return [
        (field, COLLECTIONS[parent])
        for field, parent in SHAPES[name].references.items()
        if field in {"service", "route", "consumer", "certificate"}
    ]
