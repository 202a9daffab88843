"""``proxyd config dump``, ``diff`` and ``apply``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyd.cli import config
from proxyd.cli.codes import CommandError
from proxyd.cli.output import stderr, stdout
from proxyd.cli.sync.admin import Admin, token
from proxyd.cli.sync.dumping import dump as dump_text
from proxyd.cli.sync.places import Database, Remote
from proxyd.cli.sync.planning import plan
from proxyd.cli.sync.selecting import select
from proxyd.cli.sync.showing import as_json, show, summary
from proxyd.model.flat import flat
from proxyd.model.load import read_text
from proxyd.model.shapes import SHAPES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from proxyd.cli.sync.places import Place
    from proxyd.cli.sync.planning import Step
    from proxyd.model.flat import Document, Flat

    Verb = Callable[..., argparse.ArgumentParser]

DIFFERENT: Final = 2  # exit code of diff, as decK's
_PRIVATE: Final = 0o600


def add(verb: Verb) -> None:
    """Add the verbs below ``config``."""
    one = verb(
        "dump",
        "write the entities of a gateway or its database as a declarative file",
        dump,
        "proxyd config dump --admin http://127.0.0.1:8001 --output kong.yml",
    )
    _where(one)
    one.add_argument("-o", "--output", metavar="FILE", help="where it goes; default: standard output")
    one = verb(
        "diff",
        "tell what would change if a file were applied: exit code 2 where something would",
        diff,
        "proxyd config diff kong.yml",
    )
    one.add_argument("file", metavar="FILE", help="the declarative file; - is standard input")
    _where(one)
    one.add_argument("--json", action="store_true", help="print a JSON document")
    one = verb(
        "apply",
        "make the entities of a gateway or its database those of a file",
        apply,
        "proxyd config apply kong.yml --yes",
    )
    one.add_argument("file", metavar="FILE", help="the declarative file; - is standard input")
    _where(one)
    one.add_argument("--dry-run", action="store_true", help="only tell what would change")
    one.add_argument("-y", "--yes", action="store_true", help="delete without being asked")


def _where(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--admin",
        metavar="URL",
        help="an Admin API, such as http://127.0.0.1:8001 or unix:PATH; default: the database of the settings, "
        "and without one, admin_listen",
    )
    verb.add_argument(
        "--token-file", metavar="PATH", help="a file with a token for it; default $PROXYD_ADMIN_TOKEN"
    )
    verb.add_argument(
        "--tags",
        metavar="TAG[,TAG]",
        default="",
        help="only entities that have all of these tags, and what they refer to",
    )


# --- the verbs -----------------------------------------------------------------------------------------------


def dump(arguments: argparse.Namespace) -> int:
    """Write the entities down."""
    entities = select(_place(arguments).read(), _tags(arguments))
    text = dump_text(entities, config.plugin_configs())
    if arguments.output is None:
        stdout().text(text)
    else:
        _write(Path(arguments.output), text)
    if secrets := _secrets(entities):
        stderr().line(f"proxyd: what was written holds secrets ({', '.join(secrets)}): keep it to yourself")
    return 0


def diff(arguments: argparse.Namespace) -> int:
    """Tell what would change."""
    place, desired = _place(arguments), _desired(arguments)
    steps = _plan(arguments, place, desired)(place.read())
    if arguments.json:
        stdout().line(as_json(steps))
    else:
        show(steps, stdout())
    return DIFFERENT if steps else 0


def apply(arguments: argparse.Namespace) -> int:
    """Change it."""
    place, desired = _place(arguments), _desired(arguments)
    make = _plan(arguments, place, desired)
    steps = make(place.read())
    show(steps, stdout())
    if arguments.dry_run or not steps:
        return 0
    doomed = {(step.collection, step.id) for step in steps if step.after is None}
    if doomed and not arguments.yes:
        _ask(len(doomed))

    def agreed(there: Flat) -> Sequence[Step]:
        """Plan anew, for somebody may have changed something meanwhile; nothing is deleted that was not shown."""
        found = make(there)
        if any(step.after is None and (step.collection, step.id) not in doomed for step in found):
            raise CommandError("not applied: somebody has changed something meanwhile: look at it again")
        return found

    stdout().line(summary(place.change(agreed), done=True))
    return 0


def _ask(count: int) -> None:
    if not sys.stdin.isatty():
        raise CommandError(f"not applied: {count} would be deleted, and nobody can be asked: --yes allows it")
    if input(f"delete {count}? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError("not applied")


# --- what they are about -------------------------------------------------------------------------------------


def _place(arguments: argparse.Namespace) -> Place:
    if arguments.admin is None:
        settings = config.settings(arguments.config)
        if settings.database is not None:
            return Database(arguments.config)
        listens = settings.admin_listen
        if not listens:
            raise CommandError("there is no database, and admin_listen is off: --admin URL names a gateway")
        one = listens[0]
        if one.path:
            where = f"unix:{one.path}"
        else:
            host = f"[{one.host}]" if ":" in one.host else one.host
            where = f"{'https' if one.ssl else 'http'}://{host}:{one.port}"
    else:
        where = arguments.admin
    return Remote(Admin(where, token(arguments.token_file, os.environ)), arguments.config)


def _desired(arguments: argparse.Namespace) -> Flat:
    if arguments.file == "-":
        text, name = sys.stdin.read(), "standard input"
    else:
        text, name = read_text(arguments.file), arguments.file
    return flat(text, name, config.plugin_configs())


def _tags(arguments: argparse.Namespace) -> list[str]:
    return [tag.strip() for tag in arguments.tags.split(",") if tag.strip()]


def _plan(arguments: argparse.Namespace, place: Place, desired: Flat) -> Callable[[Flat], Sequence[Step]]:
    """Return what plans; both sides are compared as they are kept, for a file that runs has its keys in clear."""

    def seal(collection: str, document: Document) -> Document:
        return place.seal(collection, document, transform=desired.transform)

    def make(there: Flat) -> Sequence[Step]:
        current = {
            collection: {
                identity: place.seal(collection, document, transform=there.transform)
                for identity, document in documents.items()
            }
            for collection, documents in there.table.items()
        }
        return plan(current, desired, seal, _tags(arguments))

    return make


def _write(path: Path, text: str) -> None:
    """Write a file that nobody else can read, in one piece."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def _secrets(entities: Flat) -> list[str]:
    """Return the kinds of secrets that are there in clear: in the environment, or hashed, they are none."""
    return [
        f"{SHAPES[collection].noun}: {field}"
        for collection, documents in entities.table.items()
        for field in sorted(SHAPES[collection].hidden - {"config", "hash"})
        if any(field in one and "{vault://" not in str(one[field]) for one in documents.values())
    ]
