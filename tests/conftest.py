"""What holds for every test: nothing is left behind, and the loop is asyncio's or uvloop's.

A test that leaves a task, a thread or a socket fails in its teardown. Ports are always 0. Async tests run on
uvloop, as the gateway does; ``--loop asyncio`` runs them on asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

DESCRIPTORS = Path("/proc/self/fd")
SETTLE = 2.0  # seconds that a thread gets to end
KEPT = "_run_safe_shutdown_loop"  # pycares has one thread for the life of the process


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop", choices=("uvloop", "asyncio"), default="uvloop", help="event loop of async tests"
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    name = config.getoption("--loop")
    return {name: uvloop.new_event_loop if name == "uvloop" else asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in tests/e2e, and have the loops of async tests looked at."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("asyncio"):
            names = item.fixturenames
            names.insert(names.index("nothing_left_behind") + 1, "nothing_left_in_loop")


def open_sockets() -> dict[str, str]:
    """Return the descriptor of each socket that this process holds, by the socket's inode."""
    found = {}
    for descriptor in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        try:
            name = str(descriptor.readlink())
        except OSError:
            continue  # the listing's own descriptor
        if name.startswith("socket:"):
            found[name] = descriptor.name
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket; set up before the loop, so that it looks after its end."""
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    if left := open_sockets().keys() - sockets.keys():
        gc.collect()  # what only a reference cycle holds is the collector's, not a leak
        left = open_sockets().keys() - sockets.keys()
    running = [
        thread for thread in threading.enumerate() if thread not in threads and KEPT not in thread.name
    ]
    give_up = time.monotonic() + SETTLE
    for thread in running:
        thread.join(max(0.0, give_up - time.monotonic()))
    running = [thread for thread in running if thread.is_alive()]
    assert not left, f"sockets left open: {sorted(left)}"
    assert not running, f"threads left running: {running}"


@pytest.fixture
async def nothing_left_in_loop() -> AsyncIterator[None]:
    """Fail an async test that leaves a task or a socket while its loop still runs.

    Closing the loop would hide a transport that nobody closed.
    """
    before, sockets = asyncio.all_tasks(), len(open_sockets())
    yield

    def left() -> list[object]:
        # Counted: uvloop makes a new pair of its own each time that it is run.
        more = len(open_sockets()) - sockets
        tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
        return [*tasks, f"{more} sockets"] if tasks or more > 0 else []

    give_up = time.monotonic() + SETTLE
    while left() and time.monotonic() < give_up:
        await asyncio.sleep(0.01)  # what was closed or cancelled goes within a few turns of the loop
        gc.collect()
    assert not left(), f"left in the loop: {left()}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """One S3 server for all tests of a process; each has keys of its own."""
    from s3_case import serve  # noqa: PLC0415  # only where it is asked for

    yield from serve(tmp_path_factory.mktemp("s3"))
