"""``proxyd migrate``: the tables of the database, brought up to this version of proxyd."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from proxyd.cli import config
from proxyd.cli.output import stdout
from proxyd.database.opening import target_of
from proxyd.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from proxyd.model.settings import Settings

_OWN: Final = ("PROXYD_DATABASE", "PROXYD_PG_")  # variables
_IN_FILE: Final = ("proxyd.database", "proxyd.pg_")


def migrate(arguments: argparse.Namespace) -> int:
    """Run the migrations that are pending; with ``dry_run``, only list all of them."""
    target = target_of(_settings(arguments.config), os.environ)
    from proxyd.database import migrating  # noqa: PLC0415  # an extra, imported where it is asked for

    out = stdout()
    if arguments.dry_run:
        status = asyncio.run(migrating.status(target))
        for step in status.done:
            out.line(f"{step.revision}  done     {step.title}")
        for step in status.pending:
            out.line(f"{step.revision}  pending  {step.title}")
        return 0
    before = asyncio.run(migrating.migrate(target))
    for step in before.pending:
        out.line(f"{step.revision}  {step.title}")
    now = before.pending[-1].revision if before.pending else before.current
    out.line(f"{target} is at revision {now}{'' if before.pending else ', as it was'}")
    return 0


def _settings(given: str | None) -> Settings:
    """Return the settings, whatever else is wrong with the file; raises ConfigError where it is the database's."""
    settings = config.settings(given)
    try:
        config.read(given)
    except ConfigError as error:
        problems = [each for each in error.problems if each.place.file.startswith(_OWN)]
        problems += [each for each in error.problems if each.path.startswith(_IN_FILE)]
        if problems:
            raise ConfigError(problems) from None
    return settings
