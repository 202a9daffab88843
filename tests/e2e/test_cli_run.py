"""``proxyd run`` and ``proxyd demo`` as processes: what they say, and what signals do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1

import httpx
import pytest
from e2e_command import PROXYD, ROOT, environment, proxyd
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE, closed_port

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


async def eventually(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # files tell nobody
            await asyncio.sleep(0.02)


def slow(arrived, go):
    """Return a script that answers its first request only when told to."""

    async def script(wire):
        with contextlib.suppress(EOFError):
            await wire.message()
            arrived.set()
            await go.wait()
            await wire.send(OK)
            await wire.message()

    return script


# --- signals


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
async def test_a_signal_ends_it_well(run, origin, raw, number):
    """Each of the three stops it with exit code 0, and the log says so."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port))
    client = await raw(one.port)
    assert (await client.ask(GET)).status == 200
    one.signal(number)
    assert await one.ended() == 0
    assert one.events[-1]["event"] == "stopped"
    assert await client.rest() == b""


async def test_what_is_under_way_is_finished(run, origin, raw):
    """On SIGTERM a POST gets its answer with Connection: close; new connections are refused, readiness is 503."""
    arrived, go = asyncio.Event(), asyncio.Event()
    upstream = await origin(slow(arrived, go))
    one = await run(config_for(upstream.port))
    client = await raw(one.port)
    idle = await raw(one.port)
    await client.send(POST)
    await arrived.wait()
    one.signal(SIGTERM)
    assert await idle.rest() == b""
    with pytest.raises(ConnectionRefusedError):
        await raw(one.port)
    async with httpx.AsyncClient() as http:
        ready = await http.get(one.status_url + "/status/ready")
    assert (ready.status_code, ready.json()) == (503, {"message": "draining"})
    go.set()
    answer = await client.message()
    assert (answer.status, answer["connection"], answer.body) == (200, "close", b"ok")
    assert await client.rest() == b""
    assert await one.ended() == 0


async def test_a_second_signal_does_not_wait(run, origin, raw):
    """Asked twice, it cuts what is under way."""
    arrived, go = asyncio.Event(), asyncio.Event()
    upstream = await origin(slow(arrived, go))
    one = await run(config_for(upstream.port), PROXYD_SHUTDOWN_TIMEOUT="1h")
    client = await raw(one.port)
    await client.send(POST)
    await arrived.wait()
    one.signal(SIGTERM)
    async with httpx.AsyncClient() as http, asyncio.timeout(PATIENCE):
        while (await http.get(one.status_url + "/status/ready")).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    one.signal(SIGTERM)
    assert await client.rest() == b""
    assert await one.ended() == 0


async def test_the_drain_is_bounded(run, origin, raw):
    """After shutdown_timeout, what is still under way is cut, and the log tells how much that was."""
    arrived, go = asyncio.Event(), asyncio.Event()
    upstream = await origin(slow(arrived, go))
    one = await run(config_for(upstream.port), PROXYD_SHUTDOWN_TIMEOUT="100ms")
    client = await raw(one.port)
    await client.send(POST)
    await arrived.wait()
    one.signal(SIGTERM)
    assert await client.rest() == b""
    assert await one.ended() == 0
    assert [event["connections"] for event in one.events_named("requests were cut")] == [1]


