"""What clients say in connection_init: credentials that become headers, and what of it the backend is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxyd.http1.headers import is_field_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.http1.headers import Headers

MAX_CREDENTIAL = 8192  # bytes of one, as of a header's


class Credentials:
    """Which fields of a payload become headers."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = [(path.lower().split("."), header.encode()) for path, header in paths.items()]

    def __repr__(self) -> str:
        return f"<Credentials {len(self._paths)}>"

    def put(self, payload: Mapping[str, Any] | None, headers: Headers) -> bool:
        """Replace headers by what the payload says; false where something in it cannot be a header."""
        try:
            found = {
                header: value for path, header in self._paths if (value := _at(payload, path)) is not None
            }
        except Ambiguous:
            return False
        for header, value in found.items():
            text = value.encode("utf-8", "surrogatepass")
            if not is_field_value(text) or len(text) > MAX_CREDENTIAL:
                return False
            headers.set(header, text.strip())
        return True


class Ambiguous(Exception):  # noqa: N818  # the payload is at fault, nothing broke
    """A name is there twice, in different cases: the backend, which is told both, might take the other."""


def _at(value: Any, path: list[str]) -> str | None:
    """Follow a path of names in lower case to a text, whatever the case of the names there; raises Ambiguous."""
    for name in path:
        if not isinstance(value, dict):
            return None
        named = [value[one] for one in value if one.lower() == name]
        if len(named) > 1:
            raise Ambiguous
        value = named[0] if named else None
    return value if isinstance(value, str) and value else None


def passed_on(payload: Mapping[str, Any] | None, settings: Subscriptions) -> bytes:
    """Return what the backend is told of a payload, empty for nothing."""
    if payload is None or settings.init_payload == "drop":
        return b""
    if settings.init_payload == "listed":
        payload = {name: payload[name] for name in settings.init_fields if name in payload}
    return orjson.dumps(payload)
