"""What becomes of keys: made, rotated, revoked; decided on the contents as they are inside of the transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.database.entries import Change
from proxyd.model.issue import IssueError, issue, named, successor
from proxyd.model.key_list import described

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

    from proxyd.admin.entities.book import Book
    from proxyd.admin.entities.checking import Checker
    from proxyd.clock import Clock
    from proxyd.crypto.api_keys import KeyText
    from proxyd.database.entries import Document, Entry
    from proxyd.model.issue import Terms
    from proxyd.model.settings import Settings

KEYS = COLLECTIONS["keyauth_credentials"]
CONSUMERS = COLLECTIONS["consumers"]


@dataclass(frozen=True, slots=True)
class Made:
    """Changes, and what is told of them: the new key with its credential, and the one whose place it takes."""

    changes: list[Change]
    key: KeyText | None = field(default=None, repr=False)
    told: Mapping[str, Any] = field(default_factory=dict)
    replaces: Mapping[str, Any] | None = None


class KeyDecisions:
    """Decides about keys; every method raises Refusal."""

    def __init__(self, checker: Checker, settings: Settings, clock: Clock) -> None:
        self._checker = checker
        self._settings = settings
        self._clock = clock

    def create(self, book: Book, terms: Terms) -> Made:
        """Make a key for a consumer, which ``terms`` has by id or name."""
        consumer = book.find(CONSUMERS, terms.consumer)
        if consumer is None:
            raise Refusal.schema("consumer", "there is no such consumer")
        return self._issued(book, replace(terms, consumer=consumer.id))

    def rotate(self, book: Book, wanted: str, overlap: float, expires_at: float | None) -> Made:
        """Make a key in the place of another one, which ends after ``overlap`` seconds."""
        entry, now = find_key(book, wanted), self._clock.time()
        try:
            terms, old = successor(entry.document, now, overlap, expires_at, entry.created_at)
        except IssueError as error:
            _refuse(error)
        made = self._issued(book, terms)
        changed = self._checker.change(book, KEYS, entry.id, old)
        return replace(
            made,
            changes=[*made.changes, changed],
            replaces=told_of(book, entry.id, old, now, created_at=entry.created_at),
        )

    def revoke(self, book: Book, wanted: str) -> Made:
        """Take a key away."""
        return Made([Change(KEYS.name, find_key(book, wanted).id, None)])

    def _issued(self, book: Book, terms: Terms) -> Made:
        try:
            made = issue(terms, self._settings.key_pepper, self._settings.key_environment)
        except IssueError as error:
            _refuse(error)
        now, identity = self._clock.time(), str(uuid.uuid4())
        change = self._checker.change(book, KEYS, identity, made.credential)
        told = told_of(book, identity, made.credential, now, created_at=now)
        return Made([change], made.key, told)


def find_key(book: Book, wanted: str) -> Entry:
    """Return the credential that a key's id means, its credential's, or the whole key; raises Refusal."""
    try:
        wanted = named(wanted)
    except IssueError:
        raise Refusal.not_found() from None
    for entry in book.all(KEYS.name).values():
        if entry.document.get("key_id") == wanted or entry.id == wanted.lower():
            return entry
    raise Refusal.not_found()


def told_of(
    book: Book, identity: str, credential: Document, now: float, **times: float | None
) -> dict[str, Any]:
    """Return what is told of a credential, with its consumer's name."""
    consumer = book.all(CONSUMERS.name).get(str(credential.get("consumer")))
    return described(identity, credential, consumer.document if consumer is not None else None, now, **times)


def all_told(book: Book, now: float, used: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Iterate over what is told of all keys, the oldest first."""
    for entry in sorted(book.all(KEYS.name).values(), key=lambda one: (one.created_at, one.id)):
        yield told_of(
            book, entry.id, entry.document, now, created_at=entry.created_at, last_used=used.get(entry.id)
        )


def _refuse(error: IssueError) -> NoReturn:
    raise Refusal.schema("expires_at" if error.field == "expires" else error.field, str(error)) from None
