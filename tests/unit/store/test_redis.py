"""Counters in a real Redis: exact, never waited for longer than allowed, and back by themselves."""

from __future__ import annotations

import asyncio
import time

import pytest
import trustme
from redis_case import PATIENCE, RedisServer

from proxyd.model.redis import Redis
from proxyd.store.counters import CountersAway, Window
from proxyd.store.counting import Redises
from proxyd.store.redis import RedisCounters, _name
from proxyd.store.windows import PERIODS, Windows, bounds

YEAR = Window(PERIODS.index("year"), 100, *bounds("year", int(time.time())))
MONTH = Window(PERIODS.index("month"), 1000, *bounds("month", int(time.time())))


@pytest.fixture
async def server(tmp_path):
    """Give what starts a server, with options as on its command line."""
    running = []

    async def start(*options, **more):
        running.append(await RedisServer.start(tmp_path, *options, **more))
        return running[-1]

    yield start
    for one in running:
        await one.kill()


class Told:
    """What was told of outages, and their ends as empty texts; ``back`` waits for the next end."""

    def __init__(self):
        self.reasons = []
        self._back = asyncio.Event()

    def __call__(self, reason):
        self.reasons.append(reason)
        if not reason:
            self._back.set()

    async def back(self):
        async with asyncio.timeout(PATIENCE):
            await self._back.wait()


@pytest.fixture
async def counters():
    """Give what opens counters; what they tell of outages is in ``told`` of each."""
    opened = []

    async def start(server=None, authorities=None, **settings):
        if server is not None:
            settings |= {"host": "127.0.0.1", "port": server.port}
        told = Told()
        one = RedisCounters(Redis(**settings), told, authorities)
        one.told = told
        opened.append(one)
        return one

    yield start
    for one in opened:
        await one.close()


async def passes(counters, key=b"a", windows=(YEAR,)):
    return (await counters.take(key, windows))[1][0]


async def test_exactly_the_limit_passes(server, counters):
    """Of many at once, in several windows, from two clients; each learns its place."""
    there = await server()
    one, other = await counters(there), await counters(there)
    taken = await asyncio.gather(
        *(counting.take(b"a", (MONTH, YEAR)) for counting in (one, other) for _ in range(150))
    )
    assert sorted(counts for _, (admitted, counts), _ in taken if admitted) == [
        ((place, 0), (place, 0)) for place in range(100)
    ]
    windows, _, now = taken[0]
    assert windows == (MONTH, YEAR)
    assert YEAR.start <= now < YEAR.end
    assert await passes(one, b"b")


async def test_more_than_one_can_be_counted(server, counters):
    """Beyond the limit too."""
    one = await counters(await server())
    assert (await one.take(b"a", (YEAR,), 0))[1] == (True, ((0, 0),))
    await one.add(b"a", (YEAR,), 250)
    assert (await one.take(b"a", (YEAR,)))[1] == (False, ((250, 0),))


async def test_all_of_an_amount_or_nothing(server, counters):
    """In every window, so that exactly the limit is spent."""
    one = await counters(await server())
    other = YEAR._replace(period=YEAR.period - 1, limit=YEAR.limit * 2)
    passed = []
    for amount in (60, 41, 40, 1):
        windows = (other.with_room(amount), YEAR.with_room(amount))
        passed.append((await one.take(b"a", windows, amount))[1])
    assert [admitted for admitted, _ in passed] == [True, False, True, False]
    assert passed[-1][1] == ((100, 0), (100, 0))


@pytest.mark.parametrize("period", ["minute", "month"])
async def test_windows_follow_one_another(server, counters, period):
    """The count of the last one slides out; a counter that is ahead stays there; one that is old begins anew."""
    there = await server()
    one = await counters(there)
    start, end, previous = bounds(period, int((await one.take(b"now", (YEAR,)))[2]))
    code = PERIODS.index(period)
    window = Window(code, 10**6, start, end, previous, sliding=True)

    async def stored(starts, ends, count, before):
        fields = {"s": starts, "e": ends, "n": count, "b": before}
        words = [word for name, value in fields.items() for word in (f"{code}{name}", str(value))]
        await there.ask("HSET", _name(b"a"), *words)
        moved, (_, counts), _ = await one.take(b"a", (window,))
        return moved[0].start >= start, counts[0]

    assert await stored(previous, start, 7, 5) in {
        (True, (0, 7)),
        (True, (0, 0)),
    }  # unless the minute ended here
    assert await stored(end, 2 * end - start, 7, 5) == (True, (7, 5))
    assert await stored(previous - 10**7, previous - 10**7 + 60, 7, 5) == (True, (0, 0))


