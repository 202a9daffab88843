"""What ``proxyd run`` begins with: the file alone or, where the settings name a database, what stands in that."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxyd.cli import config
from proxyd.clock import Clock
from proxyd.database.live import Live
from proxyd.database.opening import open_store, ready
from proxyd.database.seeding import changes_of, seeded
from proxyd.model.document import DATABASE
from proxyd.model.load import read_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from proxyd.database.entries import Change
    from proxyd.model.load import Loaded


@dataclass(frozen=True, slots=True)
class Beginning:
    """A configuration as it was loaded: its text, by the ``name`` that problems call it, of the ``file`` or a database."""

    text: str
    loaded: Loaded
    file: str
    overrides: Mapping[str, Any]
    name: str
    database: Live | None = None

    def read(self) -> str:
        """Return the text anew, with what the file says now; raises ConfigError."""
        text = read_text(self.file)
        return text if self.database is None else self.database.text(text)

    def load(self, text: str) -> Loaded:
        """Load a text of this name; raises ConfigError."""
        return config.read_as(text, self.name, self.overrides)


def of_file(file: str, overrides: Mapping[str, Any]) -> Beginning:
    """Load the file; raises ConfigError."""
    text = read_text(file)
    return Beginning(text, config.read_as(text, file, overrides), file, overrides, file)


@asynccontextmanager
async def of_settings(beginning: Beginning) -> AsyncIterator[Beginning]:
    """Give what is to run: the file, or the database that its settings name; raises ConfigError and DatabaseError."""
    settings, overrides = beginning.loaded.settings, beginning.overrides
    if settings.database is None:
        yield beginning
        return

    def changes(text: str, name: str) -> list[Change]:
        return changes_of(text, name, os.environ, overrides, settings)

    def load(text: str, name: str) -> Loaded:
        return config.read_as(text, name, overrides)

    store = open_store(settings, os.environ, config.plugin_configs())
    try:
        await ready(store.target)
        contents = await seeded(store, lambda: changes(beginning.text, beginning.file), beginning.file)
        live = Live(store, contents, beginning.text, load, changes, Clock())
        text = live.text()
        store.start()
        yield Beginning(text, live.load(text), beginning.file, overrides, DATABASE, live)
    finally:
        await store.close()
