"""The verbs for GraphQL: a manifest out of the files of an application, and what the gateway would say of a document."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from proxyd.cli.codes import CommandError
from proxyd.cli.output import stderr, stdout
from proxyd.errors import ConfigError
from proxyd.graphql.manifest import read_manifest
from proxyd.graphql.schema.known import from_sdl
from proxyd.graphql.sources import Sources, find_files, write_apollo, write_relay

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from graphql import GraphQLSchema

    from proxyd.graphql.sources import Made


def manifest(arguments: argparse.Namespace) -> int:
    """Write a manifest, or tell whether the one that is there is what would be written: 1 where it is not."""
    sources = Sources()
    for name in find_files(arguments.sources):
        sources.read(name)
    made = sources.make(typename=arguments.typename, graph=read_schema(arguments.schema))
    written = (write_relay if arguments.format == "relay" else write_apollo)(made)
    if arguments.output is None:
        if arguments.check:
            raise CommandError("--check is about a file: name it by --output")
        stdout().text(written.decode())
        return 0
    there = _read(arguments.output)
    out = stdout()
    if there == written:
        out.line(f"{arguments.output}: {out.style('up to date', 'green', 'bold')}: {_count(made)}")
        return 0
    if arguments.check:
        _tell_difference(arguments.output, made)
        return 1
    _write(arguments.output, written)
    out.line(f"{arguments.output}: {out.style('written', 'green', 'bold')}: {_count(made)}")
    return 0


def read_schema(name: str | None) -> GraphQLSchema | None:
    """Return the schema in a file, None where none is given."""
    if name is None:
        return None
    try:
        return from_sdl(Path(name).read_text(encoding="utf-8-sig"), name).graph
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: is not UTF-8") from None


def _count(made: Sequence[Made]) -> str:
    return "1 operation" if len(made) == 1 else f"{len(made)} operations"


def _read(name: str) -> bytes | None:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}") from None


def _write(name: str, data: bytes) -> None:
    """Put a file in the place of the one that is there, so that nobody reads half of it."""
    place = Path(name)
    try:
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            file.write(data)
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
        Path(file.name).chmod(mode)
        Path(file.name).replace(place)
    except OSError as error:
        raise CommandError(f"{name}: cannot be written: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _tell_difference(name: str, made: Sequence[Made]) -> None:
    """Say which operations are new, gone, or others than in the file."""
    complain = stderr()
    complain.line(f"{name}: {complain.style('not up to date', 'red', 'bold')}")
    try:
        there = {entry.id: entry.text for entry in read_manifest(name)}
    except ConfigError as error:
        complain.problems(error.problems, "error", "red")
        return
    now = {one.id: one for one in made}
    for one in made:
        if one.id not in there:
            complain.line(f"  + {one.name} {one.id}")
    for identity in there.keys() - now.keys():
        complain.line(f"  - {identity}")
