"""Workers on sockets that somebody else has opened, and on a unix socket."""

from __future__ import annotations

import socket
from signal import SIGTERM

import pytest
from e2e_gateway import config_for
from e2e_load import Load
from e2e_master import Gang, sockets_of
from e2e_wire import OK, Wire

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("shared", [True, False], ids=["one for all", "one each"])
async def test_a_socket_that_was_given_outlives_master_and_workers(tmp_path, origin, raw, shared):
    """Workers serve on it, spread over all where its port may be shared, and the next gateway can have it."""
    upstream = await origin(OK)
    with socket.socket() as given:
        given.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, not shared)
        given.bind(("127.0.0.1", 0))
        given.listen()
        port = given.getsockname()[1]
        one = await Gang.start(
            config_for(upstream.port),
            tmp_path,
            2,
            "--fd",
            str(given.fileno()),
            PROXYD_PROXY_LISTEN=f"127.0.0.1:{port}",
            pass_fds=[given.fileno()],
        )
        try:
            assert one.port == port
            clients = [await raw(port) for _ in range(16)]
            for client in clients:
                assert (await client.ask(GET)).status == 200
            counts = [sockets_of(pid, port) for pid in (await one.workers()).values()]
            assert sum(counts) == 16
            assert shared or min(counts) > 0
            one.one.signal(SIGTERM)
            assert await one.one.ended() == 0
            late = await raw(port)  # nobody accepts, and nobody refuses it
            assert await late.silent(0.1)
        finally:
            await one.close()


async def test_a_unix_socket_is_served_by_all(tmp_path, origin):
    """Beside a TCP address; the path goes with the master."""
    upstream = await origin(OK)
    path = tmp_path / "proxy.sock"
    one = await Gang.start(
        config_for(upstream.port), tmp_path, 2, PROXYD_PROXY_LISTEN=f"unix:{path}, 127.0.0.1:0"
    )
    try:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.setblocking(False)
        client = Wire(sock)
        assert (await client.ask(GET)).status == 200
        client.close()
        port = int(one.one.events_named("started")[0]["listen"][1].rpartition(":")[2])
        load = Load(port, kept=1, fresh=1)
        await load.more(10)
        await load.stop()
        assert load.failures == []
        one.one.signal(SIGTERM)
        assert await one.one.ended() == 0
        assert not path.exists()
    finally:
        await one.close()
