"""Processes that are no good workers, and what their master makes of them."""

from __future__ import annotations

import asyncio
import math
import os
import sys

import pytest

from proxyd.clock import Clock
from proxyd.errors import Place, Problem
from proxyd.master import child as module
from proxyd.master import crew as crew_module
from proxyd.master.child import Child, LaunchError, Order
from proxyd.master.crew import Crew
from proxyd.master.messages import PROTOCOL
from proxyd.telemetry.worker_families import WorkerCounts

ORDER = Order("text", "base", "kong.yml", [], [], None)
TALKS = f"""
import os, socket, sys, time
from proxyd.master.messages import Reader, encode
wire = socket.socket(fileno=int(sys.argv[1]))
reader, heard = Reader(), []
def say(what, **values):
    wire.sendall(encode({{"what": what, **values}}))
def hear(what):
    while not any(message["what"] == what for message, _ in heard):
        data = wire.recv(65536)
        if not data:
            sys.exit(0)
        heard.extend(reader.feed(data))
def hello(protocol={PROTOCOL}):
    say("hello", protocol=protocol, version="9.9")
"""
UP = "hello(); hear('start'); say('ready')\n"
PROBLEM = {"file": "kong.yml", "line": 3, "column": 1, "path": "services", "message": "is wrong", "hint": ""}


@pytest.fixture
def child(monkeypatch):
    """Give what makes a worker that does what a script says."""

    def make(script, figures=None):
        argv = [sys.executable, "-c", TALKS + script]
        monkeypatch.setattr(module, "command", lambda _slot, channel: [*argv, str(channel)])
        return Child(1, ORDER, Clock(), figures)

    return make


async def test_what_a_killed_worker_has_not_read_is_not_waited_for(child):
    """Not even where a process that it has left behind holds the channel, and reads nothing either."""
    one = child(
        UP
        + "os.set_inheritable(wire.fileno(), True)\nif os.fork() == 0:\n    time.sleep(5)\n    os._exit(0)\ntime.sleep(60)"
    )
    await one.start(20)
    one.tell("much", text="x" * 4_000_000)
    async with asyncio.timeout(4):
        await one.kill()
    assert one.how() == "signal SIGKILL"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("sys.exit(3)", r"ended before it served \(exit code 3\)"),
        ("hello(); hear('start'); os.kill(os.getpid(), 9)", r"ended before it served \(signal SIGKILL\)"),
        ("hello(protocol=0); hear('never')", "is version 9.9, which this master cannot talk to: restart it"),
        ("hello(); hear('never')", r"does not serve after 1\.5 seconds"),
        ("wire.sendall(b'GET / HTTP/1.1'); hear('never')", "ended before it served"),
    ],
    ids=["exits", "dies", "other version", "silent", "nonsense"],
)
async def test_a_worker_that_does_not_begin_to_serve(child, script, reason):
    """The launch fails with the reason, and no process is left."""
    one = child(script)
    with pytest.raises(LaunchError, match=reason):
        await one.start(1.5 if "never" in script else 20)
    await one.kill()
    assert one.state == "ended"
    assert not one.alive()


async def test_a_refused_configuration_comes_with_its_problems(child):
    """As the worker found them, with their places."""
    one = child(f"hello(); hear('start'); say('failed', problems=[{PROBLEM!r}]); hear('never')")
    with pytest.raises(LaunchError) as caught:
        await one.start(20)
    assert caught.value.problems == [Problem(Place("kong.yml", 3, 1), "services", "is wrong")]
    await one.kill()


async def test_what_cannot_be_executed_is_said_so(monkeypatch):
    """There is no process then, and nothing to end."""
    monkeypatch.setattr(module, "command", lambda *_: ["/nonexistent/python"])
    one = Child(0, ORDER, Clock())
    with pytest.raises(LaunchError, match="cannot be started: No such file or directory"):
        await one.start(20)
    await one.kill()
    assert repr(one) == "<Child slot=0 pid=0 ended>"


async def test_a_worker_serves_until_it_is_asked_to_end(child):
    """Ready, draining, ended; whoever looks after its figures hears of begin and end."""
    heard = []

    class Figures:
        def open(self):
            return os.memfd_create("figures")

        def begun(self, slot, pid, fd):
            os.close(fd)
            heard.append(("begun", slot, pid))

        def ended(self, pid):
            heard.append(("ended", pid))

    one = child(UP + "hear('drain')", Figures())
    await one.start(20)
    assert (one.state, one.leaving.is_set()) == ("ready", False)
    one.drain(1.0)
    assert (one.state, one.leaving.is_set()) == ("draining", True)
    assert await one.see_off(20)
    assert (one.state, one.how()) == ("ended", "exit code 0")
    assert heard == [("begun", 1, one.pid), ("ended", one.pid)]


async def test_whose_figures_cannot_be_read_has_ended_all_the_same(child, capsys):
    """Its slot is filled again; what was lost is told."""

    class Figures:
        def open(self):
            return os.memfd_create("figures")

        def begun(self, _slot, _pid, fd):
            os.close(fd)

        def ended(self, _pid):
            raise ValueError("torn")

    one = child(UP + "hear('drain')", Figures())
    await one.start(20)
    one.drain(1.0)
    async with asyncio.timeout(10):
        await one.ended.wait()
    assert "figures of a worker are lost" in capsys.readouterr().err


async def test_a_replacement_waits_for_no_next_try():
    """What keeps workers from coming up may be gone with the code that is there now."""
    crew = Crew(1, lambda: ORDER, Clock(), WorkerCounts(), lambda: math.inf)
    assert await crew.replace()
    assert crew.slots[0].again.is_set()


async def test_who_does_not_end_is_killed(child):
    """After its time."""
    one = child(UP + "hear('drain'); time.sleep(60)")
    await one.start(20)
    one.drain(0.0)
    assert not await one.see_off(0.1)
    assert one.how() == "signal SIGKILL"


async def test_who_hangs_is_not_waited_for_once_requests_are_cut(child, monkeypatch):
    """However long requests may take: it hears of nothing."""
    monkeypatch.setattr(crew_module, "GRACE", 0.1)
    child(UP + "time.sleep(60)")
    crew = Crew(1, lambda: ORDER, Clock(), WorkerCounts(), lambda: math.inf)
    await crew.start()
    (one,) = crew.children
    await crew.stop(math.inf)
    crew.cut()
    async with asyncio.timeout(10):
        await crew.gone()
    assert one.how() == "signal SIGKILL"


async def test_one_whose_channel_somebody_else_holds_is_found_dead(child):
    """A process that a worker has left behind keeps the channel open: the worker is gone all the same."""
    one = child(
        UP
        + "os.set_inheritable(wire.fileno(), True)\nif os.fork() == 0:\n    time.sleep(2)\n    os._exit(0)\nos._exit(1)"
    )
    await one.start(20)
    async with asyncio.timeout(5):
        while one.alive():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await one.ended.wait()
    assert one.how() == "exit code 1"
