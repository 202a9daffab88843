"""The Admin API with a database: what Kong's clients write, and what is answered."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import FormData
from store_case import Api, StoredSource

from proxyd.downstream.certificates import self_signed

GUIDE = (Path(__file__).parents[3] / "docs/admin.md").read_text()
CERT, KEY = self_signed()
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def serve():
    """Give Admin APIs over sources."""
    started = []

    async def start(source=None):
        api = Api(source or StoredSource())
        await api.client.start_server()
        started.append(api)
        return api

    yield start
    for api in started:
        await api.client.close()
        await api.source.ending.aclose()


@pytest.fixture
async def api(serve):
    """Give one over an empty database."""
    return await serve()


async def test_what_is_posted_is_read_and_runs(api):
    """201 with Kong's fields and defaults, and the next request is routed by it."""
    service = await api.post("/services", {"name": "shop", "url": "http://shop.internal:81/base"})
    assert (service["protocol"], service["host"], service["port"], service["path"]) == (
        "http",
        "shop.internal",
        81,
        "/base",
    )
    assert (service["retries"], service["tags"], service["enabled"]) == (5, None, True)
    assert service["created_at"] == service["updated_at"] == 1_700_000_001
    route = await api.post("/services/shop/routes", {"name": "orders", "paths": ["/orders"]})
    assert route["service"] == {"id": service["id"]}
    assert await api.get("/routes/orders") == route
    assert await api.get("/routes/orders/service") == service
    loaded = await api.source.loaded()
    assert loaded.configuration.routes[route["id"]].service == service["id"]


async def test_put_makes_or_replaces_by_name_and_by_id(api):
    """What is not given again has its default; the id and the time of its making stay."""
    made = await api.put("/services/shop", {"host": "a", "retries": 1})
    again = await api.put("/services/shop", {"host": "b"})
    assert (again["id"], again["name"], again["host"], again["retries"]) == (made["id"], "shop", "b", 5)
    assert (again["created_at"], again["updated_at"]) == (1_700_000_001, 1_700_000_002)
    other = await api.put(f"/services/{UNKNOWN}", {"name": "other", "host": "c"})
    assert other["id"] == UNKNOWN
    assert len((await api.get("/services"))["data"]) == 2
    route = await api.put("/services/shop/routes/all", {"paths": ["/"]})
    assert (route["name"], route["service"]) == ("all", {"id": made["id"]})


async def test_a_patch_merges_records_and_replaces_lists(api):
    """As in Kong; null takes a field back to its default."""
    await api.post("/upstreams", {"name": "up", "healthchecks": {"active": {"timeout": 3, "concurrency": 4}}})
    changed = await api.patch("/upstreams/up", {"healthchecks": {"active": {"timeout": 5}}})
    assert changed["healthchecks"]["active"]["timeout"] == 5
    assert changed["healthchecks"]["active"]["concurrency"] == 4
    assert changed["healthchecks"]["passive"]["type"] == "http"
    await api.post("/services", {"name": "shop", "host": "h", "tags": ["a", "b"], "retries": 2})
    changed = await api.patch("/services/shop", {"tags": ["c"], "retries": None})
    assert (changed["tags"], changed["retries"], changed["host"]) == (["c"], 5, "h")
    plugin = await api.post(
        "/services/shop/plugins",
        {
            "name": "rate-limiting",
            "config": {"minute": 5, "policy": "redis", "redis": {"host": "r", "port": 7}},
        },
    )
    changed = await api.patch(
        f"/plugins/{plugin['id']}", {"config": {"minute": None, "hour": 9, "redis": {"port": 8}}}
    )
    config = changed["config"]
    assert (config["minute"], config["hour"], config["redis"]["host"], config["redis"]["port"]) == (
        None,
        9,
        "r",
        8,
    )
    changed = await api.patch("/services/shop", {"url": "https://new.internal"})
    assert (changed["host"], changed["port"], changed["protocol"]) == ("new.internal", 443, "https")


