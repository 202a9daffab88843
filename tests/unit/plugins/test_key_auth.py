"""key-auth: where keys are looked for, and who is let in."""

from __future__ import annotations

import hashlib

import pytest
from conversation import FakeClock
from plugin_case import challenge, exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.plugins.basic_auth import BasicAuth
from proxyd.plugins.key_auth import KeyAuth

ANN = {
    "username": "ann",
    "custom_id": "7",
    "keyauth_credentials": [{"id": "11111111-1111-4111-8111-111111111111", "key": "one"}, {"key": "two"}],
}
NOBODY = {"username": "nobody"}
FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"Content-Type", b"application/json; charset=utf-8")


def plugin(**config):
    return make(KeyAuth, kit(ANN, NOBODY), **config)


def test_defaults():
    """Kong's."""
    assert KeyAuth.Config().model_dump() == {
        "anonymous": None,
        "run_on_preflight": True,
        "key_names": ("apikey",),
        "hide_credentials": False,
        "key_in_header": True,
        "key_in_query": True,
        "key_in_body": False,
        "realm": None,
        "scopes_required": (),
        "scopes_match": "all",
    }


@pytest.mark.parametrize(
    "config",
    [{"key_names": []}, {"anonymous": ""}, {"keys": ["a"]}, {"key_names": [""]}, {"key_names": ["a b"]}],
)
def test_what_is_refused(config):
    """An instance without names, or with settings that there are not."""
    with pytest.raises(ValidationError):
        KeyAuth.Config(**config)


@pytest.mark.parametrize("key", ["one", "two"])
def test_any_key_of_a_consumer_lets_it_in(key):
    """So that keys can be changed one after the other; the upstream is told who it is."""
    one = exchange((b"ApiKey", key.encode()))
    assert plugin().access(one) is None
    assert one.consumer.username == "ann"
    told = sent(one)
    assert (told["x-consumer-username"], told["x-consumer-custom-id"], told["apikey"]) == ("ann", "7", key)
    assert told["x-credential-identifier"] == one.credential.id


def test_no_key_is_kept_in_clear():
    """Neither in the index nor in what later plugins see."""
    one = exchange((b"apikey", b"one"))
    made = plugin()
    made.access(one)
    assert one.credential.key == hashlib.sha256(b"one").hexdigest()
    assert make(KeyAuth, made.kit).access(exchange((b"apikey", one.credential.key.encode()))).status == 401


@pytest.mark.parametrize(
    ("fields", "target", "config", "expected"),
    [
        ((), "/a", {}, (401, "No API key found in request", "Key")),
        ((), "/a", {"realm": 'a"b'}, (401, "No API key found in request", 'Key realm="a\\"b"')),
        (((b"apikey", b"three"),), "/a", {}, (401, "Unauthorized", "Key")),
        (((b"apikey", b""),), "/a?apikey=one", {}, (401, "No API key found in request", "Key")),
        ((), "/a?apikey", {}, (401, "No API key found in request", "Key")),
        ((), "/a?apikey&apikey=one", {}, (401, "Duplicate API key found", "Key")),
        ((), "/a?apikey=&k=one", {"key_names": ["apikey", "k"]}, (401, "No API key found in request", "Key")),
        (((b"apikey", b"one"), (b"apikey", b"two")), "/a", {}, (401, "Duplicate API key found", "Key")),
        ((), "/a?apikey=one&apikey=one", {}, (401, "Duplicate API key found", "Key")),
        (((b"apikey", b"one"),), "/a", {"key_in_header": False}, (401, "No API key found in request", "Key")),
        ((), "/a?apikey=one", {"key_in_query": False}, (401, "No API key found in request", "Key")),
        (((b"apikey", b"three"),), "/a?apikey=one", {}, (401, "Unauthorized", "Key")),
    ],
)
def test_who_is_refused(fields, target, config, expected):
    """With Kong's words, and a challenge."""
    assert challenge(plugin(**config).access(exchange(*fields, target=target))) == expected


