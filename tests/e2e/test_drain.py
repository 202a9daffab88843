"""A process that stops: nobody loses a request, whether it owns its socket or shares it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
from signal import SIGINT, SIGQUIT, SIGTERM

import httpx
import pytest
from e2e_command import PROXYD, Running, environment, proxyd
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE, connect
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def shared():
    """Give a listening socket that the test holds, as a process manager does."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        yield sock


def port_of(sock):
    return sock.getsockname()[1]


class Load:
    """Clients that POST and never try again; what became of each request is in ``failed`` and ``answered``."""

    def __init__(self, port, clients, *, keep_alive):
        self.answered = 0
        self.failed = []
        self._port = port
        self._keep_alive = keep_alive
        self._stop = False
        self._tasks = [asyncio.ensure_future(self._run()) for _ in range(clients)]

    async def _run(self):
        wire = None
        while not self._stop:
            try:
                if wire is None:
                    wire = await connect(self._port)
                answer = await wire.ask(POST)
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failed.append(answer.start)
            except (OSError, EOFError, TimeoutError) as error:
                self.failed.append(repr(error))
                answer = None
            if answer is None or not self._keep_alive or "close" in answer.all("connection"):
                wire.close()
                wire = None
            await asyncio.sleep(0.002)
        if wire is not None:
            wire.close()

    async def more(self, count):
        """Wait until so many further requests are over."""
        until = self.answered + len(self.failed) + count
        async with asyncio.timeout(PATIENCE):
            while self.answered + len(self.failed) < until:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def stop(self):
        self._stop = True
        await asyncio.gather(*self._tasks)


# --- sockets that were there before


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new connections"])
async def test_a_process_is_replaced_under_load_without_a_lost_request(run, origin, shared, keep_alive):
    """Two processes share fd 0 as supervisord gives it: one after the other is replaced, no POST fails."""
    upstream = await origin(OK)
    config = config_for(upstream.port)

    async def one_more():
        listen = f"127.0.0.1:{port_of(shared)}"
        return await run(
            config, "--fd", "0", PROXYD_PROXY_LISTEN=listen, stdin=shared, PROXYD_DRAIN_GRACE="200ms"
        )

    processes = [await one_more(), await one_more()]
    load = Load(port_of(shared), 8, keep_alive=keep_alive)
    await load.more(100)
    for number in (SIGTERM, SIGQUIT):
        leaving = processes.pop(0)
        leaving.signal(number)
        assert await leaving.ended() == 0
        processes.append(await one_more())
        await load.more(100)
    await load.stop()
    assert load.failed == []
    for process in processes:
        process.signal(SIGTERM)
        assert await process.ended() == 0
    with contextlib.closing(await connect(port_of(shared))):  # still listening, though nobody is left
        pass


async def test_systemd_names_its_sockets(run, origin, raw, shared, tmp_path):
    """LISTEN_FDS with names: the proxy's and the status listener's, in whatever order; both outlive the process."""
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as status:
        status.bind(str(path))
        status.listen()
        upstream = await origin(OK)
        file = tmp_path / "kong.json"
        file.write_text(json.dumps(config_for(upstream.port)))
        first, second = os.dup(status.fileno()), os.dup(shared.fileno())

        def give():  # in the child: systemd's descriptors are 3 and 4
            os.dup2(first, 100)
            os.dup2(second, 4)
            os.dup2(100, 3)

        env = {
            "PROXYD_PROXY_LISTEN": "0.0.0.0:80",
            "PROXYD_STATUS_LISTEN": f"unix:{path}",
            "PROXYD_ADMIN_LISTEN": "off",
            "PROXYD_PROXY_ACCESS_LOG": "off",
            "LISTEN_FDS": "2",
            "LISTEN_FDNAMES": "status:proxy",
        }
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            f"LISTEN_PID=$$ exec {PROXYD} run -c {file}",
            env=environment(env),
            preexec_fn=give,
            close_fds=False,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(first)
        os.close(second)
        one = Running(process)
        try:
            started = await one.event("started")
            assert started["listen"] == [f"http://127.0.0.1:{port_of(shared)}"]
            assert started["status"] == [f"unix:{path}"]
            assert (await (await raw(port_of(shared))).ask(POST)).status == 200
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://status") as http:
                assert (await http.get("/status/ready")).status_code == 200
            one.signal(SIGTERM)
            assert await one.ended() == 0
        finally:
            await one.kill()
        assert path.is_socket()


def test_a_descriptor_that_is_no_socket_is_one_clear_line(tmp_path):
    """Which one, and what is wrong with it; exit code 1."""
    path = tmp_path / "kong.yml"
    path.write_text('_format_version: "3.0"\n')
    result = proxyd("run", "-c", str(path), "--fd", "0", "--fd", "77", stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "--fd: error: descriptor 0 is no socket",
        "--fd: error: descriptor 77 is not open: whoever starts the process has to pass it on",
    ]


# --- a socket that goes with the process


