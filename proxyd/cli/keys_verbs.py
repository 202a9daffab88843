"""The command line of the verbs of API keys."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from proxyd.cli import keys
from proxyd.model.issue import OVERLAP, lifetime

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., argparse.ArgumentParser]


def add(make: Make, with_config: Make) -> None:
    """Add them; ``make`` adds a verb by name, help, action and example, ``with_config`` one that reads a configuration."""
    verb = with_config(
        "create",
        "make a key for a consumer, and print it once",
        keys.create,
        "proxyd keys create --consumer mobile-app --scope orders:read --expires 90d",
    )
    verb.add_argument(
        "--consumer", metavar="NAME", required=True, help="whose key it is: username, custom id or id"
    )
    verb.add_argument("--name", metavar="TEXT", help="what it is for, for whoever reads lists")
    verb.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        type=keys.scope,
        default=[],
        help="what it may; may be repeated",
    )
    verb.add_argument("--tag", metavar="TAG", action="append", default=[], help="a tag; may be repeated")
    _expires(verb, "never")
    _json(verb)
    verb = with_config(
        "list", "list keys, without anything secret", keys.list_, "proxyd keys list --consumer mobile-app"
    )
    verb.add_argument("--consumer", metavar="NAME", help="only those of this consumer, by username or id")
    _json(verb)
    verb = with_config(
        "rotate",
        "make a key in the place of another one, which goes on for a while",
        keys.rotate,
        "proxyd keys rotate UqHgfqWpmaE3 --overlap 7d",
    )
    _key(verb)
    verb.add_argument(
        "--overlap",
        metavar="TIME",
        type=_time,
        default=OVERLAP,
        help="how long the old one goes on: 7d, 12h, or 0 for not at all; default 24h",
    )
    _expires(verb, "it lives as long as the old one was to")
    _json(verb)
    verb = with_config("revoke", "take a key away, at once", keys.revoke, "proxyd keys revoke UqHgfqWpmaE3")
    _key(verb)
    verb = make(
        "check",
        "tell what a key says of itself, and whether its checksum is right",
        keys.check,
        "proxyd keys check - < key.txt",
    )
    verb.add_argument(
        "key",
        metavar="KEY",
        help="the key; - reads it from standard input, where no list of processes shows it",
    )


def _key(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "key", metavar="ID", help="the id in the key's text, its credential's id, or the whole key"
    )


def _expires(verb: argparse.ArgumentParser, default: str) -> None:
    verb.add_argument(
        "--expires",
        metavar="TIME",
        type=keys.end,
        help=f"when it ends: 90d, 12h, or a date such as 2031-01-31; default: {default}",
    )


def _json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print a JSON document")


def _time(text: str) -> float:
    try:
        return lifetime(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error.args[0]}") from None
