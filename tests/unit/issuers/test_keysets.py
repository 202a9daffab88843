"""Published keys: fetched beside the requests, kept while their server is down, asked for anew within bounds."""

from __future__ import annotations

import asyncio
import json
import ssl

import pytest
import trustme
from conversation import FakeClock
from jwks_case import Endpoint, document

from proxyd.issuers import keysets
from proxyd.issuers.keysets import KeySets, Times, _life

OFTEN = Times(least=0.02, usual=0.02, most=0.02, retry=0.02, fetch=5.0)
PATIENCE = 10.0  # seconds after which something that should have come is missing


@pytest.fixture
async def endpoint():
    one = await Endpoint(document(1)).start()
    yield one
    await one.stop()


@pytest.fixture
async def follow():
    """Give what follows an address, and stops when the test is over."""
    held = []

    async def hold(uri, times=None, clock=None):
        key_sets = KeySets(clock or FakeClock(), times)
        held.append((key_sets, key_sets.hold(uri)))
        return held[-1]

    yield hold
    for key_sets, source in held:
        await key_sets.release(source)
        assert key_sets.states() == []


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # nobody tells of a fetch
            await asyncio.sleep(0.005)


def kids(source):
    return [key.kid for key in source.keys.keys]


async def test_keys_are_fetched_once_for_all_who_hold_them(endpoint):
    """And are forgotten with the last one; a reload that begins before the old one ends keeps them."""
    key_sets = KeySets()
    first = key_sets.hold(endpoint.uri)
    await first.newer(PATIENCE)
    second = key_sets.hold(endpoint.uri)
    await key_sets.release(first)
    assert (second is first, kids(second), second.version, endpoint.asked) == (True, ["k1"], 1, 1)
    (state,) = key_sets.states()
    assert (state.uri, state.keys, state.succeeded, state.failed) == (endpoint.uri, 1, 1, 0)
    assert repr(key_sets) == f"<KeySets [<Source {endpoint.uri} up keys=1>]>"
    await key_sets.release(second)
    assert key_sets.states() == []


async def test_keys_are_asked_for_before_they_expire(endpoint, follow):
    """New ones take the place of the old; an unchanged answer is no change."""
    _, source = await follow(endpoint.uri, OFTEN)
    await until(lambda: endpoint.asked >= 3)
    assert source.version == 1
    endpoint.body = document(2)
    await until(lambda: source.version == 2)
    assert kids(source) == ["k2"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "/other"}},
        {"body": "garbage"},
        {"body": "[]"},
        {"body": json.dumps({"keys": []})},
        {"body": b"\xff"},
        {"body": " " * (keysets.MAX_SIZE + 1)},
    ],
    ids=str,
)
async def test_a_wrong_answer_leaves_the_keys_that_were_there(endpoint, follow, fault, capsys):
    """One warning for the outage, one notice for its end."""
    _, source = await follow(endpoint.uri, OFTEN)
    await until(lambda: source.succeeded)
    for name, value in fault.items():
        setattr(endpoint, name, value)
    await until(lambda: source.failed >= 3)
    assert (kids(source), source.version) == (["k1"], 1)
    assert repr(source) == f"<Source {endpoint.uri} down keys=1>"
    endpoint.status, endpoint.headers, endpoint.body = 200, {}, document(1, 2)
    await until(lambda: source.version == 2)
    told = capsys.readouterr().err
    assert (told.count("cannot be fetched"), told.count("are fetched again")) == (1, 1)


async def test_a_server_that_is_down(endpoint, follow):
    """Before the first answer there are no keys; after it they stay."""
    await endpoint.stop()
    _, source = await follow(endpoint.uri, OFTEN)
    await until(lambda: source.failed >= 2)
    assert source.keys is None
    again = await Endpoint(document(1), endpoint.port).start()
    await until(lambda: source.keys is not None)
    await again.stop()
    failed = source.failed
    await until(lambda: source.failed > failed)
    assert kids(source) == ["k1"]


async def test_a_slow_server(endpoint, follow):
    """Is given up on, and whoever waits does so no longer than it says."""
    endpoint.gate = asyncio.Event()
    _, source = await follow(endpoint.uri, Times(fetch=0.1, retry=60.0))
    await endpoint.arrived.wait()
    await source.newer(0.01)
    assert (source.keys, source.failed) == (None, 0)
    await until(lambda: source.failed)
    endpoint.gate.set()


async def test_the_servers_certificate_is_verified():
    """Against what the settings trust; keys of a server that anybody could be are not taken."""
    authority = trustme.CA()
    served, trusting = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusting)
    endpoint = await Endpoint(document(1), tls=served).start()
    for tls, known in ((trusting, True), (None, False)):
        key_sets = KeySets(tls=tls)
        source = key_sets.hold(endpoint.uri)
        await source.newer(PATIENCE)
        assert (source.keys is not None, source.failed) == (known, not known)
        await key_sets.release(source)
    await endpoint.stop()


async def test_a_query_is_in_no_log(endpoint, follow, capsys):
    """It may hold a key."""
    await endpoint.stop()
    key_sets, source = await follow(f"{endpoint.uri}?key=hidden", OFTEN)
    await until(lambda: source.failed)
    assert "hidden" not in capsys.readouterr().err + repr(key_sets) + str(key_sets.states())


async def test_tokens_cause_one_fetch_in_a_while(endpoint, follow):
    """All who ask wait for the same; in the pause nobody waits and nothing is fetched."""
    clock = FakeClock()
    _, source = await follow(endpoint.uri, clock=clock)
    await source.newer(PATIENCE)
    for _ in range(3):
        await source.newer(PATIENCE)
    assert endpoint.asked == 1
    clock.value += Times().pause
    endpoint.body = document(2)
    await asyncio.gather(*(source.newer(PATIENCE) for _ in range(5)))
    assert (endpoint.asked, kids(source)) == (2, ["k2"])
    await source.newer(PATIENCE)
    assert endpoint.asked == 2


async def test_who_waits_is_let_go_when_the_source_stops(endpoint):
    """A reload that drops an issuer leaves nobody hanging."""
    endpoint.gate = asyncio.Event()
    key_sets = KeySets()
    source = key_sets.hold(endpoint.uri)
    waiting = asyncio.ensure_future(source.newer(PATIENCE))
    await endpoint.arrived.wait()
    await key_sets.release(source)
    await waiting
    await source.newer(PATIENCE)  # nor does who comes later
    endpoint.gate.set()


@pytest.mark.parametrize(
    ("headers", "life"),
    [
        ({}, 300),
        ({"Cache-Control": "public, max-age=900, must-revalidate"}, 900),
        ({"Cache-Control": "max-age=900", "Age": "100"}, 800),
        ({"Cache-Control": "max-age=900", "Age": "x"}, 900),
        ({"Cache-Control": "MAX-AGE=900"}, 900),
        ({"Cache-Control": "max-age=1"}, 60),
        ({"Cache-Control": "max-age=0"}, 60),
        ({"Cache-Control": "max-age=86400"}, 3600),
        ({"Cache-Control": "max-age=-5"}, 300),
        ({"Cache-Control": "max-age=" + "9" * 5000}, 300),
        ({"Cache-Control": "max-age=900, no-store"}, 60),
        ({"Cache-Control": "no-cache"}, 60),
    ],
)
def test_how_long_an_answer_is_used(headers, life):
    """Cache-Control says, from a minute to an hour."""
    assert _life(headers, Times()) == life