@pytest.mark.parametrize("kind", ["tcp", "ssl", "unix", "proxy_protocol"])
async def test_what_waits_in_the_accept_queue_is_served(gateway, origin, tmp_path, kind):
    """Connections that the kernel had taken before the process was told to stop are answered, not reset."""
    upstream = await origin(OK)
    path = tmp_path / "proxy.sock"
    listens = {"unix": f"unix:{path}", "tcp": "127.0.0.1:0"}
    proxy = await gateway(upstream.port, proxy_listen=listens.get(kind, f"127.0.0.1:0 {kind}"))
    sockets = []
    for _ in range(30):  # without a turn of the loop
        sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        sock.settimeout(PATIENCE)
        sock.connect(str(path) if kind == "unix" else ("127.0.0.1", proxy.port))
        sockets.append(sock)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask(sock):
        with context.wrap_socket(sock) if kind == "ssl" else sock as wire:
            wire.sendall((b"PROXY UNKNOWN\r\n" if kind == "proxy_protocol" else b"") + POST)
            with wire.makefile("rb") as file:
                return file.read()

    answers = [asyncio.ensure_future(asyncio.to_thread(ask, sock)) for sock in sockets]
    assert proxy.worker.clients.accepted == 0
    await proxy.worker.stop(drain=PATIENCE)
    for answer in await asyncio.gather(*answers):
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in answer
    assert not path.exists()


async def test_who_was_let_in_last_and_asks_for_nothing_is_not_waited_for(gateway, origin):
    """A silent connection out of the accept queue is closed after its grace, long before the end of time."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, drain_grace=0.1)
    with socket.create_connection(("127.0.0.1", proxy.port)) as silent:
        async with asyncio.timeout(PATIENCE):
            await proxy.worker.stop(drain=10 * PATIENCE)
        assert silent.recv(1) == b""


async def test_an_idle_connection_may_ask_once_more(run, origin, raw):
    """Within drain_grace, a request on a connection that was idle is answered with Connection: close."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port), PROXYD_DRAIN_GRACE="30s", PROXYD_SHUTDOWN_TIMEOUT="2m")
    used, fresh = await raw(one.port), await raw(one.port)
    assert "connection" not in await used.ask(POST)
    one.signal(SIGTERM)
    await not_ready(one)
    for client in (used, fresh):
        answer = await client.ask(POST)
        assert (answer.status, answer["connection"]) == (200, "close")
        assert await client.rest() == b""
    assert await one.ended() == 0  # nobody is left: the grace is not waited for


async def not_ready(one):
    async with httpx.AsyncClient() as http, asyncio.timeout(PATIENCE):
        while (await http.get(one.status_url + "/status/ready")).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_with_a_delay_it_accepts_while_it_says_that_it_is_not_ready(run, origin, raw):
    """drain_delay: 503 at once, connections as before, answers with Connection: close; SIGINT does not wait."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port), PROXYD_DRAIN_DELAY="1h")
    one.signal(SIGTERM)
    await not_ready(one)
    client = await raw(one.port)
    answer = await client.ask(POST)
    assert (answer.status, answer["connection"]) == (200, "close")
    one.signal(SIGINT)  # asked twice
    assert await one.ended() == 0
    other = await run(config_for(upstream.port), PROXYD_DRAIN_DELAY="1h")
    other.signal(SIGINT)
    assert await other.ended() == 0


async def test_an_upload_under_way_is_finished(run, origin, raw):
    """A body that is half sent when the process is told to stop arrives whole, and is answered."""
    upstream = await origin(OK)
    one = await run(config_for(upstream.port))
    client = await raw(one.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
    await upstream.wire()
    one.signal(SIGQUIT)
    await not_ready(one)
    await client.send(b"y" * 100_000)
    assert (await client.message()).status == 200
    assert await one.ended() == 0
    assert upstream.requests[0].body == b"x" * 100_000 + b"y" * 100_000


async def test_at_the_deadline_websockets_are_closed_in_good_order(run):
    """Both ends receive a close frame that says 1001, and it is the gateway that ends, with exit code 0."""
    closed = asyncio.get_running_loop().create_future()

    async def echo(socket):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await socket.recv())
        closed.set_result((socket.close_code, socket.protocol.close_rcvd))

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = await run(config_for(port), PROXYD_SHUTDOWN_TIMEOUT="100ms")
        async with websocket(f"ws://127.0.0.1:{one.port}/") as client:
            await client.send("x" * 100_000)
            assert await client.recv() == "x" * 100_000
            one.signal(SIGTERM)
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1001
        async with asyncio.timeout(PATIENCE):
            code, frame = await closed
        assert (code, frame.code) == (1001, 1001)
        assert await one.ended() == 0
    assert [event["websockets"] for event in one.events_named("requests were cut")] == [1]


async def test_at_the_deadline_streams_are_cut(run, origin, raw):
    """An answer that has no end gets the time that there is, and no more; what it was is not made to look whole."""

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n")
        await wire.rest()

    upstream = await origin(script)
    one = await run(config_for(upstream.port), PROXYD_DRAIN_TIMEOUT="200ms")
    client = await raw(one.port)
    await client.send(POST)
    await client.until(b"data\r\n")
    one.signal(SIGQUIT)
    assert await client.rest() == b""
    assert await one.ended() == 0
