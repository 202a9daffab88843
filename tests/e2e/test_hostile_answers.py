"""Each bad answer of the corpus through a running gateway: passed on in one form, refused, or cut where it had begun.

Behind each case come requests on the same client connection and on another one: each gets its own answer, whatever
the origin left on its connection.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from e2e_gateway import config_for
from hostile_corpus import ANSWERS

STALL = 0.15  # seconds of read_timeout, where a case stalls


class Misbehaving:
    """The script of an origin that answers /bad with a case's bytes, and anything else as it should."""

    def __init__(self, case) -> None:
        self.case = case
        self.pieces = [case.data]
        self.asked: list[tuple[object, str]] = []  # the connection on which each request came
        self._early = "early" in case.options

    async def __call__(self, wire):
        early, self._early = self._early, False
        with contextlib.suppress(EOFError, TimeoutError, ConnectionError):
            if early:
                await self._send(wire)
            while True:
                start = (await wire.message()).start.removesuffix(" HTTP/1.1")
                self.asked.append((wire, start))
                if not start.endswith("/bad"):
                    body = start.encode()
                    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                elif not early and not await self._misbehave(wire):
                    return
        wire.close()

    async def _send(self, wire):
        for piece in self.pieces:
            await wire.send(piece)
            await asyncio.sleep(0)

    async def _misbehave(self, wire):
        await self._send(wire)
        then = self.case.options.get("then")
        if then in {"close", "reset"}:
            await asyncio.sleep(0.01)  # what was sent is not to be overtaken by the reset
            getattr(wire, then)()
            return False
        if then == "unasked":
            await asyncio.sleep(0.01)
            await self._send(wire)
        return True


async def bad(client, case):
    """Ask for the case's answer; return it, or None where the connection was cut."""
    method = case.options.get("method", "GET")
    await client.send(f"{method} /bad HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n".encode())
    try:
        while (answer := await client.head()).status < 200:
            assert [
                name for name in ("content-length", "transfer-encoding", "connection") if name in answer
            ] == []
        if method == "GET" and answer.status not in {204, 304}:
            await client.body(answer)
    except (EOFError, ConnectionError):
        return None
    return answer


def check(case, answer):
    """Hold an answer against the verdict."""
    ((word, status, _),) = case.steps
    if word == "cut":
        assert answer is None
        return
    assert answer is not None
    assert answer.status == status
    assert "connection" not in answer
    if word == "refused":
        assert b"hello" not in answer.body
        assert "via" not in answer  # the gateway's own
        return
    (wanted,) = case.sent or [None]
    if wanted is not None:
        assert answer.body == wanted.body
        assert answer.trailers == [(name, value.decode()) for name, value in wanted.trailers]
        for name, value in wanted.has:
            assert (name, answer.all(name)) == (name, [value.decode()])
        for name in wanted.lacks:
            assert (name, answer.all(name)) == (name, [])


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
async def test_a_bad_answer_reaches_its_client_alone(gateway, origin, raw, case, cut):
    """It gets its verdict, nobody else gets a byte of it, and its connection is used again only where it may be."""
    script = Misbehaving(case)
    upstream = await origin(script)
    service = {"read_timeout": int(STALL * 1000)} if case.options.get("then") == "stall" else {}
    proxy = await gateway(config_for(upstream.port, service=service), proxy_access_log="off")
    if cut:
        script.pieces = case.pieces or [b""]
    client = await raw(proxy.port)
    answer = await bad(client, case)
    check(case, answer)
    if case.options.get("then") == "unasked":
        await asyncio.sleep(0.03)
    if answer is None:
        client = await raw(proxy.port)
    for one, path in ((client, "same"), (await raw(proxy.port), "other")):
        own = await one.ask(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (own.status, own.body) == (200, f"GET /{path}".encode())
    assert b"evil" not in client.received
    if (
        "early" in case.options and script.asked[0][1] != "GET /bad"
    ):  # it was left before it read what it answered
        script.asked.insert(0, (None, "GET /bad"))
    assert [start.split(" ")[1] for _, start in script.asked] == ["/bad", "/same", "/other"]
    assert (script.asked[0][0] is script.asked[1][0]) == (case.options.get("reused") == "yes")
