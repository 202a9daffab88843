"""The command line: verbs, their options, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from proxyd import __version__
from proxyd.cli import dev_cert, graphql, graphql_explain, inspect, keys_verbs, managing, migrate, run
from proxyd.cli.output import stdout
from proxyd.cli.sync import verbs as sync
from proxyd.process.inherited import NAMES, Descriptor, parse_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[argparse.Namespace], int]

EXAMPLES = """\
examples:
  proxyd run                                     the gateway with config/proxyd.yml
  proxyd run --config kong.yml                   with a file of Kong's
  proxyd check --config kong.yml                 every error in it, with its line
  proxyd routes                                  routes in the order in which they are tried
  proxyd explain GET http://localhost/api/items  which one wins, and why
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``action`` of what it parses is the verb's function."""
    parser = argparse.ArgumentParser(
        prog="proxyd",
        description="An API gateway that reads Kong's declarative files.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"proxyd {__version__}")
    verbs = _Verbs(parser)
    _run(verbs)
    _worker(verbs)
    verbs.with_config(
        "check",
        "check a configuration and count what is in it",
        inspect.check,
        "proxyd check --config kong.yml",
    )
    verbs.with_config(
        "routes", "list the routes in the order in which they are tried", inspect.routes, "proxyd routes"
    )
    _explain(verbs)
    verbs.add(
        "schema",
        "print a JSON Schema of the file, for editors",
        inspect.schema,
        "proxyd schema > proxyd.schema.json",
    )
    demo = verbs.add("demo", "start the demo backend alone", run.demo, "proxyd demo --listen 127.0.0.1:3000")
    demo.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:3000", help="default %(default)s")
    _dev_cert(verbs)
    _graphql(verbs)
    _migrate(verbs)
    below = verbs.group(
        "keys", "make, list, rotate, revoke and check API keys", "proxyd keys create --consumer mobile-app"
    )
    keys_verbs.add(below.add, below.with_config)
    below = verbs.group(
        "config", "dump, compare and apply entities as declarative files", "proxyd config diff kong.yml"
    )
    sync.add(below.with_config)
    managing.add(verbs.with_config)
    verbs.add("version", "print the version", version, "proxyd version")
    return parser


def _run(verbs: _Verbs) -> None:
    verb = verbs.with_config(
        "run", "start the gateway", run.run, "PROXYD_PROXY_LISTEN=0.0.0.0:80 proxyd run --config kong.yml"
    )
    verb.add_argument(
        "--workers",
        metavar="N|auto|off",
        help="serve with N processes under a master, auto: one per core; default $PROXYD_WORKERS, then the file, then off",
    )
    verb.add_argument(
        "--watch", action="store_true", help="load the configuration anew whenever its file changes"
    )
    verb.add_argument(
        "--fd",
        metavar="N[=NAME]",
        action="append",
        type=_descriptor,
        default=[],
        help="accept from a listening socket that the process was started with, 0 for example; may be repeated. "
        f"NAME is what it is for ({', '.join(NAMES)}); without it, the entry of its address",
    )


def _descriptor(text: str) -> Descriptor:
    try:
        return parse_descriptor(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _worker(verbs: _Verbs) -> None:
    """Add what a master starts its workers by; it is nobody else's, and no help shows it."""
    verb = verbs.hidden("worker", run.worker)
    verb.add_argument("--slot", type=int, required=True)  # for whoever looks at the list of processes
    verb.add_argument("--channel", type=int, required=True)


def _dev_cert(verbs: _Verbs) -> None:
    verb = verbs.add(
        "dev-cert",
        "make a certificate authority and a certificate to develop with, or renew the latter",
        dev_cert.dev_cert,
        "proxyd dev-cert shop.localhost 192.168.1.20",
    )
    verb.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="host names and addresses beside localhost, 127.0.0.1 and ::1",
    )
    verb.add_argument(
        "--directory", metavar="DIR", default="tls", help="where the files are; default %(default)s"
    )
    verb.add_argument(
        "--days",
        metavar="N",
        type=_days,
        default=dev_cert.DAYS,
        help="how long it is valid; default %(default)s",
    )
    verb.add_argument(
        "--force", action="store_true", help="make the authority anew too, whatever is in the directory"
    )


def _migrate(verbs: _Verbs) -> None:
    verb = verbs.with_config(
        "migrate",
        "bring the tables of the database up to this version of proxyd",
        migrate.migrate,
        "PROXYD_DATABASE=postgresql://proxyd@db.internal/proxyd proxyd migrate",
    )
    verb.add_argument(
        "--dry-run", action="store_true", help="change nothing, and list what has been done and what would be"
    )


def _graphql(verbs: _Verbs) -> None:
    below = verbs.group(
        "graphql", "about GraphQL documents: manifest, explain", "proxyd graphql explain orders.graphql"
    )
    verb = below.add(
        "manifest",
        "write a manifest of the operations in files, for a safelist",
        graphql.manifest,
        "proxyd graphql manifest src --output operations.json",
    )
    verb.add_argument(
        "sources", metavar="PATH", nargs="+", help="files, and folders with files *.graphql and *.gql in them"
    )
    verb.add_argument("--format", choices=("apollo", "relay"), default="apollo", help="default %(default)s")
    verb.add_argument("-o", "--output", metavar="FILE", help="where it goes; default: standard output")
    verb.add_argument("--schema", metavar="SDL", help="schema that the operations have to be valid for")
    verb.add_argument(
        "--typename",
        action="store_true",
        help="add __typename to every selection but the operations' own, as Apollo Client's cache does",
    )
    verb.add_argument(
        "--check",
        action="store_true",
        help="write nothing, and tell whether FILE is up to date: exit code 1 where it is not",
    )
    _graphql_explain(below)


def _graphql_explain(below: _Verbs) -> None:
    verb = below.with_config(
        "explain",
        "tell what is counted in a GraphQL document, and which limits that meets",
        graphql_explain.explain,
        "proxyd graphql explain orders.graphql --config kong.yml --route graphql",
    )
    verb.add_argument("file", metavar="FILE", help="the document; - is standard input")
    verb.add_argument("--operation", metavar="NAME", help="tell of this one of its operations only")
    verb.add_argument("--variables", metavar="JSON|FILE", help="variables that go with it")
    verb.add_argument(
        "--route", metavar="NAME", help="whose plugin's limits; without it, those that hold by default"
    )
    verb.add_argument("--json", action="store_true", help="print a JSON document")


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= dev_cert.CA_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {dev_cert.CA_DAYS}")
    return int(text)


def _explain(verbs: _Verbs) -> None:
    verb = verbs.with_config(
        "explain",
        "tell where a request goes, why, and which plugins run on it",
        inspect.explain,
        "proxyd explain POST https://api.example.com/orders -H 'X-Version: 2' --consumer mobile-app",
    )
    verb.add_argument("method", metavar="METHOD", help="the request's method")
    verb.add_argument("url", metavar="URL", help="the request's URL, as the client writes it")
    verb.add_argument(
        "-H", "--header", metavar="NAME:VALUE", action="append", default=[], help="a header; may be repeated"
    )
    verb.add_argument("--consumer", metavar="NAME", help="the consumer that authentication finds")


class _Verbs:
    """The verbs of a parser."""

    def __init__(self, parser: argparse.ArgumentParser, dest: str = "verb") -> None:
        self._verbs = parser.add_subparsers(title="commands", dest=dest, metavar="COMMAND", required=True)

    def add(self, name: str, text: str, action: Action, example: str) -> argparse.ArgumentParser:
        verb = self._verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.set_defaults(action=action)
        return verb

    def group(self, name: str, text: str, example: str) -> _Verbs:
        """Add a verb that has verbs of its own."""
        return _Verbs(self.add(name, text, version, example), f"{name}_verb")

    def hidden(self, name: str, action: Action) -> argparse.ArgumentParser:
        verb = self._verbs.add_parser(name, add_help=False)
        verb.set_defaults(action=action)
        return verb

    def with_config(self, name: str, text: str, action: Action, example: str) -> argparse.ArgumentParser:
        verb = self.add(name, text, action, example)
        verb.add_argument(
            "-c",
            "--config",
            metavar="FILE",
            help="the declarative file; default $PROXYD_DECLARATIVE_CONFIG, then config/proxyd.yml",
        )
        return verb


def version(_arguments: argparse.Namespace) -> int:
    """Print the version."""
    stdout().line(f"proxyd {__version__}")
    return 0