def test_a_hidden_key_is_taken_out_where_it_was():
    """Header and query; the other arguments stay as they are, escapes included."""
    one = exchange(target="/a?x=%41&api%6Bey=one&y")
    assert plugin(hide_credentials=True).access(one) is None
    assert one.request.query == "?x=%41&y"
    only = exchange((b"apikey", b"one"), target="/a?apikey=one")
    plugin(hide_credentials=True).access(only)
    assert (only.request.query, "apikey" in sent(only)) == ("", False)


def test_names_are_tried_one_after_the_other():
    """Each in the headers and the query before the next; a header is found with - for _ too, as in Kong."""
    config = {"key_names": ["a", "my_key"]}
    assert plugin(**config).access(exchange((b"my_key", b"one"), target="/a?a=two")) is None
    assert plugin(**config).access(exchange((b"my-key", b"one"))) is None
    assert plugin(**config).access(exchange((b"my-key", b"one"), target="/a?a")) is None
    reply = plugin(**config).access(exchange((b"my_key", b"one"), (b"my-key", b"two")))
    assert reply.message == "Duplicate API key found"


def test_no_copy_of_a_key_goes_on():
    """Under none of the names, in no place, whether it has let the request in or not."""
    config = {"key_names": ["a", "my_key"], "hide_credentials": True, "anonymous": "nobody"}
    for key in (b"one", b"wrong"):
        one = exchange(
            (b"A", key), (b"my_key", b"two"), (b"my-key", b"x"), target="/a?x=1&a=one&a=two&my_%6Bey=z"
        )
        assert plugin(**config).access(one) is None
        assert (one.request.query, {"a", "my_key", "my-key"} & sent(one).keys()) == ("?x=1", set())


PART = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
MULTI = (b"Content-Type", b"multipart/form-data; boundary=b")


@pytest.mark.parametrize(
    ("field", "body", "left"),
    [
        (FORM, b"a=1&apikey=one&%6B=two", b"a=1"),
        (
            JSON,
            b'{ "apikey": "one", "a": [1.10, 12345678901234567890], "k": 7}',
            b'{ "a": [1.10, 12345678901234567890]}',
        ),
        (
            MULTI,
            PART % (b"apikey", b"one") + PART % (b"a", b"\x00") + b"--b--",
            PART % (b"a", b"\x00") + b"--b--",
        ),
    ],
)
async def test_a_key_in_a_body(field, body, left):
    """Is found where asked for, and cut out, under whatever name; nothing else of the body changes."""
    one = exchange(field, method="POST", body=body)
    config = {"key_in_body": True, "key_names": ["apikey", "k"]}
    assert await plugin(**config).access(one) is None
    assert (one.consumer.username, one.buffered) == ("ann", body)
    one = exchange(field, method="POST", body=body)
    assert await plugin(**config, hide_credentials=True).access(one) is None
    assert (one.consumer.username, one.buffered) == ("ann", left)
    known = exchange(field, (b"apikey", b"two"), method="POST", body=body)
    assert await plugin(**config, hide_credentials=True).access(known) is None
    assert (known.buffered, "apikey" in sent(known)) == (left, False)


def test_a_body_is_not_waited_for_in_vain():
    """Where the first name is in the headers, or the body is of another kind."""
    made = plugin(key_in_body=True)
    assert made.access(exchange((b"apikey", b"one"), FORM, method="POST", body=b"apikey=two")) is None
    assert (
        made.access(exchange((b"content-type", b"text/plain"), method="POST", body=b"apikey=one")).status
        == 401
    )