async def test_delete_takes_with_it_what_kong_takes(api):
    """And refuses what others refer to; what is not there is as good as deleted."""
    await api.post("/services", {"name": "shop", "host": "h"})
    await api.post("/services/shop/routes", {"name": "r", "paths": ["/"]})
    await api.post("/routes/r/plugins", {"name": "cors"})
    refusal = await api.ask("DELETE", "/services/shop", None, 400)
    assert (refusal["name"], refusal["code"]) == ("foreign key violation", 4)
    assert refusal["fields"] == {"@referenced_by": "routes"}
    await api.delete("/routes/r")
    assert (await api.get("/plugins"))["data"] == []
    await api.delete("/services/shop")
    await api.delete("/services/shop")
    await api.post("/consumers", {"username": "ann"})
    await api.post("/consumers/ann/acls", {"group": "staff"})
    await api.post("/consumers/ann/jwt", {"key": "k", "secret": "s"})
    await api.delete("/consumers/ann/acls/staff")
    await api.ask("DELETE", "/consumers/ann/acls/staff", None, 404)
    await api.delete("/consumers/ann")
    assert (await api.get("/jwts"))["data"] == []
    await api.post("/upstreams", {"name": "up"})
    target = await api.post("/upstreams/up/targets", {"target": "10.0.0.1"})
    assert target["target"] == "10.0.0.1:8000"
    await api.delete("/upstreams/up")
    assert (
        "targets" not in (await api.source.store.contents()).entries
        or not (await api.source.store.contents()).entries["targets"]
    )


async def test_what_is_wrong_is_told_by_field(api):
    """Kong's statuses, names, codes and fields."""
    refusal = await api.post("/services", {"host": "h", "port": 99999, "colour": "red"}, 400)
    assert (refusal["name"], refusal["code"]) == ("schema violation", 2)
    assert refusal["fields"].keys() == {"port", "colour"}
    refusal = await api.post("/plugins", {"name": "rate-limiting", "config": {"minute": -1}}, 400)
    assert refusal["fields"].keys() == {"config"}
    assert refusal["fields"]["config"].keys() == {"minute"}
    refusal = await api.post("/routes", {"name": "r"}, 400)
    assert "needs at least one of" in refusal["fields"]["@entity"][0]
    refusal = await api.post("/routes", {"paths": ["/"], "service": {"id": UNKNOWN}}, 400)
    assert (refusal["name"], refusal["code"]) == ("foreign key violation", 4)
    assert refusal["fields"] == {"service": {"id": UNKNOWN}}
    shop = await api.post("/services", {"name": "shop", "host": "h"})
    refusal = await api.post("/services", {"name": "shop", "host": "h"}, 409)
    assert (refusal["name"], refusal["code"]) == ("unique constraint violation", 5)
    assert refusal["fields"] == {"name": "shop"}
    assert refusal["message"] == "UNIQUE violation detected on '{name=\"shop\"}'"
    refusal = await api.post("/services", {"id": shop["id"], "host": "h"}, 400)
    assert (refusal["name"], refusal["code"]) == ("primary key violation", 3)
    await api.post("/plugins", {"name": "cors", "service": {"id": shop["id"]}})
    refusal = await api.post("/services/shop/plugins", {"name": "cors"}, 409)
    assert refusal["fields"]["service"] == {"id": shop["id"]}
    await api.patch("/services/none", {"host": "h"}, 404)
    await api.post("/services/none/routes", {"paths": ["/"]}, 404)
    await api.post("/services", b"{", 400)
    await api.put("/services/shop", {"id": "nonsense", "host": "h"}, 400)
    assert len((await api.get("/services"))["data"]) == 1


@pytest.mark.parametrize("kind", ["form", "multipart"])
async def test_forms_are_read_as_kong_reads_them(api, kind):
    """Dots lead into records, single values into lists, and texts get the types of their fields."""

    def body(text):
        if kind == "form":
            return text
        form = FormData(default_to_multipart=True)
        for pair in text.split("&"):
            form.add_field(*pair.split("="))
        return form

    await api.post("/services", body("name=shop&host=h&retries=3&enabled=false&tags=a&tags=b"))
    service = await api.get("/services/shop")
    assert (service["retries"], service["enabled"], service["tags"]) == (3, False, ["a", "b"])
    route = await api.post(
        "/services/shop/routes", body("paths=/a&methods[]=GET&methods[]=POST&headers.x-a=1")
    )
    assert (route["paths"], route["methods"], route["headers"]) == (["/a"], ["GET", "POST"], {"x-a": ["1"]})
    plugin = await api.post(
        "/services/shop/plugins", body("name=rate-limiting&config.minute=5&config.policy=local")
    )
    assert plugin["config"]["minute"] == 5
    changed = await api.patch(
        f"/plugins/{plugin['id']}", body("config.minute=6&config.hide_client_headers=true")
    )
    assert (changed["config"]["minute"], changed["config"]["hide_client_headers"]) == (6, True)
    changed = await api.patch("/services/shop", body("retries="))
    assert changed["retries"] == 5
    refusal = await api.post("/services", body("name=x&name.y=z"), 400)
    assert refusal["name"] == "schema violation"