async def test_what_redis_holds(server, counters):
    """Names from which no key can be read, all of them with an end."""
    there = await server()
    one = await counters(there)
    await one.take(b"rl:secret-api-key", (YEAR,))
    keys = await there.ask("KEYS", "*")
    assert "proxyd:limits:{" in keys
    assert "secret" not in keys
    assert int((await there.ask("TTL", _name(b"rl:secret-api-key")))[1:]) > 0


async def test_a_server_that_has_forgotten_the_script(server, counters):
    """Is given it again, and nothing is counted twice."""
    there = await server()
    one = await counters(there)
    assert await passes(one)
    await there.ask("SCRIPT", "FLUSH")
    taken = await asyncio.gather(*(one.take(b"a", (YEAR,)) for _ in range(5)))
    assert sorted(counts[0][0] for _, (_, counts), _ in taken) == [1, 2, 3, 4, 5]
    assert one.told.reasons == []


# --- outages -------------------------------------------------------------------------------------------------


async def test_a_server_that_stops_and_goes_on(server, counters):
    """Who is waiting hears of it in time, who comes later at once, and the log once."""
    there = await server()
    one = await counters(there, timeout=200)
    assert await passes(one)
    there.pause()
    failed = await asyncio.gather(*(one.take(b"a", (YEAR,)) for _ in range(500)), return_exceptions=True)
    assert {type(each) for each in failed} == {CountersAway}
    assert (one.away, len(one.told.reasons)) == (True, 1)
    with pytest.raises(CountersAway):
        one.take(b"a", (YEAR,)).send(None)  # without waiting even once
    there.resume()
    await one.told.back()
    assert await passes(one, b"another")  # what had been sent may have been counted by now
    assert len(one.told.reasons) == 2


async def test_a_server_that_dies_and_is_started_again(server, counters):
    """The connections that it left are no use, and are not used."""
    there = await server()
    one = await counters(there, timeout=500)
    assert await passes(one)
    await there.kill()
    with pytest.raises(CountersAway):
        await one.take(b"a", (YEAR,))
    assert repr(one) == f"<RedisCounters 127.0.0.1:{there.port}/0 away waiting=0>"
    assert await there.run()
    await one.told.back()
    assert (await one.take(b"a", (YEAR,)))[1] == (True, ((0, 0),))


