"""The command line of the verbs for a gateway that runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from proxyd.cli import manage
from proxyd.model import units
from proxyd.model.listen import parse_listen

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.model.listen import Listen

    Make = Callable[..., argparse.ArgumentParser]

PATIENCE = 120.0  # seconds


def add(make: Make) -> None:
    """Add them; ``make`` adds a verb by name, help, action and example."""
    for name, text, action, example in (
        (
            "reload",
            "have the configuration loaded anew, and tell what came of it",
            manage.reload,
            "proxyd reload --config kong.yml",
        ),
        (
            "upgrade",
            "replace every worker by one that runs the installed code",
            manage.upgrade,
            "proxyd upgrade --pid-file /run/proxyd/proxyd.pid",
        ),
        (
            "stop",
            "stop the gateway within shutdown_timeout, and wait for that",
            manage.stop,
            "proxyd stop --timeout 30s",
        ),
        (
            "quit",
            "let the gateway finish what is under way, and wait for that",
            manage.quit_,
            "proxyd quit --pid 4711",
        ),
        (
            "wait-ready",
            "wait until the gateway is ready",
            manage.wait_ready,
            "proxyd wait-ready --timeout 30s --status 127.0.0.1:8007",
        ),
    ):
        verb = make(name, text, action, example)
        _which(verb, by_pid=name != "wait-ready")
        verb.add_argument(
            "--timeout",
            metavar="TIME",
            type=_time,
            default=PATIENCE,
            help="how long to wait for that, such as 30s, or 0 for however long it takes; default 2m",
        )
    _which(make("reopen", "have the logs opened anew, after rotation", manage.reopen, "proxyd reopen"))
    _status(make("status", "tell how the gateway is", manage.status, "proxyd status --watch"))


def _which(verb: argparse.ArgumentParser, *, by_pid: bool = True) -> None:
    if by_pid:
        verb.add_argument("--pid", metavar="N", type=_number, help="the gateway is this process")
        verb.add_argument(
            "--pid-file",
            metavar="FILE",
            help="or the one that this file names; default: the setting pid_file, then whoever answers on status_listen",
        )
    verb.add_argument(
        "--status",
        metavar="ADDRESS",
        type=_listens,
        help="its status listener, as 127.0.0.1:8007 or unix:/run/proxyd/status.sock; default: the setting status_listen",
    )


def _status(verb: argparse.ArgumentParser) -> None:
    _which(verb, by_pid=False)
    verb.add_argument("--json", action="store_true", help="as JSON: a document, or with --watch one per line")
    verb.add_argument("--watch", action="store_true", help="go on, with figures per second")
    verb.add_argument(
        "--interval", metavar="TIME", type=_interval, default=1.0, help="with --watch: how often; default 1s"
    )
    verb.add_argument(
        "--count", metavar="N", type=_number, help="with --watch: how many times; default: for ever"
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of 1 or more")
    return int(text)


def _time(text: str) -> float | None:
    try:
        return units.duration(text) or None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error.args[0]}") from None


def _interval(text: str) -> float:
    seconds = _time(text)
    if seconds is None:
        raise argparse.ArgumentTypeError("must be more than nothing")
    return seconds


def _listens(text: str) -> tuple[Listen, ...]:
    try:
        listens = parse_listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error.args[0])) from None
    if len(listens) != 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not one address")
    return listens
