"""Keys that are made: what a new one is to be, the credential that is kept of it, and the one that takes its place.

A credential is a document here, as the declarative file has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxyd.crypto.api_keys import KeyText, KeyTextError
from proxyd.errors import ProxydError
from proxyd.model import units
from proxyd.model.peppers import MADE_BY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxyd.crypto.api_keys import Pepper

Credential = dict[str, Any]

LONGEST: Final = 100 * 365 * 86_400.0  # seconds that a key may be told to live, or to go on
OVERLAP: Final = 86_400.0  # seconds for which a key that is rotated goes on
NO_PEPPER: Final = (
    f"keys are kept as hashes under a pepper, and key_pepper is not set: PROXYD_KEY_PEPPER, from {MADE_BY}"
)


class IssueError(ProxydError):
    """A key cannot be made; the message says why, and what would be right. ``field`` is what it is about."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key is to be: whose, by id or name; for what; and until when, in seconds since the epoch."""

    consumer: str
    name: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    tags: tuple[str, ...] = ()

    def credential(self) -> Credential:
        """Return what a credential says of them."""
        given: Credential = {"name": self.name, "scopes": list(self.scopes), "expires_at": self.expires_at}
        given["tags"] = list(self.tags)
        return {"consumer": self.consumer, **{name: value for name, value in given.items() if value}}


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key, and the credential that is kept of it."""

    key: KeyText
    credential: Credential = field(repr=False)


def issue(terms: Terms, peppers: Sequence[Pepper], environment: str) -> Issued:
    """Make a key; raises IssueError without a pepper."""
    if not peppers:
        raise IssueError("key", NO_PEPPER)
    key = KeyText.make(environment)
    return Issued(key, {**terms.credential(), "key_id": key.id, "hash": peppers[0].seal(key.text.encode())})


def successor(
    credential: Mapping[str, Any],
    now: float,
    overlap: float,
    expires_at: float | None = None,
    created_at: float | None = None,
) -> tuple[Terms, Credential]:
    """Return what a key is to be that takes the place of another one, and what becomes of that one: it ends after ``overlap``.

    The new key lives as long as the old one was to from the time that it was made, where nothing else is said; raises
    IssueError where that is not known.
    """
    end = _moment(credential.get("expires_at"))
    if expires_at is None and end is not None:
        if created_at is None:
            raise IssueError(
                "expires", "the key has an end, and when it was made is not known: say when the new one ends"
            )
        expires_at = now + (end - created_at)
    terms = Terms(
        str(credential["consumer"]),
        credential.get("name"),
        tuple(credential.get("scopes") or ()),
        expires_at,
        tuple(credential.get("tags") or ()),
    )
    last = now + overlap if end is None else min(end, now + overlap)
    return terms, {**{name: value for name, value in credential.items() if name != "ttl"}, "expires_at": last}


def _moment(value: object) -> float | None:
    return None if value is None else units.moment(value)


def lifetime(value: object) -> float:
    """Return how long something of a key is to last, in seconds; raises ValueError."""
    seconds = units.duration(value)
    if seconds > LONGEST:
        raise ValueError("must be 100 years at most", "leave it out for a key without an end")
    return seconds


def ending(text: str, now: float) -> float:
    """Return when a key ends that is to live for ``90d``, or until a date; raises IssueError where that is not to come."""
    try:
        end = units.moment(text) if text.isdigit() or "-" in text else now + lifetime(text)
    except ValueError:
        raise IssueError("expires", "must be a time such as 90d, or a date such as 2031-01-31") from None
    if end <= now:
        raise IssueError("expires", "is over already")
    return end


def named(wanted: str) -> str:
    """Return the id that a key is meant by: the one in a whole key, or what is given; raises IssueError."""
    if not wanted.startswith("pxd_"):
        return wanted
    try:
        return KeyText(wanted.encode()).id
    except KeyTextError as error:
        raise IssueError("key", f"no key: {error}") from None
