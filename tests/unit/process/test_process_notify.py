"""What a service manager is told, over real datagram sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from proxyd.clock import Clock
from proxyd.process.notify import Notifier

PID = 4711


class StandingClock(Clock):
    def now(self):
        return 12.5


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Give a service manager's socket, and its address as NOTIFY_SOCKET has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        path = str(tmp_path / "notify")
        sock.bind(path if request.param == "path" else f"\0{path}")
        yield sock, path if request.param == "path" else f"@{path}"


def heard(sock):
    return sock.recv(4096).decode().split("\n")


def test_each_state_is_one_datagram(manager):
    """READY with the main process, RELOADING with its time, STOPPING, and what goes on in words, on one line."""
    sock, address = manager
    environ = {"NOTIFY_SOCKET": address, "PATH": "/"}
    one = Notifier(environ, PID, StandingClock())
    assert environ == {"PATH": "/"}
    one.ready("generation 1")
    one.reloading()
    one.status("still\nhere")
    one.stopping("draining")
    assert [heard(sock) for _ in range(4)] == [
        ["READY=1", "MAINPID=4711", "STATUS=generation 1"],
        ["RELOADING=1", "MONOTONIC_USEC=12500000", "STATUS=reloading"],
        ["STATUS=still here"],
        ["STOPPING=1", "STATUS=draining"],
    ]


async def test_signs_of_life_come_from_the_loop(manager):
    """Twice within WATCHDOG_USEC, until it is closed; a loop that hangs gives none."""
    sock, address = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(PID)}
    one = Notifier(environ, PID, Clock())
    one.watch(asyncio.get_running_loop())
    for _ in range(3):
        assert await asyncio.to_thread(heard, sock) == ["WATCHDOG=1"]
    assert repr(one) == "<Notifier on watchdog=0.01>"
    one.close()
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while sock.recv(100):
            pass
    await asyncio.sleep(0.05)
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "often"},
        {},
    ],
    ids=["another's", "rubbish", "none"],
)
async def test_nobody_is_told_what_was_meant_for_others(manager, environ):
    """A watchdog of another process, or none, wants no sign of life."""
    sock, address = manager
    one = Notifier({"NOTIFY_SOCKET": address, **environ}, PID, Clock())
    one.watch(asyncio.get_running_loop())
    one.status("the end")
    assert heard(sock) == ["STATUS=the end"]


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "relative"])
def test_without_a_manager_nothing_happens(address, capsys):
    """No socket, one that is gone, no absolute path: the gateway goes on, and warns once where there should be one."""
    one = Notifier({"NOTIFY_SOCKET": address}, os.getpid(), Clock())
    one.ready("generation 1")
    one.stopping("draining")
    assert capsys.readouterr().err.count("the service manager cannot be told") == address.startswith("/")
