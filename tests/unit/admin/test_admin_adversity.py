"""The Admin API with a database, asked by who means ill or knows no better: nothing fails, and nothing stops what comes later."""

from __future__ import annotations

import json

import pytest
from store_case import Api, StoredSource

from proxyd.downstream.certificates import self_signed

CERT, KEY = self_signed()
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def start():
    """Give what starts an Admin API, with settings."""
    running = []

    async def one(**settings):
        api = Api(StoredSource(**settings))
        running.append(api)
        await api.client.start_server()
        return api

    yield one
    for api in running:
        await api.client.close()
        await api.source.ending.aclose()


def runs(api):
    """Tell whether what was written last runs."""
    state = api.source.database.state
    return state.applied == state.revision


async def test_server_names_are_compared_as_they_are_read(start):
    """In whatever case they are given."""
    api = await start()
    one = await api.post("/certificates", {"cert": CERT, "key": KEY, "snis": ["One.example", "one.EXAMPLE"]})
    assert [sni["name"] for sni in (await api.get("/snis"))["data"]] == ["one.example"]
    other = {"cert": CERT, "key": KEY, "snis": ["ONE.example"]}
    assert list((await api.post("/certificates", other, 400))["fields"]) == ["snis"]
    await api.patch(f"/certificates/{one['id']}", {"snis": ["ONE.example", "two.example"]})
    assert sorted(sni["name"] for sni in (await api.get("/snis"))["data"]) == ["one.example", "two.example"]
    assert runs(api)


async def test_a_parent_that_an_entity_cannot_have_is_not_made(start):
    """A plugin that knows no consumers gets none through its path either."""
    api = await start()
    plugin = await api.post("/plugins", {"name": "cors"})
    refused = await api.put(f"/plugins/{plugin['id']}/consumer", {"username": "ann"}, 400)
    assert list(refused["fields"]) == ["consumer"]
    await api.get("/consumers/ann", 404)
    await api.put(f"/plugins/{plugin['id']}/service", {"host": "h"})
    assert runs(api)


async def test_what_placeholders_come_to_is_compared(start, monkeypatch):
    """Two that would have one name are refused, whichever of them is written first, and however."""
    api = await start(name_of_ann="ann", ann_too="ann", expand_env="on")
    await api.post("/consumers", {"username": "{vault://env/proxyd-name-of-ann}"})
    for taken in ("ann", "{vault://env/proxyd-ann-too}", "${PROXYD_ANN_TOO}"):
        refused = await api.post("/consumers", {"username": taken}, 409)
        assert refused["fields"] == {"username": taken}
    await api.post("/consumers", {"username": "bob"})
    await api.patch("/consumers/bob", {"username": "${PROXYD_ANN_TOO}"}, 409)
    assert runs(api)


async def test_what_could_not_be_compiled_is_refused(start):
    """An application that is not there, a backend that nobody can ask."""
    api = await start()
    service = await api.post("/services", {"name": "s", "host": "h"})
    refused = await api.patch("/services/s", {"protocol": "memory"}, 400)
    assert list(refused["fields"]) == ["host"]
    asks = {"name": "graphql", "config": {"schema_from": {"introspection": {}}}}
    refused = await api.post("/plugins", asks, 400)
    assert list(refused["fields"]["config"]) == ["schema_from"]
    await api.post("/plugins", {**asks, "service": {"id": service["id"]}})
    text = json.dumps({"_format_version": "3.0", "services": [{"name": "s", "url": "memory://nobody"}]})
    await api.ask("POST", "/config", None, 400, data=text, headers=JSON)
    assert runs(api)


DEEP = b'{"config":' * 900 + b"1" + b"}" * 900


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/plugins", b'{"name":"cors","config":' + DEEP + b"}", JSON),
        ("/services", b'{"name":' + b"[" * 900 + b"]" * 900 + b"}", JSON),
        ("/schemas/services/validate", b'{"name":' + b"[" * 900 + b"]" * 900 + b"}", JSON),
        ("/services", b".".join([b"a"] * 3000) + b"=1", FORM),
        ("/services", b"name=n&host=h&port=" + b"9" * 400, FORM),
        ("/plugins", b"name=rate-limiting&config.minute=" + b"9" * 30, FORM),
        ("/plugins", b"name=rate-limiting&config.minute=nan", FORM),
        ("/services", b"no gzip", {**JSON, "Content-Encoding": "gzip"}),
        ("/services", b"no gzip", {**FORM, "Content-Encoding": "gzip"}),
        ("/config", b"no gzip", {**JSON, "Content-Encoding": "gzip"}),
        ("/schemas/services/validate", b"no gzip", {**JSON, "Content-Encoding": "gzip"}),
        ("/config", b'{"config": "\\ud800"}', JSON),
        ("/config", b"[" * 100_000, JSON),
        ("/config", b'{"x":' + b"[" * 100_000, {"Content-Type": "text/yaml"}),
    ],
)
async def test_bodies_that_are_not_what_they_seem_are_refused(start, path, body, headers):
    """400 with a reason, whether they are nested without end, too large for a number, or garbage."""
    api = await start()
    refused = await api.ask("POST", path, None, 400, data=body, headers=headers)
    assert refused["message"]
    assert runs(api)


async def test_ids_are_found_in_either_case(start):
    """By reads as by writes."""
    api = await start()
    identity = "00000000-0000-4000-8000-00000000000A"
    made = await api.put(f"/services/{identity}", {"host": "h"})
    assert made == await api.get(f"/services/{identity}") == await api.get(f"/services/{identity.lower()}")
