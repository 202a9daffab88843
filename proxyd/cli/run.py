"""``proxyd run`` and ``proxyd demo``: what stays until it is told to stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import uvloop

from proxyd.admin.source import POSTED
from proxyd.cli import config, stored
from proxyd.cli.output import stderr, stdout
from proxyd.clock import Clock
from proxyd.errors import ProxydError
from proxyd.master.count import count_of
from proxyd.master.master import Master
from proxyd.master.member import Member
from proxyd.model.files import FileWatch, stamp_of
from proxyd.model.grammar import split_port
from proxyd.process import inherited, pid_file
from proxyd.process.administered import Texts
from proxyd.process.life import Life
from proxyd.process.notify import Notifier
from proxyd.process.pid_file import PidFile
from proxyd.process.worker import Worker
from proxyd.telemetry import events

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from proxyd.cli.stored import Beginning
    from proxyd.model.load import Loaded
    from proxyd.telemetry.writer import LineWriter


def run(arguments: argparse.Namespace) -> int:
    """Start the gateway; returns when it has stopped."""
    overrides = {} if arguments.workers is None else {"workers": arguments.workers}
    if arguments.watch:
        overrides["watch"] = "on"
    name = config.find(arguments.config)
    watched = FileWatch(name, stamp_of(name))  # before it is read: what changes meanwhile is seen later
    of_file = stored.of_file(name, overrides)
    loaded = of_file.loaded
    descriptors = [*arguments.fd, *inherited.from_environment(os.environ, os.getpid())]
    count = count_of(loaded.settings.workers)
    given = inherited.adopt(descriptors, loaded.settings)
    stderr().problems(loaded.warnings, "warning", "yellow")
    writer = events.configure(loaded.settings.log_level, loaded.settings.proxy_error_log)

    def make(begin: Beginning) -> Worker | Master:
        database = begin.database
        if count:
            values = begin.loaded, begin.text, begin.name, begin.read, begin.load, count
            return Master(*values, given=given, database=database)
        name = POSTED if database is None else begin.name
        texts = Texts(begin.read, lambda text: config.read_as(text, name, overrides))
        load = lambda: begin.load(begin.read())  # noqa: E731
        return Worker(begin.loaded, load, texts=texts, given=given, database=database)

    holding = PidFile(pid_file.locate(loaded.settings.pid_file, os.environ))
    try:
        if loaded.settings.pid_file:
            holding.take(os.getpid())
        uvloop.run(_serve(make, of_file, writer, watched if loaded.settings.watch else None))
    finally:
        holding.release()
        if writer is not None:
            writer.close()
    return 0


def worker(arguments: argparse.Namespace) -> int:
    """Be one worker of a master."""

    async def serve() -> int:
        return await Member(arguments.channel, config.read_as).run()

    return uvloop.run(serve())


async def _serve(
    make: Callable[[Beginning], Worker | Master],
    of_file: Beginning,
    writer: LineWriter | None,
    watched: FileWatch | None,
) -> None:
    demo, loaded = None, of_file.loaded
    if loaded.settings.demo:
        from proxyd.apps.demo.app import start_demo  # noqa: PLC0415  # graphql-core, for those who want it

        host, port = _address(os.environ.get("BACKEND_ADDRESS") or "127.0.0.1:3000")
        demo, _ = await start_demo(host, port)
    notifier = Notifier(os.environ, os.getpid(), Clock())
    try:
        async with stored.of_settings(of_file) as begin:
            process = make(begin)
            await Life(process, lambda: _announce(process, loaded), writer, notifier, watched).run()
    finally:
        if demo is not None:
            await demo.cleanup()


def _announce(worker: Worker | Master, loaded: Loaded) -> None:
    """Print where the gateway can be reached.

    To a terminal, or for the demo. Elsewhere standard output may be a file of JSON lines, and the event
    ``started`` says the same.
    """
    if not (os.isatty(1) or loaded.settings.demo):
        return
    out = stdout()
    for address in worker.addresses:
        out.line(f"{out.style('proxy', 'bold')}   {address}")
    for address in worker.status_addresses:
        out.line(f"{out.style('status', 'bold')}  {address}/metrics {address}/status")
    if loaded.settings.demo and worker.addresses:
        base = worker.addresses[0].replace("0.0.0.0", "localhost").replace("[::]", "localhost")  # noqa: S104
        out.line(out.style("try", "bold"))
        out.line(f"  curl {base}/api/proxy/orders")
        out.line(f"  curl -N '{base}/api/proxy/events?n=5&interval=0.5'")
        query = '{"query": "{ orders { id item quantity } }"}'
        out.line(f"  curl {base}/api/graphql -H 'Content-Type: application/json' -d '{query}'")


def demo(arguments: argparse.Namespace) -> int:
    """Start the demo backend alone."""
    from proxyd.apps.demo.app import run_demo  # noqa: PLC0415  # the same

    host, port = _address(arguments.listen)
    uvloop.run(run_demo(host, port))
    return 0


def _address(text: str) -> tuple[str, int]:
    host, port = split_port(text)
    if port is None:
        raise ProxydError(f"'{text}' has no port: 127.0.0.1:3000, for example")
    return host.strip("[]"), port
