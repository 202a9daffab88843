"""What must hold between the fields of one entity of a file; each raises ``ValueError(message, hint)``.

They are rules for files, not for the classes: what makes entities otherwise (tests, applications) is trusted.
Sources: entity_checks of kong/db/schema/entities/upstreams.lua and routes_subschemas.lua of Kong 3.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyd.crypto.keys import BadKeyError, from_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxyd.model.entities import (
        BasicAuthCredential,
        Consumer,
        JWTSecret,
        KeyAuthCredential,
        Route,
        Upstream,
    )

_NEEDS: Final = {
    "header": "hash_on_header",
    "cookie": "hash_on_cookie",
    "query_arg": "hash_on_query_arg",
    "uri_capture": "hash_on_uri_capture",
}
_FALLBACK_NEEDS: Final = {
    "header": "hash_fallback_header",
    "cookie": "hash_on_cookie",
    "query_arg": "hash_fallback_query_arg",
    "uri_capture": "hash_fallback_uri_capture",
}
_SEVERAL: Final = ("header", "query_arg", "uri_capture")  # of these, one may be the other's fallback


def check_route(route: Route) -> None:
    """Refuse a route that would match everything for want of something to match."""
    usable = ["methods", "hosts", "headers", "paths"]
    if "https" in route.protocols or "wss" in route.protocols:
        usable.append("snis")
    elif "grpc" in route.protocols or "grpcs" in route.protocols:
        usable = ["hosts", "headers", "paths"]
    if not any(getattr(route, name) for name in usable):
        raise ValueError(f"needs at least one of {', '.join(usable)}", "paths: [/] matches every request")


def check_consumer(consumer: Consumer) -> None:
    """Refuse a consumer that nothing can refer to."""
    if consumer.username is None and consumer.custom_id is None:
        raise ValueError("needs a username or a custom_id")


def check_upstream(upstream: Upstream) -> None:
    """Refuse hash fields that contradict one another or lack what they hash."""
    kind, fallback = upstream.hash_on, upstream.hash_fallback
    for field, value, needs in (("hash_on", kind, _NEEDS), ("hash_fallback", fallback, _FALLBACK_NEEDS)):
        if value in needs and not getattr(upstream, needs[value]):
            raise ValueError(f"{field}: {value} needs {needs[value]}")
    if fallback == "none":
        return
    if kind in ("none", "cookie"):
        raise ValueError(f"hash_fallback has no use beside hash_on: {kind}", "hash_fallback: none")
    if kind == fallback:
        if kind not in _SEVERAL:
            raise ValueError("hash_fallback must differ from hash_on")
        if getattr(upstream, _NEEDS[kind]) == getattr(upstream, _FALLBACK_NEEDS[kind]):
            raise ValueError(f"{_FALLBACK_NEEDS[kind]} must differ from {_NEEDS[kind]}")


def check_jwt_secret(secret: JWTSecret) -> None:
    """Refuse a public key that could verify nothing with the algorithm."""
    if secret.algorithm.startswith("HS"):
        return
    if not secret.rsa_public_key:
        raise ValueError(f"algorithm {secret.algorithm} needs rsa_public_key")
    try:
        from_pem(secret.rsa_public_key, secret.algorithm)
    except BadKeyError as error:
        raise ValueError(f"rsa_public_key {error}") from None


def check_key(credential: KeyAuthCredential) -> None:
    """Refuse a credential that has no key, or two."""
    if (credential.key is None) == (credential.hash is None):
        raise ValueError("needs a key, or a hash in its place", "proxyd keys create makes a key and its hash")
    if credential.key_id is not None and credential.hash is None:
        raise ValueError("key_id has no use beside key", "leave it out")


def check_password(credential: BasicAuthCredential) -> None:
    """Refuse a credential that has no password, or two."""
    if (credential.password is None) == (credential.hash is None):
        raise ValueError("needs a password, or a hash in its place")


RULES: Final[Mapping[str, Callable[[Any], None]]] = {
    "routes": check_route,
    "consumers": check_consumer,
    "upstreams": check_upstream,
    "jwt_secrets": check_jwt_secret,
    "keyauth_credentials": check_key,
    "basicauth_credentials": check_password,
}