async def test_a_certificate_takes_its_names_with_it(api):
    """They are entities of their own, made and deleted with the list."""
    one = await api.post("/certificates", {"cert": CERT, "key": KEY, "snis": ["a.example", "b.example"]})
    assert one["key"] == "<hidden>"
    names = [sni["name"] for sni in (await api.get(f"/certificates/{one['id']}/snis"))["data"]]
    assert sorted(names) == ["a.example", "b.example"]
    await api.patch(f"/certificates/{one['id']}", {"snis": ["b.example", "c.example"]})
    names = [sni["name"] for sni in (await api.get("/snis"))["data"]]
    assert sorted(names) == ["b.example", "c.example"]
    await api.post("/certificates", {"cert": CERT, "key": KEY, "snis": ["b.example"]}, 400)
    await api.delete(f"/certificates/{one['id']}")
    assert (await api.get("/snis"))["data"] == []


async def test_what_no_worker_could_use_is_refused(api):
    """It would keep everything that is written after it from running."""
    refusal = await api.post("/certificates", {"cert": CERT, "key": self_signed()[1]}, 400)
    assert list(refusal["fields"]) == ["cert"]
    refusal = await api.post("/ca_certificates", {"cert": CERT.replace("M", "?")}, 400)
    assert list(refusal["fields"]) == ["cert"]
    asks = {"name": "mtls-auth", "config": {"ca_certificates": [UNKNOWN]}}
    refusal = await api.post("/plugins", asks, 400)
    assert list(refusal["fields"]["config"]) == ["ca_certificates"]
    authority = await api.post("/ca_certificates", {"cert": CERT})
    asks["config"]["ca_certificates"] = [authority["id"]]
    plugin = await api.post("/plugins", asks)
    refusal = await api.ask("DELETE", f"/ca_certificates/{authority['id']}", None, 400)
    assert (refusal["code"], plugin["id"] in refusal["message"]) == (19, True)
    await api.post("/services", {"name": "s", "host": "h", "ca_certificates": [authority["id"]]})
    await api.delete(f"/plugins/{plugin['id']}")
    await api.ask("DELETE", f"/ca_certificates/{authority['id']}", None, 400)
    await api.delete("/services/s")
    await api.delete(f"/ca_certificates/{authority['id']}")


async def test_masked_secrets_that_come_back_stay_what_they_are(api):
    """Who reads an entity, edits it and puts it back changes what was edited."""
    plugin = await api.post(
        "/plugins",
        {
            "name": "rate-limiting",
            "config": {"minute": 5, "policy": "redis", "redis": {"host": "r", "password": "hush"}},
        },
    )
    assert plugin["config"]["redis"]["password"] == "<hidden>"
    plugin["config"]["minute"] = 6
    await api.put(f"/plugins/{plugin['id']}", plugin)
    await api.patch(f"/plugins/{plugin['id']}", {"config": {"redis": {"password": "<hidden>", "host": "s"}}})
    (config,) = (await api.source.loaded()).plugin_configs.values()
    assert (config.minute, config.redis.password, config.redis.host) == (6, "hush", "s")
    await api.post("/consumers", {"username": "ann"})
    secret = await api.post("/consumers/ann/hmac-auth", {"username": "ann", "secret": "hush"})
    assert secret["secret"] == "<hidden>"
    await api.put(f"/hmac-auths/{secret['id']}", {**secret, "username": "anna"})
    (stored,) = (await api.source.loaded()).configuration.hmacauth_credentials.values()
    assert (stored.username, stored.secret) == ("anna", "hush")


async def test_secrets_that_are_not_given_are_made_and_shown_once(api):
    """As Kong makes them."""
    await api.post("/consumers", {"username": "ann"})
    jwt = await api.post("/consumers/ann/jwt")
    assert len(jwt["key"]) == len(jwt["secret"]) == 32
    assert (await api.get("/jwts"))["data"][0]["secret"] == "<hidden>"


