"""The verbs for a gateway that runs: reload, reopen, upgrade, stop, quit, status, wait-ready."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import orjson

from proxyd.cli import top
from proxyd.cli.codes import ABSENT, LATE, REFUSED, CommandError
from proxyd.cli.figures import read_metrics
from proxyd.cli.gateway import Gateway, Process
from proxyd.cli.output import Output, stderr, stdout
from proxyd.clock import Clock

if TYPE_CHECKING:
    import argparse

    from proxyd.cli.listener import StatusListener

POLL = 0.1  # seconds between two looks


# --- the configuration -------------------------------------------------------------------------------------------


def reload(arguments: argparse.Namespace) -> int:
    """Have the configuration loaded anew, and tell what came of it: 1 where it was refused."""
    gateway = Gateway(arguments)
    with gateway.open() as process:
        listener = gateway.listener
        if listener is None:
            process.signal(signal.SIGHUP)
            stderr().line(
                "proxyd: asked; status_listen is off, so what came of it stands in the event log alone"
            )
            return 0
        before = _document(listener, process)["last_reload"]["number"]
        process.signal(signal.SIGHUP)
        until = _Until(arguments.timeout)
        while (document := _document(listener, process))["last_reload"]["number"] == before:
            until.wait(process, "the configuration is being loaded")
    outcome = document["last_reload"]
    if outcome["success"]:
        out = stdout()
        out.line(f"{out.style('reloaded', 'green', 'bold')}: generation {document['generation']}")
        return 0
    complain = stderr()
    for problem in outcome["errors"]:
        complain.line(f"{complain.style('error', 'red', 'bold')}: {problem}")
    complain.line(f"not reloaded: generation {document['generation']} goes on")
    return REFUSED


def upgrade(arguments: argparse.Namespace) -> int:
    """Have every worker replaced by one that runs the installed code: 1 where that was given up."""
    gateway = Gateway(arguments)
    with gateway.open() as process:
        listener = gateway.asked()
        document = _document(listener, process)
        if "workers" not in document:
            raise CommandError(
                "this gateway is one process, without workers that could be replaced: restart it, or run it with --workers"
            )
        before = _replaced(listener)
        process.signal(signal.SIGUSR2)
        count = len({one["slot"] for one in document["workers"]})
        until = _Until(arguments.timeout)
        while (now := _replaced(listener))[0] < before[0] + count:
            if now[1] > before[1]:
                raise CommandError(
                    "given up: a new worker did not come up, and the old ones go on; the event log says why"
                )
            until.wait(process, "workers are being replaced")
    stdout().line(f"upgraded: {count} workers")
    return 0


def _replaced(listener: StatusListener) -> tuple[float, float]:
    """Count replacements that were made, and such as were given up."""
    figures = read_metrics(listener)
    made = figures.total("proxyd_worker_replacements_total", result="success")
    return made, figures.total("proxyd_worker_replacements_total") - made


def reopen(arguments: argparse.Namespace) -> int:
    """Have the logs opened anew."""
    with Gateway(arguments).open() as process:
        process.signal(signal.SIGUSR1)
    return 0


# --- the end -----------------------------------------------------------------------------------------------------


def stop(arguments: argparse.Namespace) -> int:
    """Have it stop within ``shutdown_timeout``, and wait for that."""
    return _end(arguments, signal.SIGTERM)


def quit_(arguments: argparse.Namespace) -> int:
    """Have it finish what is under way, and wait for that."""
    return _end(arguments, signal.SIGQUIT)


def _end(arguments: argparse.Namespace, number: signal.Signals) -> int:
    with Gateway(arguments).open() as process:
        process.signal(number)
        if not process.gone(arguments.timeout):
            raise CommandError(f"process {process.pid} still runs after {arguments.timeout:g} s", LATE)
    stdout().line(f"stopped: process {process.pid}")
    return 0


# --- how it is ---------------------------------------------------------------------------------------------------


def status(arguments: argparse.Namespace) -> int:
    """Tell how it is: 1 where it answers and is not ready."""
    gateway = Gateway(arguments)
    listener = gateway.asked()
    if arguments.watch:
        return top.watch(listener, arguments.interval, arguments.count, json=arguments.json)
    document = listener.status()
    code, body = listener.get("/status/ready")
    ready = code == 200  # noqa: PLR2004  # OK
    if arguments.json:
        stdout().line(orjson.dumps({"ready": ready, **document}, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(
            stdout(), document, "ready" if ready else f"not ready: {orjson.loads(body).get('message', code)}"
        )
    return 0 if ready else REFUSED


def _tell(out: Output, document: dict[str, Any], state: str) -> None:
    def line(label: str, text: str) -> None:
        out.line(f"{out.style(label.ljust(14), 'bold')}{text}")

    line("proxyd", f"{document['version']}, {state}")
    line("process", f"{document['pid']}, since {document['started_at']}")
    line("configuration", f"generation {document['generation']}, {document['configuration_hash'][:12]}")
    attempt = document["last_reload"]
    if attempt is not None and not attempt["success"]:
        line("last reload", out.style(f"refused at {attempt['time']}", "red"))
        for problem in attempt["errors"]:
            line("", problem)
    server = document.get("server")
    if server is not None:
        line("connections", top.connections_of(server))
        line("requests", str(server["total_requests"]))
    out.line()
    out.table(*top.workers_of(document))
    if document.get("upstreams"):
        out.line()
        out.table(*top.upstreams_of(document))


def wait_ready(arguments: argparse.Namespace) -> int:
    """Wait until it says that it is ready."""
    gateway = Gateway(arguments)
    listener = gateway.asked()
    until = _Until(arguments.timeout)
    while True:
        try:
            code, body = listener.get("/status/ready")
            if code == 200:  # noqa: PLR2004  # OK
                return 0
            reason = str(orjson.loads(body).get("message", code))
        except OSError as error:
            reason = f"nobody answers on {listener}: {error.strerror or error}"
        except (orjson.JSONDecodeError, AttributeError):
            reason = f"what answers on {listener} is no proxyd"
        until.wait(None, reason)


class _Until:
    """Patience with an end: ``seconds``, None for none."""

    def __init__(self, seconds: float | None) -> None:
        self._clock = Clock()
        self._seconds = seconds
        self._begun = self._clock.now()

    def wait(self, process: Process | None, doing: str) -> None:
        """Wait a little; raises CommandError where time is over, or the process is."""
        if self._seconds is not None and self._clock.now() - self._begun >= self._seconds:
            raise CommandError(f"not within {self._seconds:g} s: {doing}", LATE)
        if process is None:
            top.sleep(POLL)
        elif process.gone(POLL):
            raise CommandError(f"process {process.pid} has ended", ABSENT)


def _document(listener: StatusListener, process: Process) -> dict[str, Any]:
    document = listener.status()
    if document.get("pid") != process.pid:
        raise CommandError(
            f"{listener} is answered by process {document.get('pid')}, not by {process.pid}: --status says whom to ask",
            ABSENT,
        )
    return document
