"""API keys as lists show them: whose, what for, until when, when they were last used, and nothing secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from proxyd.model import units

if TYPE_CHECKING:
    from collections.abc import Mapping


def described(
    identity: str,
    credential: Mapping[str, Any],
    consumer: Mapping[str, Any] | None,
    now: float,
    *,
    created_at: float | None = None,
    last_used: float | None = None,
) -> dict[str, Any]:
    """Return what is told of a credential, a document as the file has it; times are seconds since the epoch.

    ``kind`` is ``issued`` for keys of proxyd's making, ``hashed`` for others that are kept as hashes, and ``plain``.
    """
    key_id, end = credential.get("key_id"), credential.get("expires_at")
    expires_at = None if end is None else units.moment(end)
    username = None if consumer is None else consumer.get("username") or consumer.get("custom_id")
    return {
        "id": identity or None,
        "key_id": key_id,
        "kind": "issued" if key_id else "hashed" if credential.get("hash") else "plain",
        "name": credential.get("name"),
        "consumer": {"id": credential.get("consumer"), "username": username},
        "scopes": list(credential.get("scopes") or ()),
        "tags": list(credential.get("tags") or ()) or None,
        "state": "expired" if expires_at is not None and expires_at <= now else "active",
        "created_at": created_at,
        "expires_at": expires_at,
        "last_used_at": last_used,
    }


def moment_text(moment: float) -> str:
    """Write a time as files have it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_meant(told: Mapping[str, Any], wanted: str) -> bool:
    """Whether a key of a list is the one with this id, its own or its credential's."""
    return wanted in (told["key_id"], told["id"]) or wanted.lower() == told["id"]
