"""key-auth with keys of the gateway's own making: hashed under a pepper, with scopes, noted when used."""

from __future__ import annotations

import hmac

import pytest
from conversation import FakeClock
from plugin_case import challenge, exchange, make, sent

from proxyd.apps.caller import caller_of
from proxyd.crypto.api_keys import KeyText, Pepper
from proxyd.identity import identify
from proxyd.model.entities import BasicAuthCredential, Configuration, Consumer, KeyAuthCredential
from proxyd.plugin import Kit
from proxyd.plugins.acl import Acl
from proxyd.plugins.key_auth import KeyAuth
from proxyd.store import consumers as store
from proxyd.store.consumers import Consumers
from proxyd.store.used import LastUsed

PEPPER, OTHER = Pepper(b"p" * 32), Pepper(b"o" * 32)
ANN = Consumer(id="ann", username="ann")
KEY = KeyText.make("live")


def credential(key=KEY, pepper=PEPPER, **fields):
    return KeyAuthCredential(
        id=f"of-{key.id}",
        consumer="ann",
        key_id=key.id,
        hash=pepper.seal(key.text.encode()),
        **fields,
    )


def kit(*credentials, peppers=(PEPPER,), clock=None, **more):
    configuration = Configuration(consumers={"ann": ANN}, peppers=peppers, **more)
    configuration.keyauth_credentials |= {one.id: one for one in credentials}
    clock = clock or FakeClock()
    return Kit(Consumers(configuration, clock.time()), clock)


def asked(plugin, key=KEY.text):
    one = exchange((b"apikey", key.encode()))
    return plugin.access(one), one


def test_an_issued_key_lets_its_consumer_in():
    """The upstream is told the credential's id, and its scopes."""
    reply, one = asked(make(KeyAuth, kit(credential(scopes=("orders:read", "b")))))
    assert (reply, one.consumer) == (None, ANN)
    assert sent(one)["x-credential-identifier"] == f"of-{KEY.id}"
    assert sent(one)["x-credential-scopes"] == "orders:read b"


def test_a_key_without_scopes_says_so_whatever_was_claimed():
    """What another plugin, or the client, has said of scopes is taken back."""
    plugin = make(KeyAuth, kit(credential()))
    one = exchange((b"apikey", KEY.text.encode()), (b"X-Credential-Scopes", b"admin"))
    assert plugin.access(one) is None
    assert "x-credential-scopes" not in sent(one)


@pytest.mark.parametrize(
    "key",
    [
        KeyText.make("live").text,
        KEY.text[:-1] + ("a" if KEY.text[-1] != "a" else "b"),
        KEY.text.replace("live", "test"),
        PEPPER.seal(KEY.text.encode()),
        KEY.id,
    ],
    ids=["another", "checksum", "environment", "hash", "id"],
)
def test_what_is_not_the_key_lets_nobody_in(key):
    """Kong's answer, to all of them the same."""
    reply, one = asked(make(KeyAuth, kit(credential())), key)
    assert challenge(reply) == (401, "Unauthorized", "Key")
    assert one.consumer is None


def test_another_secret_under_the_id_of_a_key_lets_nobody_in():
    """Even with a checksum that is right: the hash decides."""
    other = KeyText.make("live")
    stored = credential().model_copy(update={"key_id": other.id})
    assert asked(make(KeyAuth, kit(stored)), other.text)[0].status == 401


def test_what_has_a_wrong_checksum_is_not_hashed(monkeypatch):
    """Garbage costs no HMAC, and neither does a key whose id nobody has."""
    sealed = []
    plugin = make(KeyAuth, kit(credential()))
    monkeypatch.setattr(hmac, "digest", lambda *arguments: sealed.append(arguments) or b"")
    for key in (KEY.text + "a", KeyText.make("live").text, "something else"):
        asked(plugin, key)
    assert sealed == []


@pytest.mark.parametrize("peppers", [(PEPPER,), (OTHER, PEPPER), (PEPPER, OTHER)])
def test_any_of_the_peppers_verifies(peppers):
    """While a pepper is changed, keys of the old one and the new one get in."""
    new = KeyText.make("live")
    made = kit(credential(), credential(new, peppers[0]), peppers=peppers)
    plugin = make(KeyAuth, made)
    assert [asked(plugin, key.text)[0] for key in (KEY, new)] == [None, None]