async def test_keys_are_stored_as_hashes(serve):
    """Whoever posts none is given one, once; without a pepper, none is taken."""
    api = await serve(StoredSource(key_pepper="p" * 32))
    await api.post("/consumers", {"username": "ann"})
    made = await api.post("/consumers/ann/key-auth")
    assert made["key"].startswith("pxd_live_")
    assert made["key_id"] == made["key"].split("_")[2]
    assert (await api.get("/key-auths"))["data"][0]["key"] is None
    kept = await api.put(f"/key-auths/{made['id']}", {"consumer": made["consumer"], "name": "n"})
    assert (kept["hash"], kept["key_id"], kept["name"]) == ("<hidden>", made["key_id"], "n")
    mine = await api.post("/consumers/ann/key-auth", {"key": "my-very-own-key"})
    assert (mine["key"], mine["hash"]) == (None, "<hidden>")
    refusal = await api.post("/consumers/ann/key-auth", {"key": "my-very-own-key"}, 409)
    assert refusal["fields"] == {"key": "<hidden>"}
    await api.patch(f"/key-auths/{made['id']}", {"key": "another-key", "tags": ["new"]})
    await api.put(f"/key-auths/{mine['id']}", {"consumer": mine["consumer"], "tags": ["kept"]})
    for key in ("my-very-own-key", "another-key", made["key"]):
        assert key not in "".join(api.source.texts)
    keys = (await api.source.loaded()).configuration.keyauth_credentials
    assert keys[made["id"]].key_id is None
    assert keys[mine["id"]].hash.startswith("v1:")
    await api.delete(f"/consumers/ann/key-auth/{mine['id']}")
    bare = await serve(StoredSource())
    await bare.post("/consumers", {"username": "ann"})
    refusal = await bare.post("/consumers/ann/key-auth", {"key": "my-very-own-key"}, 400)
    assert "PROXYD_KEY_PEPPER" in refusal["fields"]["key"]


async def test_passwords_are_stored_as_digests(api):
    """And are needed again where they are to be another consumer's."""
    await api.post("/consumers", {"username": "ann"})
    bob = await api.post("/consumers", {"username": "bob"})
    made = await api.post("/consumers/ann/basic-auth", {"username": "ann", "password": "open sesame"})
    assert made["password"] == "<hidden>"
    assert "sesame" not in api.source.texts[-1]
    path = f"/basic-auths/{made['id']}"
    refusal = await api.patch(path, {"consumer": {"id": bob["id"]}}, 400)
    assert list(refusal["fields"]) == ["password"]
    await api.patch(path, {"username": "anna"})
    refusal = await api.put(path, {"username": "anna", "consumer": {"id": bob["id"]}}, 400)
    assert list(refusal["fields"]) == ["password"]
    await api.put(path, {"username": "anna", "consumer": made["consumer"]})
    await api.patch(path, {"consumer": {"id": bob["id"]}, "password": "new"})


async def test_the_parent_of_an_entity_is_changed_through_it(api):
    """PATCH and PUT of /routes/r/service."""
    await api.post("/routes", {"name": "r", "paths": ["/"]})
    await api.patch("/routes/r/service", {"host": "h"}, 404)
    made = await api.put("/routes/r/service", {"host": "h", "name": "shop"})
    assert (await api.get("/routes/r"))["service"] == {"id": made["id"]}
    assert (await api.patch("/routes/r/service", {"host": "g"}))["id"] == made["id"]
    assert (await api.put("/routes/r/service", {"host": "i"}))["host"] == "i"


async def test_a_database_that_is_away_leaves_reads(api):
    """Writes are answered with 503, why, and when to try again; whatever there was is still shown."""
    await api.post("/services", {"name": "shop", "host": "h"})
    api.source.store.away = "database sqlite:///x: the disk is full"
    async with api.client.post("/services", json={"host": "h"}) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        refusal = await response.json()
    assert (refusal["name"], refusal["code"]) == ("database error", 8)
    assert "the disk is full" in refusal["message"]
    assert (await api.get("/services/shop"))["host"] == "h"


async def test_who_writes_is_in_the_log_of_changes(serve):
    """The role and the address of the caller; viewers do not write."""
    tokens = {role: f"{role}-" + "s" * 20 for role in ("viewer", "operator", "admin")}
    source = StoredSource(admin_tokens=",".join(f"{role}:{secret}" for role, secret in tokens.items()))
    api = await serve(source)

    async def status(role):
        headers = {"Kong-Admin-Token": tokens[role]}
        async with api.client.post("/consumers", json={"username": role}, headers=headers) as response:
            return response.status

    assert [await status(role) for role in tokens] == [403, 201, 201]
    assert [(one.role, one.address) for one in source.store.authors] == [
        ("operator", "127.0.0.1"),
        ("admin", "127.0.0.1"),
    ]


