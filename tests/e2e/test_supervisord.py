"""The ecosystem file that ships, run by a real supervisord: what PM2 does for a team, with nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from e2e_supervisord import Ecosystem, missing, posting
from e2e_wire import OK
from fleet import Fleet
from keeper import Keeper
from schedule import Schedule

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def config(port, **route):
    document = {
        "_format_version": "3.0",
        "services": [
            {
                "name": "a",
                "url": f"http://127.0.0.1:{port}",
                "routes": [{"name": "r", "paths": ["/"], **route}],
            }
        ],
    }
    return json.dumps(document)


def variables_of(pid):
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


@pytest.fixture
async def ecosystem(tmp_path, origin):
    """Give what starts the instances in front of an origin, with variables."""
    running = []

    async def start(name="production", **env):
        upstream = await origin(OK)
        one = Ecosystem(tmp_path, name, env)
        (tmp_path / "proxyd.yml").write_text(config(upstream.port))
        running.append(one)
        await one.start()
        one.upstream = upstream.port
        return one

    yield start
    for one in running:
        await one.stop()


async def test_new_code_takes_over_without_a_request_lost(ecosystem, tmp_path):
    """Instances are exchanged one by one under load; code that does not start is not taken by a second one."""
    code = tmp_path / "code"
    shutil.copytree(
        ROOT / "proxyd",
        code / "proxyd",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    one = await ecosystem(PYTHONPATH=str(code))
    before = one.ready()
    (code / "proxyd/clock.py").touch()
    async with posting(one.port) as load:
        await load.more(100)
        code_of_it, said = await one.call("reload")
        await load.more(100)
    assert (code_of_it, load.failures) == (0, []), said
    after = one.ready()
    assert len(after) == 2
    assert not set(after) & set(before), said
    assert said.count("is ready, process") == 2
    # The check runs through, and the start does not.
    with (code / "proxyd/process/worker.py").open("a") as file:
        file.write("\nWorker.start = None\n")
    async with posting(one.port) as load:
        code_of_it, said = await one.call("reload")
        await load.more(100)
    assert (code_of_it, load.failures) == (1, []), said
    assert "left as they were: proxyd:proxyd_01" in said
    assert one.ready() == after[1:]


async def test_a_configuration_is_taken_over_by_the_processes_that_run(ecosystem):
    """Nothing was installed, so nothing is exchanged; a file that is wrong touches nobody."""
    one = await ecosystem()
    before = one.ready()
    (one.directory / "proxyd.yml").write_text(config(one.upstream, methods=["POST"]))
    async with posting(one.port) as load:
        await load.more(100)
        code, said = await one.call("reload")
        await load.more(100)
    assert (code, load.failures) == (0, []), said
    assert said.count("runs the new configuration") == 2
    assert one.ready() == before
    (one.directory / "proxyd.yml").write_text(config(one.upstream, method=["POST"]))
    code, said = await one.call("reload")
    assert code == 1
    assert "nothing was touched" in said
    assert "did you mean 'methods'" in said
    assert one.ready() == before


async def test_a_killed_process_costs_what_it_had(ecosystem):
    """The other one takes every new connection from the queue that they share, until it is back."""
    one = await ecosystem()
    before = one.ready()
    async with posting(one.port) as load:
        await load.more(100)
        os.kill(before[0], signal.SIGKILL)
        await one.until(lambda: len(set(one.ready()) - {before[0]}) == 2, "another process took its place")
        await load.more(100)
    assert len(load.failures) <= 8, load.failures  # as many as there are connections
    assert not [failure for failure in load.failures if "Refused" in failure]


async def test_one_that_holds_too_much_memory_is_exchanged(ecosystem):
    """The keeper looks every five seconds, and no request is lost when it acts."""
    one = await ecosystem(MEMORY_LIMIT="10M", GRACE="0")
    before = one.ready()
    async with posting(one.port) as load:
        await one.until(
            lambda: set(one.ready()) != set(before) and len(one.ready()) == 2, "one was exchanged"
        )
        await load.more(100)
    assert load.failures == []
    assert "it held too much memory" in (one.logs / "keeper.log").read_text()


async def test_one_that_does_not_answer_is_killed(ecosystem, monkeypatch):
    """It would finish nothing; another process comes in its place."""
    one = await ecosystem()
    monkeypatch.setattr("fleet.PROBE", 0.3)
    keeper = Keeper(Fleet(one.run), 0, None, 0.0)
    before = one.ready()
    await one.until(
        lambda: all(each.state == "RUNNING" for each in Fleet(one.run).instances()), "they count as started"
    )
    await asyncio.to_thread(keeper.tick, time.time())
    assert one.ready() == before
    os.kill(before[1], signal.SIGSTOP)
    await asyncio.to_thread(keeper.tick, time.time())
    await one.until(lambda: len(set(one.ready()) - {before[1]}) == 2, "another process took its place")
    assert before[0] in one.ready()


async def test_all_are_exchanged_when_their_time_has_come(ecosystem):
    """Once in each minute that the schedule includes, one after another, with nothing lost."""
    one = await ecosystem()
    keeper = Keeper(Fleet(one.run), 0, Schedule("* * * * *"), 0.0)
    before = one.ready()
    await one.until(
        lambda: all(each.state == "RUNNING" for each in Fleet(one.run).instances()), "they count as started"
    )
    now = time.time()
    async with posting(one.port) as load:
        await asyncio.to_thread(keeper.tick, now)
        await asyncio.to_thread(keeper.tick, now)
        await load.more(100)
    after = one.ready()
    assert load.failures == []
    assert len(after) == 2
    assert not set(after) & set(before)


async def test_the_last_one_is_not_taken_away(ecosystem):
    """With one instance, an exchange would close the port: it is refused."""
    one = await ecosystem(INSTANCES="1")
    before = one.ready()
    code, said = await one.call("reload", "--rolling")
    assert (code, one.ready()) == (1, before)
    assert "no other instance is ready" in said


@pytest.mark.parametrize(("name", "level"), [("production", "notice"), ("development", "info")])
async def test_each_environment_is_one_command_away(ecosystem, name, level):
    """Variables come from its file; each process has logs of its own, which are rotated between lines."""
    one = await ecosystem(name, LOG_SIZE="2KB", LOG_BACKUPS="9")
    async with posting(one.port, kept=1, fresh=1) as load:
        await one.until(lambda: any(one.logs.glob("access-*.log.1")), "a log was rotated")
    assert load.failures == []
    assert f"PROXYD_LOG_LEVEL={level}" in variables_of(one.ready()[0])
    assert {file.name for file in one.logs.glob("events-*.log")} == {"events-00.log", "events-01.log"}
    code, said = await one.call("status")
    assert said.count("RUNNING") + said.count("STARTING") == 3, (code, said)
    await one.stop()
    for instance in ("00", "01"):
        files = sorted(one.logs.glob(f"access-{instance}.log*"), key=lambda file: file.name, reverse=True)
        text = "".join(file.read_text() for file in files)
        assert all(json.loads(line)["status"] == 200 for line in text.splitlines())


async def test_the_commands_of_the_guide_work(ecosystem):
    """One after another as they stand there; the last one ends everything."""
    guide = (ROOT / "docs/process-managers.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    commands = [line.split() for line in block.splitlines()]
    assert {tuple(command[:2]) for command in commands} == {("supervisor/ecosystem", "production")}
    one = await ecosystem()
    for command in commands:
        code, said = await one.call(*command[2:])
        assert code == 0, (command, said)
    assert await one.ended() == 0


async def test_a_master_is_one_process_to_supervisord(ecosystem):
    """With WORKERS, its workers are replaced by new ones, or take a new configuration, by the same command."""
    one = await ecosystem(WORKERS="2", INSTANCES="1")
    (master,) = Fleet(one.run).instances()
    before = {worker["pid"] for worker in (await asyncio.to_thread(master.facts))["workers"]}
    (one.directory / "proxyd.yml").write_text(config(one.upstream, methods=["POST"]))
    async with posting(one.port) as load:
        code, said = await one.call("reload")
        assert (code, said) == (0, "proxyd:proxyd_00 runs the new configuration\n")
        await load.more(100)
        code, said = await one.call("reload", "--rolling")
        assert (code, said) == (0, "proxyd:proxyd_00 has 2 new workers\n")
        await load.more(100)
    assert load.failures == []
    after = {worker["pid"] for worker in (await asyncio.to_thread(master.facts))["workers"]}
    assert len(after) == 2
    assert not before & after
