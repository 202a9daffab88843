"""Schemas that the gateway asks real servers for: what is not valid does not reach them, and nothing of the schema is told."""

from __future__ import annotations

import httpx
import pytest
from e2e_gateway import config_for
from e2e_graphql import needs_node

pytestmark = needs_node

SERVERS = {
    "yoga": ("graphql_backends", "/yoga"),
    "graphql-http": ("graphql_backends", "/http"),
    "strawberry": ("strawberry_backend", "/graphql"),
}
RESPONSE = {"Accept": "application/graphql-response+json"}


@pytest.fixture(params=SERVERS)
async def ask(request, gateway):
    """Give what asks a real server through a gateway that knows its schema."""
    name, path = SERVERS[request.param]
    port = request.getfixturevalue(name).port

    async def post(text, headers=RESPONSE, **config):
        known = {"schema_from": {"introspection": {"path": path}}, **config}
        if not hasattr(post, "proxy"):
            service = {"plugins": [{"name": "graphql", "config": known}]}
            post.proxy = await gateway(config_for(port, service=service))
        async with httpx.AsyncClient(timeout=20, headers=headers) as client:
            return await client.post(f"{post.proxy.url}{path}", json={"query": text})

    return post


async def test_what_is_valid_is_asked(ask):
    """The first request waits until the schema is known."""
    answer = await ask("{ product(id: 7) { name related(first: 2) { id } } }")
    product = {"name": "Product 7", "related": [{"id": "8"}, {"id": "9"}]}
    assert (answer.status_code, answer.json()) == (200, {"data": {"product": product}})


@pytest.mark.parametrize(
    "text",
    ["{ helo }", "{ hello(nam: 1) }", "{ product }", "{ hello { a } }", "{ product(id: 1) { pric } }"],
)
async def test_what_is_not_valid_is_refused_at_the_edge(ask, text):
    """The error is GraphQL's, without the suggestions that would tell the schema bit by bit."""
    answer = await ask(text)
    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert {error["extensions"]["code"] for error in errors} == {"GRAPHQL_VALIDATION_FAILED"}
    assert "id you mean" not in answer.text


async def test_nobody_is_told_the_schema(ask):
    """The gateway may ask for it, its clients may not."""
    answer = await ask("{ __schema { types { name } } }")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (
        403,
        "INTROSPECTION_FORBIDDEN",
    )


async def test_what_lists_ask_for_is_what_an_operation_costs(ask):
    """Lists in lists multiply, by what the schema of the server says of them."""
    cheap = await ask("{ product(id: 1) { name } }", cost={"max": 50})
    dear = await ask("{ product(id: 1) { related { related { related { name } } } } }")
    assert cheap.status_code == 200
    assert (dear.status_code, "cost" in dear.text) == (400, True), dear.text


async def test_audits_of_graphql_over_http(gateway, graphql_client, strawberry_backend):
    """Strawberry fails eight audits of graphql-http by itself; with its schema known at the edge, only the media type is left."""
    config = {"introspection": {"allow": "always"}, "schema_from": {"introspection": {"path": "/graphql"}}}
    service = {"plugins": [{"name": "graphql", "config": config}]}
    proxy = await gateway(config_for(strawberry_backend.port, service=service))
    told = await (await graphql_client("audits", url=f"{proxy.url}/graphql")).lines()
    assert len(told) == 61
    assert [audit["id"] for audit in told if audit["status"] != "ok"] == ["22EB"]