async def test_a_server_that_does_not_let_us_write(server, counters):
    """One that answers and does not count is away."""
    there = await server("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    one = await counters(there)
    with pytest.raises(CountersAway):
        await one.take(b"a", (YEAR,))
    assert "OOM" in one.told.reasons[0] or "memory" in one.told.reasons[0]
    await there.ask("CONFIG", "SET", "maxmemory", "0")
    await one.told.back()


async def test_whoever_waits_when_it_closes_is_told(server, counters):
    """Nothing is left waiting."""
    there = await server()
    one = await counters(there)
    assert await passes(one)
    there.pause()
    waiting = asyncio.ensure_future(one.take(b"a", (YEAR,)))
    await asyncio.sleep(0)
    await one.close()
    with pytest.raises(CountersAway):
        await waiting


# --- who may, and how ----------------------------------------------------------------------------------------


async def test_passwords(server, counters):
    """The right one counts; a wrong one is away, and stands nowhere."""
    there = await server("--requirepass", "s3cret-pass")
    right = await counters(there, password="s3cret-pass")
    assert await passes(right)
    named = await counters(there, username="default", password="s3cret-pass")
    assert await passes(named)
    wrong = await counters(there, password="wr0ng-pass")
    with pytest.raises(CountersAway):
        await wrong.take(b"a", (YEAR,))
    assert "pass" in wrong.told.reasons[0]
    for text in (
        *wrong.told.reasons,
        repr(wrong),
        repr(wrong._endpoint),
        str(wrong._endpoint),
        repr(right._endpoint),
    ):
        assert "wr0ng-pass" not in text
        assert "s3cret-pass" not in text


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def with_tls(authority, tmp_path):
    """Options of a server whose certificate is for redis.internal."""
    issued = authority.issue_cert("redis.internal")
    files = {"cert": issued.cert_chain_pems[0], "key": issued.private_key_pem, "ca-cert": authority.cert_pem}
    options = ["--tls-auth-clients", "no"]
    for name, pem in files.items():
        pem.write_to_path(str(tmp_path / name))
        options += [f"--tls-{name}-file", str(tmp_path / name)]
    return options


async def test_tls(server, counters, authority, with_tls):
    """Verified by the authorities and the name that are given, or not at all."""
    there = await server(*with_tls, tls=True)
    pem = authority.cert_pem.bytes().decode()
    assert await passes(await counters(there, ssl=True))
    checked = {"ssl": True, "ssl_verify": True, "server_name": "redis.internal"}
    assert await passes(await counters(there, pem, **checked))
    for authorities, settings in (
        (pem, checked | {"server_name": "other.internal"}),
        (pem, {"ssl": True, "ssl_verify": True}),
        (trustme.CA().cert_pem.bytes().decode(), checked),
    ):
        one = await counters(there, authorities, **settings)
        with pytest.raises(CountersAway):
            await one.take(b"a", (YEAR,))
        assert "certificate" in one.told.reasons[0].lower()


async def test_sentinel(server, counters, tmp_path):
    """Sentinels say where the master is."""
    master = await server()
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor main 127.0.0.1 {master.port} 1\n")
    # A Sentinel says that it is ready in other words: it is a server all the same.
    sentinel = await server()
    await sentinel.kill()
    process = await asyncio.create_subprocess_exec(
        *("redis-server", str(file), "--sentinel", "--port", str(sentinel.port)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while b"monitor master" not in await process.stdout.readline():
                pass
        one = await counters(
            sentinel_master="main", sentinel_nodes=[{"host": "127.0.0.1", "port": sentinel.port}]
        )
        assert await passes(one)
        assert "proxyd:limits" in await master.ask("KEYS", "*")
    finally:
        process.kill()
        await process.communicate()


async def test_cluster(server, counters):
    """Each caller's counters are on one node; callers are on any."""
    there = await server("--cluster-enabled", "yes")
    await there.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    async with asyncio.timeout(PATIENCE):
        while "cluster_state:ok" not in await there.ask("CLUSTER", "INFO"):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.05)
    one = await counters(cluster_nodes=[{"ip": "127.0.0.1", "port": there.port}])
    few = YEAR._replace(limit=3)
    taken = await asyncio.gather(
        *(passes(one, b"%d" % caller, (few,)) for _ in range(5) for caller in range(100))
    )
    assert sum(taken) == 300
    assert one.told.reasons == []


# --- sharing -------------------------------------------------------------------------------------------------


async def test_who_names_the_same_server_shares_it(server):
    """The last one that lets go ends the connections; a change of anything is another server."""
    there = await server()
    told = []
    redises = Redises(lambda endpoint, reason: told.append((str(endpoint), reason)))
    endpoint, same = (Redis(host="127.0.0.1", port=there.port, password=None) for _ in range(2))
    one = redises.open(endpoint)
    assert redises.open(same) is one
    other = redises.open(Redis(host="127.0.0.1", port=there.port, database=1))
    assert other is not one
    assert await passes(one)
    await redises.close(endpoint)
    assert await passes(one)
    assert redises.states() == {f"127.0.0.1:{there.port}/0": True, f"127.0.0.1:{there.port}/1": True}
    await redises.close(same)
    with pytest.raises(CountersAway):
        await one.take(b"a", (YEAR,))
    await redises.close(Redis(host="127.0.0.1", port=there.port, database=1))
    assert (redises.states(), told) == ({}, [])


def test_windows_of_an_instance_are_told_once():
    """The same tuple is asked with while it lasts, so that what the script is given is made once."""
    windows = Windows({"minute": 5})
    assert windows.at(1_700_000_000.0) is windows.at(1_700_000_001.5)
