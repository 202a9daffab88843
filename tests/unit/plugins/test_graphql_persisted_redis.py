"""Persisted queries in a real Redis, which several workers and machines share."""

from __future__ import annotations

import asyncio
import dataclasses

import orjson
import pytest
from plugin_case import exchange, kit, make
from redis_case import PATIENCE, RedisServer

from proxyd.graphql.kept import digest_of
from proxyd.plugins.graphql import GraphQL
from proxyd.store.counting import Counting, Redises

TEXT = "query A { ä }".replace("ä", 'a(b: "ä")')
HASH = digest_of(TEXT)
NAMED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}}
KEY = f"proxyd:graphql:document:{HASH}"
NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"


@pytest.fixture
async def server(tmp_path):
    one = await RedisServer.start(tmp_path)
    yield one
    await one.kill()


@pytest.fixture
async def start(server):
    """Give what starts an instance of the plugin that keeps documents there, as in a worker of its own."""
    running = []

    async def start_one(**config):
        back = asyncio.Event()
        redises = Redises(lambda _endpoint, reason: None if reason else back.set())
        lent = dataclasses.replace(kit(), counting=Counting(redis=redises))
        where = {"host": "127.0.0.1", "port": server.port, "timeout": 300}
        settings = {"store": "redis", "redis": where, **config}
        one = make(GraphQL, lent, persisted_queries=settings, limits={"max_batch": 3})
        one.back = back
        running.append(one)
        await one.start()
        return one

    yield start_one
    for one in running:
        await one.stop()


async def ask(plugin, members):
    """Post members; return what the backend would get, or the code of the refusal."""
    body = orjson.dumps(members)
    made = exchange((b"content-type", b"application/json"), method="POST", body=body)
    made.buffered = body
    reply = plugin.access(made)
    if asyncio.iscoroutine(reply):
        reply = await reply
    return orjson.loads(made.buffered if reply is None else reply.body)


def code(answer):
    return answer["errors"][0]["extensions"]["code"]


async def stored(server, *words):
    """Ask until the answer is another one than that there is nothing."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await server.ask(*words)) in {"$-1\r\n", ":-2\r\n"}:
            pass
    return answer


async def test_what_one_worker_has_kept_another_one_finds(server, start):
    """It is asked for once; then it is in the memory of that one too. It stays for the ttl."""
    one, other = await start(ttl=100), await start()
    assert code(await ask(one, NAMED)) == NOT_FOUND
    await ask(one, {**NAMED, "query": TEXT})
    assert TEXT in await stored(server, "GET", KEY)
    assert 0 < int((await server.ask("TTL", KEY))[1:]) <= 100
    assert await ask(other, NAMED) == {"query": TEXT}
    await server.ask("DEL", KEY)
    assert await ask(other, NAMED) == {"query": TEXT}
    assert await ask(other, [NAMED, NAMED, {"query": "{ b }"}]) == [
        {"query": TEXT},
        {"query": TEXT},
        {"query": "{ b }"},
    ]


async def test_another_text_in_its_place(server, start):
    """What somebody else has written there is not taken for the document."""
    one = await start()
    await server.ask("SET", KEY, "{ everything }")
    assert code(await ask(one, NAMED)) == NOT_FOUND


async def test_names_that_are_no_hash_are_not_asked_for(server, start):
    """Keys of others cannot be asked for."""
    one = await start(key_prefix="")
    await server.ask("SET", "secret", "{ a }")
    assert code(await ask(one, {"id": "secret"})) == NOT_FOUND


@pytest.mark.parametrize("how", ["pause", "kill"])
async def test_redis_away(server, start, how):
    """What is in memory is known, everything else is not; nobody waits longer than the timeout, and then it is back."""
    one = await start()
    await ask(one, {**NAMED, "query": TEXT})
    await stored(server, "GET", KEY)
    if how == "pause":
        server.pause()
    else:
        await server.kill()
    other = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a" * 64}}}
    for _ in range(3):
        assert code(await ask(one, other)) == NOT_FOUND
    assert await ask(one, NAMED) == {"query": TEXT}
    kept = {
        "query": "{ c }",
        "extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest_of("{ c }")}},
    }
    assert await ask(one, kept) == {"query": "{ c }"}
    assert one._documents._kept._redis.away
    if how == "pause":
        server.resume()
    else:
        assert await server.run()
    async with asyncio.timeout(PATIENCE):
        await one.back.wait()
    assert await ask(one, kept) == {"query": "{ c }"}
    assert "{ c }" in await stored(server, "GET", f"proxyd:graphql:document:{digest_of('{ c }')}")


async def test_a_client_that_goes_away_meanwhile(server, start):
    """Nobody waits for the answer any more, and nothing is left of it."""
    one = await start()
    server.pause()
    waiting = asyncio.ensure_future(ask(one, NAMED))
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    server.resume()
    assert code(await ask(one, NAMED)) == NOT_FOUND


async def test_a_flood_of_documents_does_not_queue_up(server, start):
    """Only so many are on their way to Redis at once; the others are in memory, and their clients may send them again."""
    one = await start()
    texts = [f"{{ a{number} }}" for number in range(200)]
    for text in texts:
        named = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest_of(text)}}}
        assert await ask(one, {**named, "query": text}) == {"query": text}
    keeping = one._documents._kept
    assert keeping._storing <= 64
    async with asyncio.timeout(PATIENCE):
        while keeping._storing:
            await server.ask("PING")
    assert 0 < int((await server.ask("DBSIZE"))[1:]) <= 200


async def test_a_plugin_that_has_not_started(server):
    """It has what is in memory."""
    one = make(
        GraphQL, persisted_queries={"store": "redis", "redis": {"host": "127.0.0.1", "port": server.port}}
    )
    assert code(await ask(one, NAMED)) == NOT_FOUND
    await ask(one, {**NAMED, "query": TEXT})
    assert await ask(one, NAMED) == {"query": TEXT}
    await one.stop()


def test_redis_without_a_place():
    """The configuration says what is missing."""
    with pytest.raises(ValueError, match=r"store: redis needs redis\.host"):
        make(GraphQL, persisted_queries={"store": "redis"})