async def test_a_name_is_looked_for_in_the_body_before_the_next():
    """As in Kong, whatever the next one would find in the headers."""
    one = exchange((b"k", b"two"), FORM, method="POST", body=b"apikey=wrong")
    reply = await plugin(key_in_body=True, key_names=["apikey", "k"]).access(one)
    assert reply.message == "Unauthorized"
    one = exchange((b"k", b"two"), FORM, method="POST", body=b"x=1")
    assert await plugin(key_in_body=True, key_names=["apikey", "k"]).access(one) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "No API key found in request"),
        (b"[1]", "No API key found in request"),
        (b"{", "No API key found in request"),
        (b'{"apikey":1}', "No API key found in request"),
        (b'{"apikey":""}', "No API key found in request"),
        (b'{"apikey":{"a":1}}', "Duplicate API key found"),
        (b'{"apikey":"wrong","apikey":"one"}', "Duplicate API key found"),
        (b'{"apikey":"wrong"}', "Unauthorized"),
    ],
)
async def test_a_body_without_a_key(body, message):
    """Whatever it is, it lets nobody in."""
    reply = await plugin(key_in_body=True).access(exchange(JSON, method="POST", body=body))
    assert (reply.status, reply.message) == (401, message)


def test_preflights():
    """Pass without a key only where that is asked for."""
    assert plugin().access(exchange(method="OPTIONS")).status == 401
    assert plugin(run_on_preflight=False).access(exchange(method="OPTIONS")) is None


def test_unknown_callers_count_as_anonymous():
    """And the upstream is told so; without that consumer it is an error of the configuration, not a way in."""
    one = exchange((b"apikey", b"three"))
    assert plugin(anonymous="nobody").access(one) is None
    assert (sent(one)["x-anonymous-consumer"], sent(one)["x-consumer-username"]) == ("true", "nobody")
    refused = plugin(anonymous="gone").access(exchange())
    assert (refused.status, refused.message) == (
        500,
        "anonymous consumer gone is configured but doesn't exist",
    )


@pytest.mark.parametrize(
    ("anonymous", "fields", "who"),
    [
        ("nobody", ((b"apikey", b"one"),), "ann"),
        ("nobody", ((b"authorization", b"Basic Ym9iOnB3"),), "bob"),
        ("nobody", (), "nobody"),
        (None, ((b"apikey", b"one"),), None),
        (None, ((b"apikey", b"one"), (b"authorization", b"Basic Ym9iOnB3")), "bob"),
    ],
)
def test_two_plugins_are_both_or_either(anonymous, fields, who):
    """OR with anonymous, AND without."""
    lent = kit(
        ANN, NOBODY, {"username": "bob", "basicauth_credentials": [{"username": "bob", "password": "pw"}]}
    )
    one = exchange(*fields)
    replies = [make(kind, lent, anonymous=anonymous).access(one) for kind in (KeyAuth, BasicAuth)]
    let_in = replies == [None, None]
    assert (one.consumer.username if let_in else None) == who


def test_a_token_without_a_consumer_is_an_identity_too():
    """With anonymous, who has shown a token that is valid is not made anonymous by the next plugin."""
    one = exchange()
    one.claims = {"sub": "u1"}
    assert plugin(anonymous="nobody").access(one) is None
    assert (one.consumer, one.anonymous) == (None, False)
    assert plugin().access(one).status == 401


@pytest.mark.parametrize(
    ("ends", "seconds"),
    [
        ({"expires_at": 1_700_001_060}, 60),
        ({"expires_at": "2023-11-14T22:31:00Z"}, 60),
        ({"expires_at": "2023-11-14T23:31:00+01:00"}, 60),
        ({"ttl": 60}, 60),
        ({"ttl": 30, "expires_at": 1_700_001_060}, 30),
        ({"ttl": 90, "expires_at": 1_700_001_060}, 60),
    ],
)
def test_a_key_that_has_ended_is_unknown(ends, seconds):
    """From that second on, while another one of the same consumer goes on; Kong's ttl counts from the load."""
    clock = FakeClock()
    keys = [{"key": "one", **ends}, {"key": "two", "ttl": 0}]
    made = make(KeyAuth, kit({"username": "ann", "keyauth_credentials": keys}, clock=clock))
    clock.value += seconds - 1
    assert made.access(exchange((b"apikey", b"one"))) is None
    clock.value += 1
    assert challenge(made.access(exchange((b"apikey", b"one")))) == (401, "Unauthorized", "Key")
    assert made.access(exchange((b"apikey", b"two"))) is None
