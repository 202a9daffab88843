"""internal-key: what it may be told, and what it sends."""

from __future__ import annotations

import re

import plugin_case
import pytest
from conversation import FakeClock
from plugin_case import make, sent
from pydantic import ValidationError

from proxyd.guard import Guard, Refused
from proxyd.model.entities import Consumer
from proxyd.plugin import Kit
from proxyd.plugins.internal_key import Config, InternalKey

SECRET = "s" * 32
NEXT = "n" * 32
KEYS = [{"id": "k1", "secret": SECRET}]


def exchange(*fields, method="GET", body=None):
    made = plugin_case.exchange(*fields, method=method, target="/a?b=1")
    made.buffered = body
    return made


def plugin(clock=None, **config):
    return make(InternalKey, Kit(clock=clock or FakeClock()), **{"keys": KEYS, **config})


# --- config --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"keys": []}, "at least 1"),
        ({"keys": [*KEYS, *KEYS]}, "same id"),
        ({"keys": [{"id": "k1", "secret": "short"}]}, "at least 16"),
        ({"keys": [{"id": "a;b", "secret": SECRET}]}, "pattern"),
        ({"keys": [{"id": "a", "secret": "x" * 20 + "\n"}], "mode": "header"}, "cannot stand in a header"),
        ({"mode": "header", "sign_body": True}, "needs mode: signature"),
        ({"header_name": "a b"}, "pattern"),
    ],
)
def test_what_is_refused(config, message):
    """A configuration that would not protect anything."""
    with pytest.raises(ValidationError, match=message) as caught:
        Config(**{"keys": KEYS, **config})
    assert SECRET not in str(caught.value)


def test_secrets_are_not_shown():
    """Neither by the settings nor by the plugin."""
    assert SECRET not in repr(Config(keys=KEYS)) + repr(plugin())


# --- phases --------------------------------------------------------------------------------------------------


def test_the_secret_takes_the_place_of_a_clients():
    """In any spelling of the name that a backend could take for it."""
    one = exchange((b"x-internal-key", b"mine"), (b"X_Internal_Key", b"mine"))
    plugin(mode="header").access(one)
    assert sent(one) == {"x-internal-key": SECRET}
    Guard({"k1": SECRET}, mode="header").check("GET", "/a?b=1", sent(one))


def test_a_signature_holds_for_one_request():
    """Method, target, consumer and key are part of it; it is let in once, and in its time."""
    clock = FakeClock()
    one = exchange()
    one.consumer = Consumer(id="c1", username="ann")
    one.headers.set(b"X-Consumer-ID", b"c1")
    plugin(clock).access(one)
    told = sent(one)
    keys = {"k0": NEXT, "k1": SECRET}
    fresh = lambda **more: Guard(keys, now=clock.time, **more)  # noqa: E731
    guard = fresh()
    assert guard.check("GET", "/a?b=1", told) is None
    for message, call in {
        "replayed": lambda: guard.check("GET", "/a?b=1", told),
        "wrong signature": lambda: fresh().check("POST", "/a?b=1", told),
        "wrong sig": lambda: fresh().check("GET", "/a?b=2", told),
        "wrong": lambda: fresh().check("GET", "/a?b=1", told | {"x-consumer-id": "c2"}),
        "not signed": lambda: fresh(require_body=True).check("GET", "/a?b=1", told),
        "no internal key": lambda: fresh().check("GET", "/a?b=1", {}),
        "unknown key id": lambda: Guard({"k0": NEXT}, now=clock.time).check("GET", "/a?b=1", told),
        "malformed": lambda: fresh().check(
            "GET", "/a?b=1", {"x-internal-key": "x, " + told["x-internal-key"]}
        ),
    }.items():
        with pytest.raises(Refused, match=message):
            call()
    clock.value += 31
    with pytest.raises(Refused, match="out of its time"):
        fresh().check("GET", "/a?b=1", told)


async def test_a_signed_body_is_the_one_that_was_sent():
    """The digest is part of the signature."""
    clock = FakeClock()
    one = exchange(method="POST", body=b"hello")
    assert await plugin(clock, sign_body=True).access(one) is None
    check_body = Guard({"k1": SECRET}, now=clock.time, require_body=True).check("POST", "/a?b=1", sent(one))
    check_body(b"hello")
    with pytest.raises(Refused, match="another"):
        check_body(b"hullo")


def test_remembered_nonces_are_forgotten_in_time():
    """Memory does not grow with the requests."""
    clock = FakeClock()
    guard = Guard({"k1": SECRET}, now=clock.time, window=10)
    for _ in range(50):
        one = exchange()
        plugin(clock).access(one)
        guard.check("GET", "/a?b=1", sent(one))
        clock.value += 1
    assert len(guard._seen) <= 21


def test_two_requests_differ():
    """Each has a nonce of its own."""
    one, two = exchange(), exchange()
    plugin().access(one)
    plugin().access(two)
    first, second = sent(one)["x-internal-key"], sent(two)["x-internal-key"]
    assert re.fullmatch(r"v1;id=k1;ts=\d+;nonce=[0-9a-f]{32};body=unsigned;sig=[0-9a-f]{64}", first)
    assert first != second
