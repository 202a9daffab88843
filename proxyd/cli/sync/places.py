"""Where entities are read and changed: in the database of the settings, or over a gateway's Admin API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from proxyd.admin.entities.catalog import COLLECTIONS
from proxyd.cli import config
from proxyd.cli.codes import CommandError
from proxyd.database.entries import Author, Change
from proxyd.database.opening import once
from proxyd.database.seal import SealError, seal
from proxyd.database.text import frame_of, write
from proxyd.database.usable import refuse_unusable
from proxyd.errors import ConfigError
from proxyd.model.flat import Flat, flat, spare
from proxyd.model.load import load_text, read_text, settings_of
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxyd.cli.sync.admin import Admin
    from proxyd.cli.sync.planning import Step
    from proxyd.database.entries import Contents
    from proxyd.database.store import DatabaseStore
    from proxyd.database.text import Frame
    from proxyd.model.flat import Document, Table
    from proxyd.model.settings import Settings

    Plan = Callable[[Flat], Sequence[Step]]


class Place(Protocol):
    """One of them; every method raises ProxydError."""

    def read(self) -> Flat:
        """Return what is there."""

    def change(self, plan: Plan) -> Sequence[Step]:
        """Do what ``plan`` makes of what is there, and return it; it may raise."""

    def seal(self, collection: str, document: Document, *, transform: bool) -> Document:
        """Return a document as it is kept there, where that can be told from here."""


class Database:
    """The database that the settings name: all or nothing, and checked as the gateway would."""

    def __init__(self, given: str | None) -> None:
        self._file = config.find(given)
        self._settings = config.settings(given)

    def read(self) -> Flat:
        """Return what is there."""
        return of_contents(once(self._settings, os.environ, config.plugin_configs(), _contents))

    def change(self, plan: Plan) -> Sequence[Step]:
        """Do it in one revision; raises ConfigError where what comes of it would not load."""
        steps: Sequence[Step] = ()
        frame = self._frame()

        def decide(contents: Contents) -> list[Change]:
            nonlocal steps
            there = of_contents(contents)
            steps, table = plan(there), there.table
            for step in steps:
                if step.after is None:
                    del table[step.collection][step.id]
                else:
                    table[step.collection][step.id] = step.after
            _check(frame, table)
            return [Change(step.collection, step.id, step.after) for step in steps]

        async def act(store: DatabaseStore) -> None:
            await store.change(decide, Author(f"proxyd config apply ({_user()})", "admin"))

        once(self._settings, os.environ, config.plugin_configs(), act)
        return steps

    def seal(self, collection: str, document: Document, *, transform: bool) -> Document:
        """Seal it as the gateway does."""
        return sealed(collection, document, self._settings, transform=transform)

    def _frame(self) -> Frame:
        try:
            return frame_of(read_text(self._file), self._file)
        except ConfigError:
            return {"_format_version": "3.0", "_transform": False}


class Remote:
    """A gateway, entity by entity, in an order in which each refers to what is there."""

    def __init__(self, admin: Admin, given: str | None) -> None:
        self._admin = admin
        self._settings = _local_settings(given)
        self._digests: set[str] = set()  # passwords of files that have them so

    def read(self) -> Flat:
        """Return what the gateway runs, out of its text: the entities that it shows have their secrets hidden."""
        text = self._admin.ask("GET", "/config")["config"]
        return flat(text, str(self._admin), config.plugin_configs())

    def change(self, plan: Plan) -> Sequence[Step]:
        """Do it step by step; what was done stays done where a later step fails."""
        steps = plan(self.read())
        for number, step in enumerate(steps):
            try:
                self._step(step)
            except CommandError as error:
                raise CommandError(
                    f"{step.action} {SHAPES[step.collection].noun} '{step.label}': {error}; "
                    f"{number} of {len(steps)} changes are done: mend it and apply again",
                    error.code,
                ) from None
        return steps

    def _step(self, step: Step) -> None:
        one = COLLECTIONS[step.collection]
        path = f"/{one.path}/{step.id}"
        if step.collection == "targets":
            path = f"/upstreams/{(step.after or step.before or {})['upstream']}/targets/{step.id}"
        if step.after is None:
            self._admin.ask("DELETE", path)
            return
        body: dict[str, Any] = dict(step.after)
        if step.collection == "basicauth_credentials" and body.get("password") in self._digests:
            raise CommandError("a password that the file has as a digest can be written to a database alone")
        for field in SHAPES[step.collection].references:
            if field in body:
                body[field] = {"id": body[field]}
        self._admin.ask("PUT", path, body)

    def seal(self, collection: str, document: Document, *, transform: bool) -> Document:
        """Seal with the pepper of this machine, where it has one; what is sent in clear, the gateway seals."""
        if collection == "basicauth_credentials" and not transform and "password" in document:
            self._digests.add(str(document["password"]).lower())
        elif not self._settings.key_pepper:
            return document
        return sealed(collection, document, self._settings, transform=transform)


def of_contents(contents: Contents) -> Flat:
    """Return what a database has."""
    found, plugins = Flat(transform=False), config.plugin_configs()
    for collection, entries in contents.entries.items():
        for identity, entry in entries.items():
            found.table[collection][identity] = spare(collection, entry.document, plugins)
    return found


def sealed(collection: str, document: Document, settings: Settings, *, transform: bool) -> Document:
    """Return a document with what is kept in the place of a key or a password in clear."""
    if collection == "basicauth_credentials" and not transform and isinstance(document.get("password"), str):
        return {**document, "password": document["password"].lower()}  # a digest already
    try:
        made = seal(collection, document, settings)
    except SealError as error:
        raise CommandError(f"{SHAPES[collection].noun}: {error.field} {error}") from None
    return {name: value for name, value in made.items() if value is not None}


async def _contents(store: DatabaseStore) -> Contents:
    return await store.contents()


def _check(frame: Frame, table: Table) -> None:
    documents = {
        collection: [{"id": identity, **document} for identity, document in documents.items()]
        for collection, documents in table.items()
    }
    name = "what would come of it"
    refuse_unusable(
        load_text(write(frame, documents), name, env=os.environ, plugins=config.plugin_configs()), name
    )


def _user() -> str:
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or str(os.getuid())


def _local_settings(given: str | None) -> Settings:
    try:
        return config.settings(given)
    except ConfigError:
        return settings_of("{}", "environment", os.environ)
