"""What is kept in a database, and how it is read and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxyd.errors import ProxydError

Document = dict[str, Any]


class DatabaseError(ProxydError):
    """The database is not to be had; the message says what failed and what would be right, and holds no password."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entity: ``document`` has the fields that were given, as the declarative file has them, references as ids.

    Times are seconds since the epoch.
    """

    collection: str
    id: str
    document: Document = field(repr=False)
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class Contents:
    """Every entity by collection and id, as it was at one revision; the first one is 0, with nothing in it."""

    revision: int = 0
    entries: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """An entity that is put in the place of whatever has its id, or taken away where ``document`` is None."""

    collection: str
    id: str
    document: Document | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, for the audit log: a name, a role, where the request came from, and its id."""

    name: str
    role: str = ""
    address: str = ""
    request_id: str = ""


Decide = Callable[[Contents], Sequence[Change]]


class Store(Protocol):
    """A database. Every method raises ``DatabaseError`` where it is not to be had."""

    async def contents(self) -> Contents:
        """Return what is there now."""

    async def change(self, decide: Decide, author: Author) -> Contents:
        """Change it: all or nothing, one at a time over all machines.

        ``decide`` is given what is there, inside of the transaction, and returns what is to be changed; what it raises
        is raised here, with nothing changed. The changes are written together with the audit log and a new revision, and
        whoever waits for one is woken. Without changes there is no new revision.
        """
