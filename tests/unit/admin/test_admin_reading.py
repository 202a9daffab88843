"""The Admin API in DB-less mode: Kong's paths, pages, tags, references and refusals over what a file says."""

from __future__ import annotations

import json

import pytest
from admin_case import FILE, Source, get

from proxyd.errors import ConfigError


def named(page, key="name"):
    return [one[key] for one in page["data"]]


async def test_collections_are_listed_and_entities_found_by_name_and_id(serve):
    """References are objects with an id, absent tags are null, and there are Kong's times."""
    client = await serve()
    assert named(await get(client, "/services")) == ["shop", "blog"]
    shop = await get(client, "/services/shop")
    assert (shop["host"], shop["port"], shop["path"], shop["tags"]) == (
        "10.0.0.1",
        3000,
        "/base",
        ["web", "live"],
    )
    assert shop["created_at"] == shop["updated_at"] > 1_700_000_000
    assert await get(client, f"/services/{shop['id']}") == shop
    orders = await get(client, "/routes/orders")
    assert orders["service"] == {"id": shop["id"]}
    assert (await get(client, "/routes/items"))["tags"] is None
    assert await get(client, "/routes/orders/service") == shop


async def test_what_stands_below_another_is_reached_through_it(serve):
    """Routes of a service, targets of an upstream, credentials of a consumer."""
    client = await serve()
    assert named(await get(client, "/services/shop/routes")) == ["orders", "items"]
    assert named(await get(client, "/services/blog/routes")) == []
    assert named(await get(client, "/routes/items/plugins")) == ["cors"]
    assert named(await get(client, "/upstreams/up/targets"), "target") == ["10.0.0.2:80", "10.0.0.3:80"]
    assert (await get(client, "/upstreams/up/targets/10.0.0.3:80"))["weight"] == 50
    assert named(await get(client, "/consumers/ann/acls"), "group") == ["staff"]
    assert (await get(client, "/consumers/ann/acls/staff"))["consumer"]["id"]
    await get(client, "/services/nowhere/routes", 404)
    await get(client, "/services/blog/routes/orders", 404)


async def test_no_secret_is_shown(serve):
    """Neither a key, nor what a plugin's settings hold back."""
    client = await serve()
    key = (await get(client, "/consumers/ann/key-auth"))["data"][0]
    assert key["key"] == "<hidden>"
    plugin = (await get(client, "/services/shop/plugins"))["data"][0]
    assert plugin["config"]["redis"]["password"] == "<hidden>"
    assert plugin["config"]["minute"] == 5
    for path in ("/plugins", "/key-auths", "/consumers"):
        text = json.dumps(await get(client, path))
        assert "hush" not in text
        assert "very-secret" not in text


async def test_pages_follow_one_another(serve):
    """As many as asked for, and a path to the next until there is none."""
    client = await serve()
    seen, path = [], "/routes?size=1"
    while path:
        page = await get(client, path)
        seen += named(page)
        path = page["next"]
    assert seen == ["orders", "items"]
    for wrong in ("size=0", "size=1001", "size=x", "offset=%21", "offset=eA==", "tags=a,b/c", "tags=,"):
        refusal = await get(client, f"/routes?{wrong}", 400)
        assert refusal["name"] == "schema violation"
        assert list(refusal["fields"]) == [wrong.partition("=")[0]]


async def test_tags_select(serve):
    """All of them with commas, any with slashes; /tags tells who has them."""
    client = await serve()
    assert named(await get(client, "/services?tags=live")) == ["shop", "blog"]
    assert named(await get(client, "/services?tags=live,web")) == ["shop"]
    assert named(await get(client, "/services?tags=nope/web")) == ["shop"]
    assert named(await get(client, "/tags/web"), "entity_name") == ["services", "routes"]
    assert len((await get(client, "/tags"))["data"]) == 4


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/services"),
        ("PUT", "/services/x"),
        ("PATCH", "/routes/orders"),
        ("DELETE", "/consumers/ann"),
        ("POST", "/consumers/ann/key-auth"),
        ("POST", "/upstreams/up/targets"),
    ],
)
async def test_without_a_database_nothing_is_written(serve, method, path):
    """405, with Kong's name, code and words."""
    client = await serve()
    async with client.request(method, path, json={}) as response:
        assert response.status == 405
        refusal = await response.json()
    assert (refusal["name"], refusal["code"]) == ("operation unsupported", 12)
    assert "when not using a database" in refusal["message"]