async def test_sighup_takes_a_new_file_over_or_refuses_it(run, origin, raw):
    """A good file counts from the next request on; a bad one is told with its lines, and changes nothing."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port))
    client = await raw(one.port)
    run.file.write_text(json.dumps(config_for(upstream.port, route={"paths": ["/new"]})))
    one.signal(SIGHUP)
    await one.event("reloaded")
    assert (await client.ask(GET)).status == 404
    run.file.write_text('{"_format_version": "3.0", "servces": []}')
    one.signal(SIGHUP)
    refused = await one.event("reload refused")
    assert f"{run.file}:1:" in refused["problems"][0]
    assert (await client.ask(GET.replace(b"/ ", b"/new "))).status == 200


async def test_sigusr1_opens_the_logs_anew(run, origin, raw, tmp_path):
    """After rotation, access lines and events go to new files of the old names."""
    upstream = await origin(OK)
    events, access = tmp_path / "events.log", tmp_path / "access.log"
    run.file.write_text(json.dumps(config_for(upstream.port)))
    port = closed_port()
    env = {
        "PROXYD_PROXY_LISTEN": f"127.0.0.1:{port}",
        "PROXYD_STATUS_LISTEN": "off",
        "PROXYD_ADMIN_LISTEN": "off",
        "PROXYD_PROXY_ACCESS_LOG": str(access),
        "PROXYD_PROXY_ERROR_LOG": str(events),
    }
    process = await asyncio.create_subprocess_exec(
        PROXYD, "run", "-c", str(run.file), env=environment(env), stdout=asyncio.subprocess.PIPE
    )
    try:
        await eventually(lambda: events.exists() and "started" in events.read_text())
        client = await raw(port)
        await client.ask(GET)
        await eventually(lambda: access.read_text().count("\n") == 1)
        for path in (events, access):
            path.rename(f"{path}.1")
        process.send_signal(SIGUSR1)
        await eventually(lambda: events.exists() and access.exists())
        await client.ask(GET)
        process.send_signal(SIGHUP)
        await eventually(lambda: "reloaded" in events.read_text() and access.read_text().count("\n") == 1)
        assert (tmp_path / "access.log.1").read_text().count("\n") == 1
        assert "reloaded" not in (tmp_path / "events.log.1").read_text()
    finally:
        process.send_signal(SIGTERM)
        output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"")


# --- what it says


def test_a_port_in_use_is_one_clear_line(tmp_path):
    """No traceback: which setting, which address, why; exit code 1. The same for each listener."""
    path = tmp_path / "kong.yml"
    path.write_text('_format_version: "3.0"\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for setting in ("proxy_listen", "status_listen", "admin_listen"):
            env = {
                "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
                "PROXYD_STATUS_LISTEN": "127.0.0.1:0",
                "PROXYD_ADMIN_LISTEN": "127.0.0.1:0",
                f"PROXYD_{setting.upper()}": f"127.0.0.1:{port}",
            }
            result = proxyd("run", "--config", str(path), env=env)
            assert result.returncode == 1
            assert (
                result.stderr
                == f"{setting}: error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
            )
            assert result.stdout == ""


@pytest.mark.parametrize("setting", ["proxy_access_log", "proxy_error_log"])
def test_a_log_that_cannot_be_opened_is_one_clear_line(tmp_path, setting):
    """The setting, the path and the reason."""
    path = tmp_path / "kong.yml"
    path.write_text('_format_version: "3.0"\n')
    env = {
        "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
        "PROXYD_STATUS_LISTEN": "off",
        "PROXYD_ADMIN_LISTEN": "off",
        f"PROXYD_{setting.upper()}": "/nonexistent/proxyd.log",
    }
    result = proxyd("run", "--config", str(path), env=env)
    assert result.returncode == 1
    assert (
        result.stderr == f"{setting}: error: cannot open /nonexistent/proxyd.log: No such file or directory\n"
    )


async def test_without_a_terminal_standard_output_is_access_lines_only(run, origin, raw):
    """Each line is JSON: what it listens on stands in the event ``started``."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port), PROXYD_PROXY_ACCESS_LOG="/dev/stdout")
    await (await raw(one.port)).ask(GET)
    one.signal(SIGTERM)
    assert await one.ended() == 0
    assert [json.loads(line)["status"] for line in one.output.splitlines()] == [200]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_the_demo_says_what_to_try():
    """With the demo backend, it prints its addresses and three curl lines, and each of them works."""
    backend = closed_port()
    env = {
        "BACKEND_ADDRESS": f"127.0.0.1:{backend}",
        "MOBILE_API_KEY": "hunter2",
        "PROXYD_DEMO": "on",
        "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
        "PROXYD_STATUS_LISTEN": "127.0.0.1:0",
        "PROXYD_ADMIN_LISTEN": "off",
        "PROXYD_PROXY_ACCESS_LOG": "off",
    }
    process = await asyncio.create_subprocess_exec(
        PROXYD,
        "run",
        env=environment(env),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        lines = []
        async with asyncio.timeout(PATIENCE):
            while len(tries := [line for line in lines if line.startswith("  curl ")]) < 3:
                lines.append((await process.stdout.readline()).decode().rstrip())
        assert re.fullmatch(r"proxy +http://127.0.0.1:\d+", lines[0])
        assert re.fullmatch(r"status +http://127.0.0.1:\d+/metrics http://127.0.0.1:\d+/status", lines[1])
        for line in tries:
            script = line.replace("curl", "curl -sS --fail --max-time 20", 1)
            curl = await asyncio.create_subprocess_shell(script, stdout=asyncio.subprocess.PIPE)
            answer, _ = await curl.communicate()
            assert curl.returncode == 0
            assert b"tick" in answer or b"tea" in answer
    finally:
        process.send_signal(SIGTERM)
        await process.communicate()
    assert process.returncode == 0


async def test_the_demo_backend_runs_alone():
    """``proxyd demo`` says where it listens, answers, and ends well with SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        PROXYD,
        "demo",
        "--listen",
        "127.0.0.1:0",
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    line = (await process.stdout.readline()).decode()
    url = re.fullmatch(r"demo backend on (http://\S+)\n", line)[1]
    async with httpx.AsyncClient() as http:
        assert (await http.get(url + "/status/200")).status_code == 200
    process.send_signal(SIGTERM)
    await process.communicate()
    assert process.returncode == 0