def test_without_its_pepper_a_key_lets_nobody_in():
    """A load refuses such a file; nothing else gets by."""
    assert asked(make(KeyAuth, kit(credential(), peppers=(OTHER,))))[0].status == 401


def test_a_key_of_kongs_may_be_hashed_too():
    """It has no id: it is found by its hash, under each of the peppers."""
    stored = KeyAuthCredential(id="k", consumer="ann", hash=PEPPER.seal(b"plain"))
    plugin = make(KeyAuth, kit(stored, peppers=(OTHER, PEPPER)))
    assert [asked(plugin, key)[0] is None for key in ("plain", "other", "plain")] == [True, False, True]


@pytest.mark.parametrize(
    ("config", "scopes", "status"),
    [
        ({"scopes_required": ["a", "b"]}, ("b", "a", "c"), None),
        ({"scopes_required": ["a", "b"]}, ("a",), 403),
        ({"scopes_required": ["a", "b"], "scopes_match": "any"}, ("b",), None),
        ({"scopes_required": ["a", "b"], "scopes_match": "any"}, ("c",), 403),
        ({"scopes_required": ["a"]}, (), 403),
        ({"scopes_match": "any"}, (), None),
    ],
)
def test_scopes_that_are_required(config, scopes, status):
    """All of them, or any: otherwise 403, every time, for the caller is known and may not."""
    plugin = make(KeyAuth, kit(credential(scopes=scopes)), **config)
    for _ in range(2):
        reply, one = asked(plugin)
        assert (reply and reply.status) == status
        assert (one.consumer is None) == (status is not None)


def test_scopes_are_groups_with_a_prefix():
    """acl, roles of GraphQL and of mounted applications see ``scope:NAME``, and no group of that name."""
    lent = kit(credential(scopes=("orders:read",)))
    _, one = asked(make(KeyAuth, lent))
    assert make(Acl, lent, allow=["orders:read"]).access(one).status == 403
    assert make(Acl, lent, allow=["scope:orders:read"]).access(one) is None
    assert caller_of(one, lambda _: ("staff",)).groups == ("staff", "scope:orders:read")


def test_a_key_ends():
    """From that second on, also where it was remembered before."""
    clock = FakeClock()
    plugin = make(KeyAuth, kit(credential(expires_at=clock.time() + 10), clock=clock))
    assert asked(plugin)[0] is None
    clock.value += 9.5
    assert asked(plugin)[0] is None
    clock.value += 0.5
    assert challenge(asked(plugin)[0]) == (401, "Unauthorized", "Key")


def test_uses_are_noted_once_a_minute():
    """Of keys that were right, with the time; who takes them begins anew."""
    clock = FakeClock()
    lent = kit(credential(), clock=clock)
    plugin = make(KeyAuth, lent)
    asked(plugin)
    asked(plugin, "wrong")
    begun = clock.time()
    assert lent.used.take() == {f"of-{KEY.id}": begun}
    clock.value += 59
    asked(plugin)
    assert lent.used.take() == {}
    clock.value += 1
    asked(plugin)
    assert lent.used.take() == {f"of-{KEY.id}": begun + 60}


def test_what_is_noted_has_a_bound():
    """Where nobody takes it, no more than so many credentials are noted, and those go on."""
    used = LastUsed(2)
    for number in range(3):
        used.note(f"key {number}", 1.0)
    used.note("key 0", 2.0)
    assert used.take() == {"key 0": 2.0, "key 1": 1.0}


def test_the_scopes_of_a_key_are_taken_back_by_the_next_identity():
    """Where a token says who it is after a key has, the backend is told of no scopes."""
    lent = kit(credential(scopes=("a",)))
    _, one = asked(make(KeyAuth, lent))
    assert sent(one)["x-credential-scopes"] == "a"
    identify(one, ANN, None, "somebody")
    assert "x-credential-scopes" not in sent(one)


def test_a_hashed_password_is_compared_under_the_pepper():
    """It is that of one consumer, and no other one's."""
    stored = BasicAuthCredential(
        id="b", consumer="ann", username="ann", hash=PEPPER.seal_password("right", "ann")
    )
    consumers = store.Consumers(
        Configuration(consumers={"ann": ANN}, basicauth_credentials={"b": stored}, peppers=(OTHER, PEPPER))
    )
    assert [consumers.is_password(stored, word) for word in ("right", "wrong", stored.hash)] == [
        True,
        False,
        False,
    ]
    assert not consumers.is_password(stored.model_copy(update={"consumer": "bob"}), "right")
