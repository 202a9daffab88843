"""What is kept in a database, and how it is read and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from proxyd.errors import ProxydError

Document = dict[str, Any]
Action = Literal["create", "update", "delete"]


class DatabaseError(ProxydError):
    """The database is not to be had; the message says what failed and what would be right, and holds no password."""


class RefusedError(DatabaseError):
    """The database answers, and a change is not made."""


class LockedError(RefusedError):
    """Others hold the lock for longer than a change may wait: it may go through a little later."""


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


@dataclass(frozen=True, slots=True)
class State:
    """How the database fares: whether it answers, since when that is so (seconds since the epoch), and why it does not.

    ``revision`` is the newest that is known to be there.
    """

    reachable: bool
    since: float
    error: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Audited:
    """One entity that was changed: when, by whom, and its document before and after, with secrets masked.

    ``number`` counts up. All that was changed at once has the same ``revision``.
    """

    number: int
    at: float
    revision: int
    author: Author
    collection: str
    id: str
    action: Action
    before: Document | None = field(repr=False)
    after: Document | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries of the audit log are asked for: those that all of these hold for, the newest first.

    ``since`` and ``until`` are seconds since the epoch, ``before`` a number: the next page begins below the last one of this.
    """

    collection: str = ""
    id: str = ""
    who: str = ""
    since: float = 0.0
    until: float = 0.0
    revision: int = 0
    before: int = 0
    size: int = 100


Decide = Callable[[Contents], Sequence[Change]]


class Store(Protocol):
    """A database. Every method raises ``DatabaseError`` where it is not to be had."""

    @property
    def state(self) -> State:
        """How it fares, as far as is known without asking."""

    async def contents(self) -> Contents:
        """Return what is there now."""

    async def change(self, decide: Decide, author: Author) -> Contents:
        """Change it: all or nothing, one at a time over all machines.

        ``decide`` is given what is there, inside of the transaction, and returns what is to be changed; what it raises
        is raised here, with nothing changed. The changes are written together with the audit log and a new revision, and
        whoever waits for one is woken. Without changes there is no new revision; an entity that is put in the place of
        an equal one is none.
        """

    async def changed(self, revision: int) -> int:
        """Return the revision as soon as it is another one than this; waits while the database is away, and raises nothing."""

    async def audit(self, query: AuditQuery) -> list[Audited]:
        """Return entries of the audit log, the newest first."""

    async def undoing(self, number: int) -> Change | None:
        """Return what would put back what an entry of the audit log has changed; None where that is not kept, or not any more."""

    async def use(self, times: Mapping[str, float]) -> None:
        """Keep when credentials were last used, by their ids; an earlier time than the one that is there does nothing."""

    async def last_used(self) -> dict[str, float]:
        """Return when credentials were last used, by their ids."""

    async def close(self) -> None:
        """Let go of it."""
