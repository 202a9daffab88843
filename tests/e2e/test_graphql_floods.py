"""GraphQL requests that are meant to cost more than they do, through a gateway: refused, and in bounded memory."""

from __future__ import annotations

import contextlib
from pathlib import Path

import orjson
import pytest
from e2e_gateway import config_for
from graphql_floods import FLOODS, LIMITS, STATUSES, query

HEAD = (
    b"POST /graphql HTTP/1.1\r\nHost: h\r\nAccept: application/graphql-response+json\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"data":{}}'
GROWTH = 64_000_000  # bytes that the gateway may grow by, whatever it is sent
DOCUMENTS = 400
PAGE = 4096


def resident(pid):
    """Return the bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


async def post(wire, body):
    """Send a body, as far as it is read, and return the answer."""
    with contextlib.suppress(ConnectionError):
        await wire.send(HEAD % len(body), body)
    return await wire.message()


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood(name, gateway, origin, raw):
    """The backend sees none that is refused, and the error tells by what."""
    flood, upstream = FLOODS[name], await origin(ANSWER)
    config = config_for(upstream.port, plugins=[{"name": "graphql", "config": LIMITS}])
    proxy = await gateway(config, client_max_body_size=0)
    answer = await post(await raw(proxy.port), flood.body)
    if not flood.meets:
        assert (answer.status, len(upstream.wires)) == (200, 1), answer.body
        return
    assert upstream.wires == []
    assert len(answer.body) < PAGE
    extensions = orjson.loads(answer.body)["errors"][0]["extensions"]
    met = extensions.get("limit", extensions["code"])
    assert met in flood.meets, answer.body
    assert answer.status == STATUSES.get(met, 400)


async def test_memory_is_bounded(run, origin, raw):
    """After all of them the gateway holds little more than before, and answers as it did."""
    upstream = await origin(ANSWER)
    config = config_for(upstream.port, plugins=[{"name": "graphql", "config": LIMITS}])
    running = await run(config, PROXYD_CLIENT_MAX_BODY_SIZE="0")
    client = await raw(running.port)
    assert (await post(client, query("{ hello }"))).status == 200
    before = resident(running.process.pid)
    for flood in FLOODS.values():
        answer = await post(await raw(running.port), flood.body)
        assert answer.status in {200, 400, 403, 413}
    # Documents that are all new, each as long as the limits let by: what is remembered of them.
    for number in range(DOCUMENTS):
        text = f"query Q{number} {{a{{{'b ' * 900}}}}}"
        assert (await post(client, query(text))).status == 200
    grown = resident(running.process.pid) - before
    assert (await post(client, query("{ hello }"))).status == 200
    assert grown < GROWTH, f"{grown / 1e6:.0f} MB"
