"""The verbs for a gateway that runs, and what a service manager hears of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from e2e_command import PROXYD, Running, environment, proxyd
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE, closed_port

from proxyd.cli import main

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def command(run, capsys, monkeypatch):
    """Give what runs a verb in this process: its exit code, and what it has printed."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def act(*arguments):
        code = await asyncio.to_thread(main, [*map(str, arguments), "-c", str(run.file)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return act


def status_of(one):
    return one.status_url.removeprefix("http://")


# --- the configuration


async def test_reload_tells_what_came_of_it(run, command, origin):
    """0 with the generation, or 1 with every problem, its file and line; the gateway is found by its status listener."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port))
    where = ("--status", status_of(one))
    assert await command("reload", *where) == (0, "reloaded: generation 2\n", "")
    run.file.write_text('{"_format_version": "3.0",\n "servces": [],\n "rotes": []}')
    code, out, err = await command("reload", *where)
    lines = err.splitlines()
    assert (code, out, len(lines)) == (1, "", 3)
    assert lines[0].startswith(f"error: {run.file}:2:2: servces: unknown")
    assert lines[1].startswith(f"error: {run.file}:3:2: rotes: unknown")
    assert lines[2] == "not reloaded: generation 2 goes on"
    code, out, err = await command("status", *where)
    assert (code, err) == (0, "")
    assert f"{run.file}:2:2: servces" in out


@pytest.mark.parametrize("workers", ["off", "1"])
async def test_a_watched_file_is_taken_over_when_it_changes(run, origin, raw, workers):
    """Put in place of the one before, as editors do; a wrong one is told once, and changes nothing."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port), "--watch", "--workers", workers, patience=60)
    fresh = run.file.with_suffix(".new")
    fresh.write_text("{}")
    fresh.rename(run.file)
    await one.event("reload refused")
    fresh.write_text(json.dumps(config_for(upstream.port, route={"paths": ["/new"]})))
    fresh.rename(run.file)
    await one.event("reloaded")
    client = await raw(one.port)
    assert (await client.ask(GET)).status == 404
    assert len(one.events_named("reload refused")) == 1


async def test_a_hangup_while_it_starts_is_kept(run, origin):
    """SIGHUP that comes while modules are imported does not end the process: it is done once it serves."""
    upstream = await origin(OK)
    run.file.write_text(json.dumps(config_for(upstream.port)))
    env = {
        "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
        "PROXYD_STATUS_LISTEN": "off",
        "PROXYD_ADMIN_LISTEN": "off",
        "PROXYD_PROXY_ACCESS_LOG": "off",
    }
    process = await asyncio.create_subprocess_exec(
        PROXYD,
        "run",
        "-c",
        str(run.file),
        env=environment(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    one = Running(process)
    try:
        async with asyncio.timeout(PATIENCE):
            while not catches(process.pid, signal.SIGHUP):  # noqa: ASYNC110  # the kernel tells nobody
                await asyncio.sleep(0.001)
        one.signal(signal.SIGHUP)
        await one.event("reloaded")
        assert [event["event"] for event in one.events] == ["started", "reloaded"]
        one.signal(signal.SIGTERM)
        assert await one.ended() == 0
    finally:
        await one.kill()


def catches(pid, number):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


async def test_workers_are_upgraded_and_one_process_is_not(run, command, origin):
    """With workers, each is replaced before the command ends; without, it says what to do instead."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port), "--workers", "2", patience=60)
    where = ("--status", status_of(one), "--pid", one.process.pid)
    assert await command("upgrade", *where) == (0, "upgraded: 2 workers\n", "")
    code, out, _ = await command("status", "--status", status_of(one))
    assert (code, out.count(" ready ")) == (0, 2)
    assert (await command("quit", *where))[:2] == (0, f"stopped: process {one.process.pid}\n")
    alone = await run(config_for(upstream.port))
    code, _, err = await command("upgrade", "--status", status_of(alone))
    assert (code, "restart it, or run it with --workers" in err) == (1, True)


# --- the end


@pytest.mark.parametrize("verb", ["stop", "quit"])
async def test_stop_waits_until_the_process_is_gone(run, command, origin, raw, tmp_path, verb):
    """It is found by its pid file, which goes with it; where it takes too long, 5 says so."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await go.wait()
        await wire.send(OK)

    upstream = await origin(script)
    pid = tmp_path / "proxyd.pid"
    one = await run(config_for(upstream.port), PROXYD_PID_FILE=str(pid))
    assert pid.read_text() == f"{one.process.pid}\n"
    client = await raw(one.port)
    await client.send(GET)
    await upstream.wire()
    code, _, err = await command(verb, "--pid-file", pid, "--timeout", "50ms")
    assert (code, err) == (5, f"proxyd: process {one.process.pid} still runs after 0.05 s\n")
    go.set()
    assert (await client.message()).status == 200
    code, _, err = await command(verb, "--pid-file", pid)
    assert code == 0 or "no gateway runs" in err  # it may have been faster than we
    assert await one.ended() == 0
    assert not pid.exists()


async def test_a_second_gateway_does_not_take_the_pid_file(run, origin, tmp_path):
    """It ends with 1, names the process that holds the file, and leaves it alone."""
    upstream = await origin(OK)
    pid = tmp_path / "proxyd.pid"
    one = await run(config_for(upstream.port), PROXYD_PID_FILE=str(pid))
    env = {"PROXYD_PID_FILE": str(pid), "PROXYD_PROXY_LISTEN": "127.0.0.1:0", "PROXYD_STATUS_LISTEN": "off"}
    result = await asyncio.to_thread(
        proxyd, "run", "-c", str(run.file), env=env | {"PROXYD_ADMIN_LISTEN": "off"}
    )
    assert result.returncode == 1
    assert (
        result.stderr == f"pid_file: error: {pid} belongs to a gateway that runs, process {one.process.pid}\n"
    )
    assert pid.read_text() == f"{one.process.pid}\n"


# --- how it is


async def test_status_tells_and_watches(run, command, origin, raw):
    """A page, the document, and figures per second; plain lines where there is no terminal."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port))
    client = await raw(one.port)
    await client.ask(GET)
    where = ("--status", status_of(one))
    code, out, _ = await command("status", *where)
    assert code == 0
    for words in (
        ", ready",
        f"{one.process.pid}, since ",
        "generation 1, ",
        "1 open (0 answering, 1 idle",
        "127.0.0.1:",
    ):
        assert words in out
    code, out, _ = await command("status", *where, "--json")
    assert (json.loads(out)["ready"], json.loads(out)["pid"]) == (True, one.process.pid)
    watching = asyncio.ensure_future(
        command("status", *where, "--watch", "--count", 2, "--interval", "300ms")
    )
    while not watching.done():
        await client.ask(GET)
        await asyncio.sleep(0.01)
    code, out, _ = await watching
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 2)
    assert float(lines[1].split()[0].removeprefix("requests/s=")) > 0
    assert "own_p99=- " not in lines[1]
    code, out, _ = await command("status", *where, "--watch", "--json", "--count", 1, "--interval", "10ms")
    assert json.loads(out)["connections"]["idle"] == 1


async def test_wait_ready_waits_for_it(run, command, origin):
    """0 as soon as it is ready, 5 when time is over, with what was in the way."""
    port = closed_port()
    run.file.write_text(json.dumps(config_for(1)))
    code, _, err = await command("wait-ready", "--status", f"127.0.0.1:{port}", "--timeout", "50ms")
    assert (code, err) == (
        5,
        f"proxyd: not within 0.05 s: nobody answers on 127.0.0.1:{port}: Connection refused\n",
    )
    upstream = await origin(OK)
    waiting = asyncio.ensure_future(command("wait-ready", "--status", f"127.0.0.1:{port}"))
    await run(config_for(upstream.port), PROXYD_STATUS_LISTEN=f"127.0.0.1:{port}")
    assert await waiting == (0, "", "")


# --- what is in the way


async def test_where_there_is_no_gateway_the_code_is_3(run, command, tmp_path):
    """No such process, a file that was left behind, no file, nobody on the status listener: each with its reason."""
    run.file.write_text(json.dumps(config_for(1)))
    stale = tmp_path / "stale.pid"
    stale.write_text(f"{os.getpid()}\n")
    port = closed_port()
    for options, reason in (
        (("--pid", 4_000_000), "there is no process 4000000"),
        (("--pid", 10**30), f"there is no process {10**30}"),
        (("--pid-file", stale), f"no gateway runs: {stale} was left behind by a process that has ended"),
        (
            ("--pid-file", tmp_path / "none"),
            f"no gateway runs: {tmp_path / 'none'}: No such file or directory",
        ),
        (("--status", f"127.0.0.1:{port}"), f"no gateway answers on 127.0.0.1:{port}: Connection refused"),
    ):
        assert await command("reload", *options) == (3, "", f"proxyd: {reason}\n")


async def test_without_a_status_listener_it_says_what_is_missing(run, command, monkeypatch):
    """Nothing to find the gateway by, and nobody to ask how it is."""
    monkeypatch.setenv("PROXYD_STATUS_LISTEN", "off")
    run.file.write_text(json.dumps(config_for(1)))
    code, _, err = await command("stop")
    assert (code, "give --pid or --pid-file" in err) == (1, True)
    code, _, err = await command("status")
    assert (code, err) == (1, "proxyd: status_listen is off: there is nobody to ask\n")


async def test_a_broken_file_does_not_keep_a_gateway_from_being_found(run, command, origin):
    """The settings come from the environment, or from what can be read of the file."""
    upstream = await origin(OK)
    port = closed_port()
    config = config_for(upstream.port, proxyd={"status_listen": f"127.0.0.1:{port}"})
    one = await run(config, PROXYD_STATUS_LISTEN=f"127.0.0.1:{port}")
    run.file.write_text(json.dumps(config | {"servces": []}))
    code, _, err = await command("reload")
    assert (code, "servces: unknown" in err) == (1, True)
    code, out, _ = await command("stop")
    assert (code, out) == (0, f"stopped: process {one.process.pid}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may signal everybody")
async def test_a_process_of_somebody_else_is_4(run, command):
    """Process 1, for an example."""
    run.file.write_text(json.dumps(config_for(1)))
    code, _, err = await command("stop", "--pid", 1)
    assert (code, "is not yours to signal" in err) == (4, True)
    file = run.file.with_suffix(".pid")
    file.write_text("1\n")
    file.chmod(0)
    code, _, err = await command("stop", "--pid-file", file)
    assert (code, "is not yours to read" in err) == (4, True)


# --- the service manager


async def test_a_service_manager_hears_of_each_step(run, origin, tmp_path):
    """READY once it serves, RELOADING and READY around a reload, STOPPING at the end, all by the one process."""
    upstream = await origin(OK)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE)

        def heard():
            return sock.recv(4096).decode().split("\n")

        one = await run(config_for(upstream.port), NOTIFY_SOCKET=str(tmp_path / "notify"))
        ready = await asyncio.to_thread(heard)
        assert ready == ["READY=1", f"MAINPID={one.process.pid}", "STATUS=generation 1"]
        run.file.write_text("{}")
        one.signal(signal.SIGHUP)
        reloading = await asyncio.to_thread(heard)
        assert [line.partition("=")[0] for line in reloading] == ["RELOADING", "MONOTONIC_USEC", "STATUS"]
        again = await asyncio.to_thread(heard)
        assert again[0] == "READY=1"
        assert again[2].startswith(f"STATUS=generation 1; reload refused: {run.file}")
        one.signal(signal.SIGTERM)
        assert (await asyncio.to_thread(heard))[0] == "STOPPING=1"
        assert await one.ended() == 0
