"""Keys where a database is the truth: they are written there, and running gateways know them within a second."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.book import Book
from proxyd.admin.entities.checking import Checker
from proxyd.admin.keys.decisions import KeyDecisions, all_told
from proxyd.cli import config
from proxyd.cli.codes import CommandError
from proxyd.cli.keys_file import Made
from proxyd.clock import Clock
from proxyd.database.entries import Author
from proxyd.database.opening import once
from proxyd.database.text import frame_of
from proxyd.errors import ConfigError
from proxyd.model.document import DATABASE
from proxyd.model.load import read_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxyd.admin.keys.decisions import Made as Decided
    from proxyd.database.entries import Change, Contents, Store
    from proxyd.model.issue import Terms
    from proxyd.model.settings import Settings

T = TypeVar("T")

_EMPTY: Final = '_format_version: "3.0"'


class DatabaseKeys:
    """The keys in the database that ``settings`` name; ``given`` names the file with the rest of them."""

    def __init__(self, settings: Settings, given: str | None) -> None:
        self._settings = settings
        self._given = given
        self._clock = Clock()
        self._author = Author("proxyd keys", "admin", f"uid {os.getuid()}")

    def __repr__(self) -> str:
        return f"<DatabaseKeys {self._author.address}>"

    def all(self) -> list[dict[str, Any]]:
        """List the keys, the oldest first."""

        async def act(store: Store) -> list[dict[str, Any]]:
            contents, used = await store.contents(), await store.last_used()
            return list(all_told(Book(contents), self._clock.time(), used))

        return self._once(act)

    def create(self, terms: Terms) -> Made:
        """Make a key."""
        return self._made(self._change(terms.consumer, lambda decide, book: decide.create(book, terms)))

    def rotate(self, wanted: str, overlap: float, expires_at: float | None) -> Made:
        """Make a key in the place of another one."""
        return self._made(
            self._change(wanted, lambda decide, book: decide.rotate(book, wanted, overlap, expires_at))
        )

    def revoke(self, wanted: str) -> None:
        """Take a key away."""
        self._change(wanted, lambda decide, book: decide.revoke(book, wanted))

    def _made(self, made: Decided) -> Made:
        if made.key is None:
            raise CommandError("no key was made")
        return Made(made.key, dict(made.told))

    def _change(self, wanted: str, decide: Callable[[KeyDecisions, Book], Decided]) -> Decided:
        checker = Checker(lambda text: config.read_as(text, DATABASE), frame_of(self._text(), "file"))
        decisions = KeyDecisions(checker, self._settings, self._clock)

        async def act(store: Store) -> Decided:
            found: list[Decided] = []

            def changes(contents: Contents) -> Sequence[Change]:
                found[:] = [decide(decisions, Book(contents))]
                return found[0].changes

            await store.change(changes, self._author)
            return found[0]

        try:
            return self._once(act)
        except Refusal as refusal:
            if refusal.status == 404:  # noqa: PLR2004  # not found
                raise CommandError(f"there is no key {wanted} in the database") from None
            fields = refusal.document.get("fields") or {"": refusal.document["message"]}
            said = "; ".join(f"{name}: {told}".removeprefix(": ") for name, told in fields.items())
            raise CommandError(said) from None

    def _text(self) -> str:
        try:
            return read_text(config.find(self._given))
        except ConfigError:
            if self._given:
                raise
            return _EMPTY

    def _once(self, act: Callable[[Store], Awaitable[T]]) -> T:
        return once(self._settings, os.environ, config.plugin_configs(), act)
