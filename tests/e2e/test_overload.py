"""Overload control through a running gateway, with real backends that are too slow for what comes."""

from __future__ import annotations

import asyncio
import contextlib
import random

import aiohttp
import pytest
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE, closed_port
from websockets.asyncio.client import connect

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KEYED = GET.replace(b"\r\n\r\n", b"\r\napikey: k\r\n\r\n")
FALSE = GET.replace(b"\r\n\r\n", b"\r\napikey: wrong\r\n\r\n")
AUTH = {
    "plugins": [{"name": "key-auth", "config": {"anonymous": "anybody"}}],
    "consumers": [{"username": "app", "keyauth_credentials": [{"key": "k"}]}, {"username": "anybody"}],
}


def load_of(proxy):
    (service,) = proxy.worker.overload().services
    return service


async def nothing_in_flight(proxy):
    """Wait until no request waits for the service."""
    async with asyncio.timeout(PATIENCE):
        while load_of(proxy).in_flight:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


def queueing(servers, seconds):
    """Return the script of a backend that serves so many at a time, in order."""
    turn = asyncio.Semaphore(servers)

    async def script(wire):
        with contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            while True:
                await wire.message()
                async with turn:
                    await asyncio.sleep(seconds)
                await wire.send(OK)

    return script


class Crowd:
    """Clients that each send a request, wait for the answer, and begin again a moment later."""

    def __init__(self, raw, port):
        self.raw = raw
        self.port = port
        self.answers = {}
        self.over = False

    async def client(self, name, request):
        wire = await self.raw(self.port)
        answers = self.answers.setdefault(name, [])
        while not self.over:
            answers.append(await wire.ask(request))
            await asyncio.sleep(0.01)

    def refused(self, name, *, last):
        """Return the share of the last answers that were refusals."""
        answers = self.answers[name][-last:]
        return sum(answer.status == 503 for answer in answers) / len(answers)


async def test_a_slow_backend(gateway, origin, raw):
    """Anonymous clients are refused before those with a key, a wrong key makes nobody more, and it ends with the crowd."""
    upstream = await origin(queueing(5, 0.01))
    proxy = await gateway(config_for(upstream.port, **AUTH), overload_control=True, min_concurrent_requests=5)
    crowd = Crowd(raw, proxy.port)
    async with asyncio.timeout(3 * PATIENCE):
        async with asyncio.TaskGroup() as clients:
            for number in range(60):
                clients.create_task(
                    crowd.client("keyed" if number < 5 else "wrong", (KEYED, FALSE)[number >= 5])
                )
            while len(crowd.answers.get("keyed", ())) < 150:  # noqa: ASYNC110  # the crowd is the event
                await asyncio.sleep(0.05)
            crowd.over = True
        assert load_of(proxy).limit < 50
    assert crowd.refused("wrong", last=500) > 0.5
    assert crowd.refused("keyed", last=75) < 0.2
    refused = [answer for answer in crowd.answers["wrong"] if answer.status == 503]
    assert {answer["retry-after"] for answer in refused} == {"1", "2", "3", "4"}
    assert b'"message":"The service is overloaded"' in refused[0].body
    await nothing_in_flight(proxy)
    client = await raw(proxy.port)
    assert [(await client.ask(GET)).status for _ in range(20)] == [200] * 20
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{proxy.status_url}/metrics") as answer:
            text = await answer.text()
        async with session.get(f"{proxy.status_url}/status") as answer:
            status = await answer.json()
    assert 'proxyd_concurrency_in_flight{service="backend"} 0.0' in text
    assert status["overload"]["shed_requests"]["backend"]["anonymous"] == len(refused)
    assert f'proxyd_shed_requests_total{{priority="anonymous",reason="backend"}} {len(refused)}.0' in text


async def test_streams_and_websockets_take_no_room(gateway, origin, backend, raw):
    """Once an answer has begun, it is not waited for."""
    proxy = await gateway(
        config_for(backend.port), overload_control=True, min_concurrent_requests=1, max_concurrent_requests=1
    )
    async with connect(proxy.url.replace("http", "ws") + "/ws") as socket, aiohttp.ClientSession() as session:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        async with session.get(f"{proxy.url}/events") as stream:
            assert (stream.status, await anext(aiter(stream.content))) != (503, b"")
            assert load_of(proxy).in_flight == 0
            async with session.get(f"{proxy.url}/echo") as answer:
                assert answer.status != 503


