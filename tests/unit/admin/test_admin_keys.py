"""Keys over the Admin API: made, listed, rotated, revoked; shown once, and kept as hashes."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from admin_case import Source
from store_case import StoredSource
from test_admin_writing import Api

from proxyd.crypto.api_keys import KeyText, Pepper
from proxyd.model.issue import OVERLAP

PEPPER = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def serve():
    """Give Admin APIs over sources, with a database or without."""
    async with contextlib.AsyncExitStack() as ending:

        async def start(source):
            one = Api(source)
            await one.client.start_server()
            ending.push_async_callback(one.client.close)
            if source.database is not None:
                ending.push_async_callback(source.ending.aclose)
            return one

        yield start


@pytest.fixture
async def api(serve):
    """Give an Admin API with a database, and two consumers in it."""
    one = await serve(StoredSource(key_pepper=PEPPER, key_environment="test"))
    one.source.store.now = time.time()
    await one.post("/consumers", {"username": "ann"})
    await one.post("/consumers", {"username": "bob"})
    return one


def stored(api, made):
    return api.source.database.contents.entries["keyauth_credentials"][made["id"]].document


async def test_a_key_is_shown_once_and_kept_as_a_hash(api):
    """With what was said of it; neither lists nor Kong's paths show key or hash."""
    made = await api.post(
        "/keys", {"consumer": "ann", "name": "ci", "scopes": ["a", "b"], "tags": ["t"], "expires_in": "90d"}
    )
    key = KeyText(made["key"].encode())
    assert (key.environment, key.id) == ("test", made["key_id"])
    assert (made["name"], made["scopes"], made["tags"], made["kind"]) == ("ci", ["a", "b"], ["t"], "issued")
    assert made["expires_at"] == pytest.approx(made["created_at"] + 90 * 86_400, abs=5)
    assert stored(api, made)["hash"] == Pepper(PEPPER.encode()).seal(made["key"].encode())
    assert made["key"] not in json.dumps(stored(api, made))
    for path in (
        "/keys",
        f"/keys/{made['key_id']}",
        f"/keys/{made['id']}",
        "/key-auths",
        "/consumers/ann/key-auth",
    ):
        text = json.dumps(await api.get(path))
        assert made["id"] in text
        assert made["key"] not in text
        assert stored(api, made)["hash"] not in text


async def test_keys_below_a_consumer(api):
    """The path says whose they are."""
    made = await api.post("/consumers/bob/keys", {})
    await api.post("/consumers/ann/keys", {})
    assert made["consumer"]["username"] == "bob"
    assert [one["id"] for one in (await api.get("/consumers/bob/keys"))["data"]] == [made["id"]]
    await api.get("/consumers/eve/keys", status=404)
    await api.post("/consumers/eve/keys", {}, status=404)


async def test_lists_are_pages_with_filters(api):
    """By consumer, scope, state, tag and a text in the name or the id."""
    made = [
        await api.post("/keys", {"consumer": "ann", "name": "Nightly", "scopes": ["a"], "tags": ["x"]}),
        await api.post("/keys", {"consumer": {"id": (await api.get("/consumers/bob"))["id"]}}),
        await api.post("/keys", {"consumer": "ann"}),
    ]
    ids = [one["id"] for one in made]
    await api.post(f"/keys/{made[2]['key_id']}/rotate", {"overlap": 0})
    for query, expected in (
        ("consumer=bob", ids[1:2]),
        ("scope=a", ids[:1]),
        ("tags=x", ids[:1]),
        ("name=night", ids[:1]),
        (f"name={made[1]['key_id']}", ids[1:2]),
        ("state=expired", ids[2:]),
        ("consumer=eve", []),
    ):
        assert [one["id"] for one in (await api.get(f"/keys?{query}"))["data"]] == expected
    first = await api.get("/keys?size=3")
    second = await api.get(first["next"])
    assert [one["id"] for one in first["data"]] == ids
    assert len(second["data"]) == 1
    assert second["next"] is None