async def test_it_tells_of_itself(serve):
    """What Kong's clients look at first, the plugins, the schemas and the paths."""
    client = await serve()
    root = await get(client, "/")
    assert root["configuration"]["database"] == "off"
    assert root["version"].startswith("3.9")
    assert root["plugins"]["available_on_server"]["key-auth"]["priority"] == 1250
    assert root["plugins"]["enabled_in_cluster"] == ["cors", "rate-limiting"]
    assert "key-auth" in (await get(client, "/plugins/enabled"))["enabled_plugins"]
    fields = (await get(client, "/schemas/services"))["fields"]
    assert {"retries": {"required": False, "default": 5}} in fields
    assert (await get(client, "/schemas/plugins/cors"))["properties"]["max_age"]
    await get(client, "/schemas/plugins/none", 404)
    await get(client, "/schemas/none", 404)
    assert "/services/{services}/routes" in (await get(client, "/endpoints"))["data"]
    assert await get(client, "/status/ready") == {"message": "ready"}
    await get(client, "/nowhere", 404)


async def test_entities_are_validated_without_being_written(serve):
    """By the same classes as a file's."""
    client = await serve()

    async def post(path, body, status):
        async with client.post(path, json=body) as response:
            assert response.status == status, await response.text()
            return await response.json()

    await post("/schemas/services/validate", {"host": "h", "tags": ["a"]}, 200)
    wrong = await post("/schemas/services/validate", {"port": 99999, "colour": "red"}, 400)
    assert wrong["fields"].keys() == {"host", "port", "colour"}
    await post("/schemas/routes/validate", {"paths": ["/a"], "service": {"id": "x"}}, 200)
    await post("/schemas/plugins/validate", {"name": "rate-limiting", "config": {"minute": 5}}, 200)
    wrong = await post("/schemas/plugins/validate", {"name": "rate-limiting", "config": {"minute": -1}}, 400)
    assert list(wrong["fields"]["config"]) == ["minute"]
    assert "name" in (await post("/schemas/plugins/validate", {"name": "none"}, 400))["fields"]
    async with client.post("/schemas/services/validate", data=b"{") as response:
        assert response.status == 400


@pytest.mark.parametrize("form", ["json", "text", "form", "multipart", "declarative"])
async def test_a_configuration_is_replaced_in_any_form(serve, form):
    """201, with what it came to."""
    client = await serve()
    text = '{"_format_version": "3.0", "services": [{"name": "new", "host": "h"}]}'
    ways = {
        "json": {"json": {"config": text}},
        "declarative": {"json": json.loads(text)},
        "text": {"data": text, "headers": {"Content-Type": "text/yaml"}},
        "form": {"data": {"config": text}},
    }
    if form == "multipart":
        from aiohttp import FormData  # noqa: PLC0415

        data = FormData()
        data.add_field("config", text.encode(), filename="kong.yml")
        ways["multipart"] = {"data": data}
    async with client.post("/config", **ways[form]) as response:
        assert response.status == 201, await response.text()
        (service,) = (await response.json())["services"].values()
    assert service["name"] == "new"
    assert named(await get(client, "/services")) == ["new"]


async def test_a_wrong_configuration_changes_nothing(serve):
    """Each problem by its path, or listed with its line."""
    client = await serve()
    text = '_format_version: "3.0"\nservices:\n- {name: a, host: h, port: -1}\n- {name: a, host: h}\n'
    async with client.post("/config", json={"config": text}) as response:
        assert response.status == 400
        refusal = await response.json()
    assert (refusal["name"], refusal["code"]) == ("invalid declarative configuration", 14)
    assert list(refusal["fields"]) == ["services[0].port", "services[1].name"]
    async with client.post("/config?flatten_errors=1", json={"config": text}) as response:
        listed = (await response.json())["flattened_errors"]
    assert [(one["path"], one["line"]) for one in listed] == [
        ("services[0].port", 3),
        ("services[1].name", 4),
    ]
    assert named(await get(client, "/services")) == ["shop", "blog"]


async def test_the_same_configuration_is_not_loaded_again(serve):
    """304 with check_hash; without it, it is. Busy is 429."""
    source = Source()
    client = await serve(source)
    async with client.post("/config?check_hash=1", json={"config": FILE}) as response:
        assert response.status == 304
    source.busy = True
    async with client.post("/config", json={"config": FILE}) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "10"
    assert (await get(client, "/config"))["config"] == FILE
    source.busy = False
    async with client.post("/config", json={"config": FILE + "# changed"}) as response:
        assert response.status == 201
    await get(client, "/config", 404)


