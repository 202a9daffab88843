"""Explaining: which route wins and why others do not, and which plugins run on it."""

from __future__ import annotations

import json

import pytest
from admin_case import Source, get

FILE = """
_format_version: "3.0"
plugins:
  - {name: cors}
  - {name: rate-limiting, config: {minute: 100}}
  - {name: request-size-limiting, enabled: false}
services:
  - name: shop
    url: http://up/base
    plugins:
      - name: rate-limiting
        config: {minute: 50, policy: redis, redis: {host: r, password: hush-hush}}
    routes:
      - name: orders
        paths: [/orders]
        plugins: [{name: rate-limiting, instance_name: tight, config: {minute: 5}}, {name: key-auth}]
      - {name: any, paths: [/]}
      - {name: posted, paths: [/orders/new], methods: [POST]}
      - {name: secure, paths: [/secure], protocols: [https]}
  - {name: closed, host: h, enabled: false, routes: [{name: never, paths: [/orders/never]}]}
routes:
  - {name: loose, paths: [/loose]}
upstreams:
  - {name: up, targets: [{target: "10.0.0.2:80"}]}
consumers:
  - username: ann
    keyauth_credentials: [{key: a-very-secret-key}]
    plugins: [{name: rate-limiting, config: {minute: 7}}, {name: ip-restriction, config: {allow: [10.0.0.0/8]}}]
"""


@pytest.fixture
async def client(serve):
    return await serve(Source(FILE))


async def explain(client, status=200, **asked):
    async with client.post("/dashboard/explain", json=asked) as response:
        assert response.status == status, await response.text()
        return await response.json()


def links(chain):
    return {link["name"]: link for link in chain["plugins"]}


async def test_the_winner_is_told_with_its_way(client):
    """Route, what is stripped, service, upstream's URL, targets, and why the others lose."""
    told = await explain(client, method="get", host="Shop.example:80", path="/orders/7?full=1")
    assert (told["route"]["name"], told["service"]["name"], told["stripped"]) == ("orders", "shop", "/orders")
    assert told["upstream_url"] == "http://up/base/7?full=1"
    assert told["targets"] == ["10.0.0.2:80 weight 100 (round-robin)"]
    assert told["request"]["host"] == "shop.example:80"
    outcomes = {one["route"]["name"]: one for one in told["verdicts"]}
    assert outcomes["orders"]["outcome"] == "wins"
    assert (outcomes["any"]["outcome"], outcomes["any"]["lost_by"]) == ("loses", "prefix_length")
    assert outcomes["posted"]["misfits"] == ["path", "method"]
    assert [one["outcome"] for one in told["verdicts"]][:2] == ["wins", "loses"]
    assert "never" not in outcomes
    assert [link["name"] for link in told["chain"]["plugins"]] == [
        "cors", "key-auth", "ip-restriction", "rate-limiting",
    ]  # fmt: skip


async def test_the_gateways_own_answers_are_told(client):
    """Nothing matches, only https will do, or there is no service."""
    assert (await explain(client, path="/x", host="h"))["route"]["name"] == "any"
    secure = await explain(client, path="/secure")
    assert secure["answer"].startswith("426")
    assert secure["chain"] is None
    assert (await explain(client, path="/secure", protocol="wss"))["answer"] is None
    loose = await explain(client, path="/loose")
    assert (loose["service"], loose["upstream_url"]) == (None, None)
    assert "503" in loose["answer"]


async def test_without_a_match_the_nearest_come_first(serve):
    """And no more of them than anybody reads."""
    routes = [{"name": f"r{number}", "paths": [f"/r{number}"], "methods": ["PUT"]} for number in range(60)]
    client = await serve(
        Source(
            json.dumps({"_format_version": "3.0", "services": [{"name": "s", "host": "h", "routes": routes}]})
        )
    )
    told = await explain(client, path="/r7")
    assert told["route"] is None
    assert told["answer"].startswith("404")
    assert (told["verdicts"][0]["route"]["name"], told["verdicts"][0]["misfits"]) == ("r7", ["method"])
    assert (len(told["verdicts"]), told["verdicts_left_out"]) == (50, 10)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"protocol": "ftp"}, "protocol"),
        ({"path": "no-slash"}, "path"),
        ({"path": "/%00"}, "path"),
        ({"host": "a b"}, "host"),
        ({"headers": {"x": "a\nb"}}, "headers"),
        ({"headers": [1]}, "headers"),
        ({"method": 7}, "method"),
    ],
)
async def test_what_is_no_request_is_refused(client, asked, field):
    """400, with the part that is wrong."""
    assert list((await explain(client, 400, **asked))["fields"]) == [field]


async def test_a_chain_says_where_each_plugin_comes_from(client):
    """The most specific instance runs; the others say why they do not; settings are masked."""
    chain = await get(client, "/dashboard/chain?route=any")
    limits = links(chain)["rate-limiting"]
    assert (limits["runs"]["scope"], limits["runs"]["of"]["service"]["name"]) == ("service", "shop")
    assert limits["runs"]["config"]["redis"]["password"] == "<hidden>"
    assert "hush" not in json.dumps(chain)
    assert limits["runs"]["place"]
    assert {one["scope"]: one["why"] for one in limits["others"]} == {
        "global": "global gives way to service",
        "consumer": "for consumer ann alone",
    }
    assert links(chain)["ip-restriction"]["runs"] is None
    assert "access" in limits["phases"]
    assert "body_filter" not in limits["phases"]
    assert [one["name"] for one in chain["switched_off"]] == ["request-size-limiting"]
    tight = links(await get(client, "/dashboard/chain?route=orders"))["rate-limiting"]["runs"]
    assert (tight["instance_name"], tight["scope"]) == ("tight", "route")


async def test_a_chain_is_that_of_a_consumer(client):
    """Its own instances come before those of routes and services."""
    chain = links(await get(client, "/dashboard/chain?route=any&consumer=ann"))
    assert chain["rate-limiting"]["runs"]["of"]["consumer"]["name"] == "ann"
    assert chain["ip-restriction"]["runs"]["scope"] == "consumer"
    assert {one["why"] for one in chain["rate-limiting"]["others"]} == {
        "global gives way to consumer",
        "service gives way to consumer",
    }
    await get(client, "/dashboard/chain?route=any&consumer=nobody", 404)
    await get(client, "/dashboard/chain?route=nowhere", 404)
    await get(client, "/dashboard/chain", 400)


async def test_it_follows_the_configuration_that_runs(client):
    """After another one is loaded, that is what is explained."""
    text = '{"_format_version": "3.0", "services": [{"name": "n", "host": "h", "routes": [{"name": "new", "paths": ["/"]}]}]}'
    await explain(client, path="/orders")
    async with client.post("/config", json={"config": text}) as response:
        assert response.status == 201
    assert (await explain(client, path="/orders"))["route"]["name"] == "new"
