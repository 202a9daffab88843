"""The verbs of API keys: create, list, rotate, revoke, check.

A key in clear is printed once, when it is made.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from proxyd.cli import config
from proxyd.cli.codes import REFUSED, CommandError
from proxyd.cli.keys_database import DatabaseKeys
from proxyd.cli.keys_file import FileKeys
from proxyd.cli.output import stderr, stdout
from proxyd.clock import Clock
from proxyd.crypto.api_keys import KeyText, KeyTextError
from proxyd.model.grammar import check_scope
from proxyd.model.issue import IssueError, Terms, ending, named
from proxyd.model.key_list import moment_text

if TYPE_CHECKING:
    from proxyd.cli.keys_file import Made

    class Keys(Protocol):
        """Where keys are kept."""

        def all(self) -> list[dict[str, Any]]:
            """List them."""

        def create(self, terms: Terms) -> Made:
            """Make one."""

        def rotate(self, wanted: str, overlap: float, expires_at: float | None) -> Made:
            """Make one in the place of another."""

        def revoke(self, wanted: str) -> None:
            """Take one away."""


_ONCE = "the key is shown this once: nothing but its hash is kept"


def create(arguments: argparse.Namespace) -> int:
    """Make a key, and print it."""
    keys = _keys(arguments)
    terms = Terms(
        arguments.consumer,
        arguments.name,
        tuple(dict.fromkeys(arguments.scope)),
        arguments.expires,
        tuple(arguments.tag),
    )
    return _tell_made(keys.create(terms), json=arguments.json)


def rotate(arguments: argparse.Namespace) -> int:
    """Make a key in the place of another one, which ends after a while."""
    made = _keys(arguments).rotate(named(arguments.key), arguments.overlap, arguments.expires)
    return _tell_made(made, json=arguments.json)


def revoke(arguments: argparse.Namespace) -> int:
    """Take a key away."""
    wanted = named(arguments.key)
    _keys(arguments).revoke(wanted)
    stdout().line(f"revoked: {wanted}")
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """List the keys, and nothing secret."""
    found = [
        one
        for one in _keys(arguments).all()
        if arguments.consumer in (None, one["consumer"]["username"], one["consumer"]["id"])
    ]
    out = stdout()
    if arguments.json:
        out.line(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return 0
    rows = [
        [
            one["key_id"] or one["id"],
            one["consumer"]["username"] or "-",
            one["name"] or "-",
            " ".join(one["scopes"]) or "-",
            one["kind"],
            one["state"],
            _shown(one["expires_at"]),
            _shown(one["last_used_at"]),
        ]
        for one in found
    ]
    out.table(rows, ["KEY", "CONSUMER", "NAME", "SCOPES", "KIND", "STATE", "EXPIRES", "LAST USED"])
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Tell what a text says of itself: 1 where it is no key."""
    text = sys.stdin.readline().strip() if arguments.key == "-" else arguments.key
    try:
        key = KeyText(text.encode("utf-8", "surrogateescape"))
    except KeyTextError as error:
        raise CommandError(f"no key: {error}", REFUSED) from None
    out = stdout()
    out.line(f"environment  {key.environment}")
    out.line(f"id           {key.id}")
    out.line("checksum     right")
    return 0


def scope(text: str) -> str:
    """Read a scope of the command line."""
    try:
        return check_scope(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' {error.args[0]}") from None


def end(text: str) -> float:
    """Read when a key ends."""
    try:
        return ending(text, Clock().time())
    except IssueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' {error}") from None


def _shown(moment: float | None) -> str:
    return "-" if moment is None else moment_text(moment)


def _keys(arguments: argparse.Namespace) -> Keys:
    settings = config.settings(arguments.config)
    if settings.database is not None:
        return DatabaseKeys(settings, arguments.config)
    return FileKeys(arguments.config)


def _tell_made(made: Made, *, json: bool) -> int:
    out = stdout()
    if json:
        document = {
            "key": made.key.text,
            **made.told,
            "stored": not made.left,
            "left_to_do": made.left or None,
        }
        out.line(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
        return 0
    out.line(made.key.text)
    if made.left:
        out.line()
        out.text(made.left)
    stderr().line(f"proxyd: {_ONCE}")
    return 0