FILE = """
_format_version: "3.0"
services:
  - {name: shop, url: "http://h", routes: [{name: r, paths: [/]}]}
  - {name: blog, host: "{vault://env/proxyd-blog}"}
consumers:
  - {username: ann, basicauth_credentials: [{username: ann, password: open sesame}]}
"""


async def test_a_posted_configuration_takes_the_place_of_everything(serve):
    """In one revision; what stays as it was keeps its times, and GET gives back what would be posted."""
    api = await serve(StoredSource(blog="blog.internal"))
    await api.post("/consumers", {"username": "bob"})
    answered = await api.post("/config", {"config": FILE})
    (ann,) = answered["consumers"].values()
    assert (await api.source.store.contents()).revision == 2
    assert [one["username"] for one in (await api.get("/consumers"))["data"]] == ["ann"]
    assert (await api.get("/routes/r"))["service"]["id"] == (await api.get("/services/shop"))["id"]
    assert (await api.get("/services/blog"))["host"] == "{vault://env/proxyd-blog}"
    blog = next(
        one for one in (await api.source.loaded()).configuration.services.values() if one.name == "blog"
    )
    assert blog.host == "blog.internal"
    dumped = (await api.get("/config"))["config"]
    assert "sesame" not in dumped
    await api.patch(f"/consumers/{ann['id']}", {"custom_id": "1"})
    await api.post("/config", {"config": dumped})
    contents = await api.source.store.contents()
    assert contents.revision == 4
    assert await api.post("/config", {"config": dumped})
    assert (await api.source.store.contents()).entries == contents.entries
    refusal = await api.post("/config", {"config": FILE + "routes: [{name: x}]\n"}, 400)
    assert (refusal["code"], list(refusal["fields"])) == (14, ["routes[0]"])
    assert len((await api.get("/services"))["data"]) == 2


async def test_the_commands_of_the_guide_do_what_it_says(serve):
    """Each line of its section on writing is answered as the table says."""
    api = await serve(StoredSource(key_pepper="p" * 32))
    section = GUIDE.partition("## Writing")[2].partition("\n## ")[0]
    commands = [shlex.split(line[2:]) for line in section.splitlines() if line.startswith("$ curl")]
    answers = []
    for command in commands:
        options = list(pairwise([*command, ""]))
        given = {flag: [value for name, value in options if name == flag] for flag in ("-X", "-H", "-d")}
        method = (given["-X"] or ["POST"])[0]
        form = "application/x-www-form-urlencoded"
        kind = given["-H"][0].partition(": ")[2] if given["-H"] else form
        (url,) = [word for word in command if word.startswith("localhost:8001")]
        path = url.removeprefix("localhost:8001")
        body = "&".join(given["-d"]).replace("://", "%3A%2F%2F") if kind == form else given["-d"][0]
        async with api.client.request(method, path, data=body, headers={"Content-Type": kind}) as response:
            answers.append((response.status, await response.text()))
    assert [status for status, _ in answers] == [201, 201, 201, 200, 201, 200, 204], answers
    orders = await api.get("/services/orders")
    assert (orders["host"], orders["port"], orders["retries"]) == ("10.0.0.1", 3000, 2)
    (plugin,) = (await api.get("/plugins"))["data"]
    assert plugin["config"]["minute"] == 60


async def test_a_form_that_is_none_is_refused(api):
    """Whatever is wrong with its parts."""
    for body in (
        b"",
        b"nothing",
        b'--x\r\nContent-Disposition: form-data; name="\x03"\r\n\r\n1\r\n--x--\r\n',
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        for path in ("/services", "/config"):
            refused = await api.ask("POST", path, None, 400, data=body, headers=headers)
            assert refused["message"]


async def test_names_of_a_certificate_are_names_of_servers(api):
    """What would not load is refused, lest nothing that comes later runs."""
    one = await api.post("/certificates", {"cert": CERT, "key": KEY})
    for name in ("", "a b", "a/b", "a:1"):
        refused = await api.patch(f"/certificates/{one['id']}", {"snis": ["ok.example", name]}, 400)
        assert list(refused["fields"]) == ["snis"], name
    await api.get("/snis/ok.example", 404)
