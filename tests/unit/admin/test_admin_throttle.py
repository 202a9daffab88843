"""Wrong tokens: how many may be tried, from where, and who is not kept out by them."""

from __future__ import annotations

import pytest
from admin_case import ADMIN, TOKENS, HandClock, Source
from hypothesis import given
from hypothesis import strategies as st

from proxyd.admin.callers.throttle import ADDRESSES, ALL_PAUSE, ALL_TRIES, PAUSE, TRIES, Throttle

RIGHT, WRONG = b"right", b"wrong"


def fail(throttle, address, times=1):
    """Try a wrong token as often as that is let; return how often."""
    done = 0
    while done < times and not throttle.wait(address, WRONG):
        throttle.failed(address)
        done += 1
    return done


def test_an_address_has_a_few_tries_and_then_one_at_a_time():
    """And is told for how long it has none."""
    clock = HandClock()
    throttle = Throttle(clock.now)
    assert fail(throttle, "192.0.2.1", 100) == TRIES
    assert throttle.wait("192.0.2.1", RIGHT) == pytest.approx(PAUSE)
    clock.at += PAUSE
    assert fail(throttle, "192.0.2.1", 100) == 1
    clock.at += 1000 * PAUSE
    assert fail(throttle, "192.0.2.1", 100) == TRIES


def test_others_are_not_kept_out():
    """Not another address, and not who has shown a right token from the same one."""
    throttle = Throttle(HandClock().now)
    throttle.succeeded("192.0.2.1", RIGHT)
    fail(throttle, "192.0.2.1", 100)
    assert throttle.wait("192.0.2.1", RIGHT) == 0
    assert throttle.wait("192.0.2.2", RIGHT) == 0


def test_many_addresses_together_have_one_try_each():
    """So a right token is let in from one that has not tried; it ends when the flood does."""
    clock = HandClock()
    throttle = Throttle(clock.now)
    tried = sum(fail(throttle, f"10.0.0.{number}", TRIES) for number in range(200))
    assert tried == ALL_TRIES + 200 - ALL_TRIES // TRIES
    assert throttle.wait("192.0.2.1", RIGHT) == 0
    assert fail(throttle, "192.0.2.1", 100) == 1
    clock.at += PAUSE
    assert fail(throttle, "192.0.2.1", 100) == TRIES


def test_a_network_of_ipv6_is_one_address():
    """Whoever has one has all of it; an IPv4 address in an IPv6 one is itself."""
    throttle = Throttle(HandClock().now)
    assert sum(fail(throttle, f"2001:db8::{number}", 100) for number in range(9)) == TRIES
    assert fail(throttle, "2001:db8:0:1::1", 100) == TRIES
    assert fail(throttle, "::ffff:192.0.2.1", 100) == TRIES
    assert fail(throttle, "192.0.2.1", 100) == 0
    assert fail(throttle, "fe80::1%eth0", 100) == TRIES
    assert fail(throttle, "unix:", 100) == TRIES


def test_what_is_remembered_is_bounded():
    """However many addresses there are."""
    throttle = Throttle(HandClock().now)
    for number in range(ADDRESSES + 50):
        throttle.failed(f"address {number}")
        throttle.succeeded(f"address {number}", RIGHT)
    assert repr(throttle) == f"<Throttle addresses={ADDRESSES} right={ADDRESSES}>"


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 60, allow_nan=False), st.sampled_from(["a", "b", "::1"])), max_size=200
    )
)
def test_no_pattern_of_tries_gets_more_than_its_share(steps):
    """In any stretch of time an address has its tries and one per pause; all together the same by their own numbers."""
    clock = HandClock()
    throttle = Throttle(clock.now)
    done = []
    for pause, address in steps:
        clock.at += pause
        wait = throttle.wait(address, WRONG)
        assert 0 <= wait <= TRIES * PAUSE
        if not wait:
            throttle.failed(address)
            done.append((clock.at, address))
    for begin, (start, address) in enumerate(done):
        since = [at for at, other in done[begin:] if other == address]
        for count, at in enumerate(since, 1):
            assert count <= TRIES + (at - start) / PAUSE + 1e-6
        for count, (at, _) in enumerate(done[begin:], 1):
            assert count <= ALL_TRIES + (at - start) / ALL_PAUSE + 3


async def test_wrong_tokens_are_refused_for_a_while(serve):
    """429 with the time, for logins and bearers alike; they are counted, and a right token elsewhere is not concerned."""
    clock = HandClock()
    source = Source(admin_tokens=TOKENS, trusted_ips="127.0.0.0/8")
    client = await serve(source, clock)

    async def ask(secret, address, path="/services"):
        headers = {"Kong-Admin-Token": secret, "X-Real-IP": address}
        async with client.get(path, headers=headers) as answer:
            return answer.status, answer.headers.get("Retry-After")

    async def log_in(secret, address):
        async with client.post("/session", json={"token": secret}, headers={"X-Real-IP": address}) as answer:
            return answer.status

    for _ in range(3):
        assert await ask("wrong", "192.0.2.1") == (401, None)
    assert [await log_in("wrong", "192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert await ask(ADMIN, "192.0.2.1") == (429, "12")
    assert await ask(ADMIN, "192.0.2.2") == (200, None)
    assert await log_in(ADMIN, "192.0.2.2") == 200
    clock.at += 12
    assert await ask(ADMIN, "192.0.2.1") == (200, None)
    assert await ask("wrong", "192.0.2.1") == (401, None)
    assert await ask("wrong", "192.0.2.1") == (429, "12")
    assert await ask(ADMIN, "192.0.2.1") == (200, None)
    assert source.admin_counts.logins == {"failure": 6, "throttled": 3, "success": 1}