async def test_who_has_no_token_does_nothing(serve):
    """Roles: viewers read, operators may try to write, admins replace everything."""
    tokens = {"viewer": "v" * 20, "operator": "o" * 20, "admin": "a" * 20}
    source = Source(admin_tokens=",".join(f"{role}:{secret}" for role, secret in tokens.items()))
    client = await serve(source)

    async def status(method, path, role=None, header="Authorization"):
        secret = tokens.get(role, role or "")
        value = f"Bearer {secret}" if header == "Authorization" else secret
        async with client.request(method, path, headers={header: value} if role else {}, json={}) as response:
            return response.status

    assert await status("GET", "/services") == 401
    assert await status("GET", "/services", "x" * 20) == 401
    assert await status("GET", "/status/ready") == 401
    assert await status("GET", "/services", "viewer") == 200
    assert await status("GET", "/services", "viewer", "Kong-Admin-Token") == 200
    assert await status("POST", "/services", "viewer") == 403
    assert await status("POST", "/services", "operator") == 405
    assert await status("GET", "/config", "operator") == 403
    assert await status("GET", "/config", "admin") == 200
    assert await status("POST", "/config", "operator") == 403
    assert await status("POST", "/config", "admin") == 400
    assert "v" * 20 not in repr(source.settings)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "127.0.0.1:8001", 200),
        ("Host", "localhost", 200),
        ("Host", "[::1]:8001", 200),
        ("Host", "evil.example", 403),
        ("Host", "127.evil.example", 403),
        ("Origin", "http://localhost:8001", 200),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
    ],
)
async def test_pages_of_other_sites_cannot_use_what_is_open_to_this_machine(serve, header, value, status):
    """Neither by a request of their own nor by a name that leads here."""
    client = await serve()
    await get(client, "/services", status, **{header: value})


@pytest.mark.parametrize("listen", ["0.0.0.0:8001", "[::]:8001", "10.0.0.1:8001", "admin.example:8001"])
def test_an_open_listener_without_tokens_is_refused_when_the_file_is_read(listen):
    """With the setting, what is wrong and what would be right."""
    with pytest.raises(ConfigError, match="nobody is asked for a token") as refused:
        Source(admin_listen=listen)
    assert "set admin_tokens" in str(refused.value)
    assert Source(admin_listen=listen, admin_tokens="admin:" + "s" * 20).settings.admin_tokens


@pytest.mark.parametrize(
    "tokens",
    [
        "admin",
        "root:" + "s" * 20,
        "admin:short-secret",
        "admin:" + "s" * 20 + " x",
        "an/n=admin:" + "s" * 20,
        "=admin:" + "s" * 20,
        "admin:sha256=" + "s" * 64,
        "admin:" + "s" * 20 + ",viewer:" + "s" * 20,
    ],
)
def test_a_wrong_token_is_refused_and_not_repeated(tokens):
    """A secret is in no message."""
    with pytest.raises(ConfigError) as refused:
        Source(admin_tokens=tokens)
    assert "short-secret" not in str(refused.value)
    assert "ssss" not in str(refused.value)


TLS = """
_format_version: "3.0"
certificates:
  - id: 1f2e3d4c-0000-4000-8000-000000000001
    cert: /etc/proxyd/edge.crt
    key: /etc/proxyd/edge.key
    snis: [api.example.com, "*.example.com"]
  - {cert: /etc/proxyd/other.crt, key: /etc/proxyd/other.key}
ca_certificates:
  - {cert: /etc/proxyd/ca.crt}
"""


async def test_certificates_are_told_with_their_names_and_found_by_them(serve):
    """As in Kong: the list of names stands in the certificate, whose private key is hidden."""
    client = await serve(Source(TLS))
    edge, other = (await get(client, "/certificates"))["data"]
    assert (edge["snis"], edge["key"], other["snis"]) == (
        ["api.example.com", "*.example.com"],
        "<hidden>",
        [],
    )
    assert await get(client, "/certificates/api.example.com") == edge
    assert await get(client, f"/certificates/{edge['id']}") == edge
    assert await get(client, "/snis/api.example.com/certificate") == edge
    assert (await get(client, "/snis/api.example.com"))["certificate"] == {"id": edge["id"]}
    (authority,) = (await get(client, "/ca_certificates"))["data"]
    assert authority["cert"] == "/etc/proxyd/ca.crt"
    await get(client, "/certificates/elsewhere.example", 404)
