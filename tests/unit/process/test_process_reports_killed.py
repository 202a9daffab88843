"""A worker that is killed in the very moment in which it counts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys

import pytest
from test_process_worker import SETTINGS

from proxyd.telemetry.fleet import Fleet

# Dies when it is about to write a request down, or as soon as it has.
WORKER = """
import asyncio, os, signal, sys
import uvloop
from proxyd.cli.config import plugin_configs
from proxyd.model.load import load_text
from proxyd.process.worker import Worker
from proxyd.telemetry.journal import Journal

text, settings, when = sys.argv[2], eval(sys.argv[3]), sys.argv[4]
count = Journal.request

def request(self, *values):
    if when == "behind":
        count(self, *values)
    os.kill(os.getpid(), signal.SIGKILL)

Journal.request = request

async def main():
    loaded = load_text(text, "kong.yml", env={}, plugins=plugin_configs(), overrides=settings)
    worker = Worker(loaded, lambda: loaded, figures=int(sys.argv[1]), name="worker 0")
    await worker.start()
    print(worker.addresses[0].rpartition(":")[2], flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""
PROXIED = """\
_format_version: "3.0"
services: [{name: shop, url: "http://127.0.0.1:%d", routes: [{name: orders, paths: [/]}]}]
"""
NOTHING = '_format_version: "3.0"\n'


async def upstream(reader, writer):
    with contextlib.suppress(OSError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("proxied", [True, False], ids=["proxied", "own"])
@pytest.mark.parametrize(("when", "counted"), [("before", 0), ("behind", 1)])
async def test_no_client_has_an_answer_that_is_not_counted(proxied, when, counted):
    """An answer leaves the process behind its record, whether it is an upstream's or the gateway's own."""
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    text = PROXIED % server.sockets[0].getsockname()[1] if proxied else NOTHING
    fleet = Fleet()
    fd = fleet.open()
    process = subprocess.Popen(  # noqa: ASYNC220  # its end is waited for in a thread
        [sys.executable, "-c", WORKER, str(fd), text, repr(SETTINGS | {"status_listen": "off"}), when],
        stdout=subprocess.PIPE,
        pass_fds=[fd],
    )
    fleet.begun(0, process.pid, fd)
    try:
        port = int(await asyncio.to_thread(process.stdout.readline))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
        assert answer == b""
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        server.close()
        await server.wait_closed()
    fleet.ended(process.pid)
    assert fleet.summary().requests == counted