async def test_a_body_that_is_slow_to_come_takes_no_room(gateway, origin, raw):
    """Clients that trickle keep nobody out; once a body is there, its request counts."""
    upstream = await origin(OK)
    proxy = await gateway(
        upstream.port, overload_control=True, min_concurrent_requests=1, max_concurrent_requests=1
    )
    slow = [await raw(proxy.port) for _ in range(3)]
    for number, client in enumerate(slow):
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        await upstream.wire(number)
        await nothing_in_flight(proxy)
    assert (await (await raw(proxy.port)).ask(GET)).status == 200
    slow.pop().reset()
    for client in slow:
        assert (await client.ask(b"b")).status == 200
    assert load_of(proxy).in_flight == 0


async def test_a_full_service_refuses_and_has_room_again(gateway, origin, raw):
    """With one place, the second of two requests is refused; an answer makes room."""
    gate = asyncio.Event()

    async def slow(wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                await gate.wait()
                await wire.send(OK)

    upstream = await origin(slow)
    proxy = await gateway(
        upstream.port, overload_control=True, min_concurrent_requests=1, max_concurrent_requests=1
    )
    first = asyncio.ensure_future((await raw(proxy.port)).ask(GET))
    await upstream.wire(0)
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 503
    gate.set()
    assert (await first).status == 200
    assert (await client.ask(GET)).status == 200
    line = [one for one in await proxy.log_lines(3) if one["status"] == 503]
    assert len(line) == 1


def moody(chance):
    """Return the script of a backend that answers at once, late, in part, wrongly or not at all."""

    async def script(wire):
        with contextlib.suppress(EOFError, ConnectionError, TimeoutError):
            while (what := chance.random()) < 0.7:
                await wire.message()
                await asyncio.sleep(0.03 if what < 0.3 else 0.0)
                await wire.send(OK)
            await wire.message()
            if what < 0.9:
                await wire.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx" if what < 0.8 else b"nonsense\r\n\r\n"
                )
        wire.close()

    return script


async def fickle(raw, port, chance):
    """Ask a few times, and often do not wait for the answer."""
    for _ in range(15):
        wire = await raw(port)
        with contextlib.suppress(EOFError, ConnectionError):
            await wire.send(GET)
            if chance.random() < 0.6:
                await wire.until(b"\r\n\r\n")
            else:
                await asyncio.sleep(chance.random() / 50)
                if chance.random() < 0.5:
                    wire.reset()
        wire.close()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_nothing_is_held_for_ever(gateway, origin, raw, seed):
    """Clients leave, backends break off, configurations are reloaded: in the end nothing is under way."""
    chance = random.Random(seed)  # not a secret
    upstream = await origin(moody(chance))
    config = config_for(upstream.port, service={"retries": 1})
    proxy = await gateway(config, overload_control=True, min_concurrent_requests=2, max_concurrent_requests=4)
    async with asyncio.timeout(3 * PATIENCE), asyncio.TaskGroup() as clients:
        for _ in range(12):
            clients.create_task(fickle(raw, proxy.port, chance))
        for number in range(4):
            await asyncio.sleep(0.05)
            config["services"][0]["retries"] = number
            proxy.write(config)
            assert await proxy.worker.reload()
    await nothing_in_flight(proxy)
    assert sum(proxy.worker.overload().shed.values()) > 0


async def test_no_backend(gateway, raw):
    """A service that nobody answers for holds no places either."""
    proxy = await gateway(
        closed_port(), overload_control=True, min_concurrent_requests=1, max_concurrent_requests=1
    )
    client = await raw(proxy.port)
    assert [(await client.ask(GET)).status for _ in range(5)] == [502] * 5
    assert load_of(proxy).in_flight == 0


async def test_off(gateway, origin, raw):
    """Without the setting there is no limit, and nothing about it in the figures."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, max_concurrent_requests=20)
    assert (await (await raw(proxy.port)).ask(GET)).status == 200
    assert proxy.worker.overload() is None
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.status_url}/status") as answer:
        assert (await answer.json())["overload"] is None
