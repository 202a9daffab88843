"""Verbs and options of the command.

Exit codes: 0 all well; 1 the configuration is refused, or what was asked about does not exist; 2 the command
line is wrong. A supervisor has no use in starting 1 or 2 again.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from proxyd import __version__
from proxyd.cli import inspect, run
from proxyd.cli.output import stderr, stdout
from proxyd.errors import ConfigError, ProxydError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXAMPLES = """\
examples:
  proxyd run                                     the gateway with config/proxyd.yml
  proxyd run --config kong.yml                   with a file of Kong's
  proxyd check --config kong.yml                 every error in it, with its line
  proxyd routes                                  routes in the order in which they are tried
  proxyd explain GET http://localhost/api/items  which one wins, and why
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="proxyd",
        description="An API gateway that reads Kong's declarative files.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"proxyd {__version__}")
    verbs = parser.add_subparsers(title="commands", dest="verb", metavar="COMMAND", required=True)

    def add(
        name: str,
        text: str,
        action: Callable[[argparse.Namespace], int],
        example: str,
        *,
        config: bool = True,
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if config:
            verb.add_argument(
                "-c",
                "--config",
                metavar="FILE",
                help="the declarative file; default $PROXYD_DECLARATIVE_CONFIG, then config/proxyd.yml",
            )
        verb.set_defaults(action=action)
        return verb

    add("run", "start the gateway", run.run, "PROXYD_PROXY_LISTEN=0.0.0.0:80 proxyd run --config kong.yml")
    add(
        "check",
        "check a configuration and count what is in it",
        inspect.check,
        "proxyd check --config kong.yml",
    )
    add("routes", "list the routes in the order in which they are tried", inspect.routes, "proxyd routes")
    verb = add(
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
    add(
        "schema",
        "print a JSON Schema of the file, for editors",
        inspect.schema,
        "proxyd schema > proxyd.schema.json",
        config=False,
    )
    verb = add(
        "demo", "start the demo backend alone", run.demo, "proxyd demo --listen 127.0.0.1:3000", config=False
    )
    verb.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:3000", help="default %(default)s")
    add("version", "print the version", version, "proxyd version", config=False)
    return parser


def version(_arguments: argparse.Namespace) -> int:
    """Print the version."""
    stdout().line(f"proxyd {__version__}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        action: Callable[[argparse.Namespace], int] = arguments.action
        return action(arguments)
    except ConfigError as error:
        stderr().problems(error.problems, "error", "red")
        return 1
    except ProxydError as error:
        stderr().line(f"proxyd: {error}")
        return 1
    except BrokenPipeError:  # the reader, head for one, has seen enough
        return 0
    except KeyboardInterrupt:
        return 130