async def test_a_key_is_rotated(api):
    """The old one goes on for a day or as long as is said; the new one is for the same, and lives as long."""
    old = await api.post("/keys", {"consumer": "ann", "name": "ci", "scopes": ["a"], "expires_in": "30d"})
    new = await api.post(f"/keys/{old['key_id']}/rotate")
    assert new["key"] != old["key"]
    assert (new["name"], new["scopes"], new["consumer"]) == ("ci", ["a"], old["consumer"])
    assert new["expires_at"] - new["created_at"] == pytest.approx(30 * 86_400, abs=10)
    assert new["replaces"]["id"] == old["id"]
    assert new["replaces"]["expires_at"] == pytest.approx(new["created_at"] + OVERLAP, abs=5)
    assert stored(api, old)["expires_at"] == new["replaces"]["expires_at"]
    at_once = await api.post(f"/keys/{new['key']}/rotate", {"overlap": "0s", "expires_at": "2040-01-01"})
    assert at_once["replaces"]["state"] == "expired"
    assert at_once["expires_at"] == 2_208_988_800


async def test_a_key_is_revoked(api):
    """It is gone, and who names another one is told that there is none."""
    made = await api.post("/keys", {"consumer": "ann"})
    await api.delete(f"/keys/{made['key_id']}")
    await api.delete(f"/keys/{made['key_id']}", status=404)
    assert (await api.get("/keys"))["data"] == []
    await api.post(f"/keys/{made['key_id']}/rotate", status=404)
    await api.get("/keys/pxd_live_nonsense", status=404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "consumer"),
        ({"consumer": "eve"}, "consumer"),
        ({"consumer": "ann", "scopes": ["a b"]}, "scopes"),
        ({"consumer": "ann", "scopes": 5}, "scopes"),
        ({"consumer": "ann", "expires_in": "soon"}, "expires_in"),
        ({"consumer": "ann", "expires_at": "2020-01-01"}, "expires_at"),
        ({"consumer": "ann", "expires_in": "99999999999d"}, "expires_in"),
        ({"consumer": "ann", "expires_in": "9" * 400}, "expires_in"),
        ({"consumer": "ann", "expires_at": 1e300}, "expires_at"),
        ({"consumer": "ann", "expires_in": "1d", "expires_at": "2040-01-01"}, "expires_in"),
        ({"consumer": "ann", "key": "mine"}, "key"),
        ({"consumer": "ann", "tags": ["a,b"]}, "tags"),
    ],
)
async def test_what_is_refused_says_where(api, body, field):
    """As a violation of the schema, with the field."""
    answer = await api.post("/keys", body, status=400)
    assert (answer["name"], list(answer["fields"])) == ("schema violation", [field])
    assert "keyauth_credentials" not in api.source.database.contents.entries


async def test_without_a_pepper_no_key_is_made(serve):
    """It is said what to set."""
    one = await serve(StoredSource())
    await one.post("/consumers", {"username": "ann"})
    assert "PROXYD_KEY_PEPPER" in (await one.post("/keys", {"consumer": "ann"}, status=400))["message"]


async def test_without_a_database_keys_are_read(serve):
    """Those of the file, with when they were used since the start; changes are refused as Kong refuses them."""
    one = await serve(Source())
    (key,) = (await one.get("/keys"))["data"]
    assert (key["kind"], key["consumer"]["username"], key["last_used_at"]) == ("plain", "ann", None)
    one.source.uses.hear({key["id"]: 5.0})
    assert (await one.get("/consumers/ann/keys"))["data"][0]["last_used_at"] == 5.0
    for method, path in (
        ("POST", "/keys"),
        ("DELETE", f"/keys/{key['id']}"),
        ("POST", f"/keys/{key['id']}/rotate"),
    ):
        answer = await one.ask(method, path, {} if method == "POST" else None, status=405)
        assert answer["code"] == 12


async def test_a_key_in_clear_that_looks_like_ours_must_be_one(api):
    """Kong's path takes a whole key of ours, and refuses one that could never let anybody in."""
    key = KeyText.make("live")
    made = await api.post("/consumers/ann/key-auth", {"key": key.text})
    assert stored(api, made)["key_id"] == key.id
    answer = await api.post("/consumers/ann/key-auth", {"key": key.text[:-1]}, status=400)
    assert list(answer["fields"]) == ["key"]
    assert key.text[:-1] not in json.dumps(answer)
