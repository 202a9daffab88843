"""What a file may write shorter than the entity has it, and what older formats meant, made explicit.

Each function changes the decoded fields of one entity before they are validated, and returns warnings as
``(field, message)``; it raises ``ShorthandError`` with the field at fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from proxyd.model.grammar import migrate_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEFAULT_PORTS: Final = {
    "http": 80,
    "ws": 80,
    "grpc": 80,
    "https": 443,
    "wss": 443,
    "grpcs": 443,
    "memory": 80,  # which has no ports; this is the field's default
}
_MIGRATED: Final = ("1.1", "2.1")

Fields = dict[str, Any]
Warnings = list[tuple[str, str]]


class ShorthandError(Exception):
    """A short form cannot be read: the field, what is wrong, and what would be right."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.field, self.message, self.hint = field, message, hint


def expand_service(fields: Fields, _version: str) -> Warnings:
    """Take ``url`` apart; as in Kong it wins over protocol, host, port and path."""
    url = fields.pop("url", None)
    if url is None:
        return []
    parts = _split_url(url)
    contradicted = [name for name in parts if name in fields and fields[name] != parts[name]]
    fields.pop("path", None)
    fields.update({name: value for name, value in parts.items() if value is not None})
    return [("url", f"the url wins over {', '.join(contradicted)}")] if contradicted else []


def _split_url(url: object) -> Fields:
    if not isinstance(url, str):
        raise ShorthandError("url", "must be a string")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ShorthandError("url", "not a URL: its host or its port cannot be read") from None
    if not parts.scheme or not parts.hostname:
        raise ShorthandError("url", "must have a scheme and a host", "http://name:port/path")
    if parts.scheme not in _DEFAULT_PORTS:
        raise ShorthandError(
            "url", "must begin with http:// or https://", "TCP and UDP proxying is not supported"
        )
    if parts.scheme == "memory" and port is not None:
        raise ShorthandError("url", "an application in memory has no port", "memory://name/path")
    if parts.username is not None or parts.password is not None:
        raise ShorthandError("url", "must not hold a user name or a password")
    if parts.query or parts.fragment:
        raise ShorthandError("url", "must end with its path: a query or a fragment has no meaning here")
    return {
        "protocol": parts.scheme,
        "host": parts.hostname,
        "port": _DEFAULT_PORTS[parts.scheme] if port is None else port,
        "path": parts.path or None,
    }


def expand_route(fields: Fields, version: str) -> Warnings:
    """Mark the regular expressions among the paths of formats 1.1 and 2.1."""
    paths = fields.get("paths")
    if version in _MIGRATED and isinstance(paths, tuple):
        fields["paths"] = tuple(migrate_path(path) if isinstance(path, str) else path for path in paths)
    return []


def expand_upstream(fields: Fields, _version: str) -> Warnings:
    """Hash consistently once there is something to hash (kong/db/schema/entities/upstreams.lua)."""
    if fields.get("hash_on", "none") != "none" and fields.get("algorithm", "round-robin") == "round-robin":
        fields["algorithm"] = "consistent-hashing"
    return []


EXPANSIONS: Final[Mapping[str, Callable[[Fields, str], Warnings]]] = {
    "services": expand_service,
    "routes": expand_route,
    "upstreams": expand_upstream,
}
