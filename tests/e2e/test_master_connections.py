"""Requests under way, counted over all workers."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from e2e_gateway import config_for
from e2e_master import Gang
from e2e_wire import connect

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LIMIT = 3
TRIES = 12  # connections: enough for either worker to get some


@pytest.fixture
async def silent():
    """Give the port of an upstream that takes requests and answers none."""
    held = []

    async def hold(_reader, writer):
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.close()


async def crowd(port):
    """Ask over many connections; return those that wait for their answer, and the statuses of the others."""
    wires = [await connect(port) for _ in range(TRIES)]
    answers = [asyncio.ensure_future(wire.ask(GET)) for wire in wires]
    while sum(answer.done() for answer in answers) < TRIES - LIMIT:
        await asyncio.wait([one for one in answers if not one.done()], return_when=asyncio.FIRST_COMPLETED)
    statuses = [answer.result().status for answer in answers if answer.done()]
    return wires, [answer for answer in answers if not answer.done()], statuses


async def test_workers_share_a_limit_and_a_killed_one_gives_back_what_it_held(tmp_path, silent):
    """As many as the limit wait, whichever worker has them, before and behind a kill -9 of all workers."""
    config = config_for(silent)
    config["plugins"] = [{"name": "connection-limiting", "config": {"per_ip": LIMIT}}]
    gang = await Gang.start(config, tmp_path, 2)
    try:
        for turn in range(2):
            wires, waiting, statuses = await crowd(gang.port)
            assert (len(waiting), statuses) == (LIMIT, [429] * (TRIES - LIMIT))
            for slot, pid in (await gang.workers()).items() if not turn else ():
                os.kill(pid, signal.SIGKILL)
                await gang.restarted(slot, pid)
            for answer in waiting:
                answer.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for wire in wires:
                wire.close()
    finally:
        await gang.close()
