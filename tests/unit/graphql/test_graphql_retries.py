"""Queries are sent again, and nothing else is."""

from __future__ import annotations

import json

import pytest
from conversation import service

from proxyd.plugins.graphql import GraphQL

FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":{}}'
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"


def post(text, host=b"h"):
    body = json.dumps(text).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (
            host,
            len(body),
            body,
        )
    )


def ups(text):
    """Return what the upstream gets."""
    return post(text, b"10.0.0.1")


QUERY = {"query": "{a}"}
MUTATION = {"query": "mutation{a}"}


async def talking(talk, more=None, **retries):
    config = service(
        plugins=[{"name": "graphql", "config": {"retries": retries, "limits": {"max_batch": 5}}}],
        **(more or {}),
    )
    return await talk.start(config, plugins=[GraphQL])


async def test_a_query_is_sent_again_when_its_connection_breaks(talk):
    """A fresh one as well as one that has been in use; the client has an answer."""
    client = await talking(talk)
    await talk(
        client.sends(post(QUERY)),
        talk.upstream.receives(ups(QUERY)),
        talk.upstream.resets(),
        talk.upstream[1].receives(ups(QUERY)),
        talk.upstream[1].sends(FINE),
        client.receives(FINE),
        client.sends(post(QUERY)),
        talk.upstream[1].receives(ups(QUERY)),
        talk.upstream[1].resets(),
        talk.upstream[2].receives(ups(QUERY)),
        talk.upstream[2].sends(FINE),
        client.receives(FINE),
        talk.logged("POST / 200 tries=2", "POST / 200 tries=2"),
    )


@pytest.mark.parametrize(
    ("asked", "retries"),
    [(MUTATION, {}), ([QUERY, MUTATION], {}), (QUERY, {"queries": False})],
    ids=["mutation", "batch", "off"],
)
async def test_nothing_else_is(talk, asked, retries):
    """A mutation, a batch with one in it, and a query where that is off: the backend has them once."""
    client = await talking(talk, **retries)
    client.sends(post(asked)).run()
    await talk.settle()
    talk.dialled[0].resets().run()
    await talk.settle()
    assert len(talk.dialled) == 1
    assert talk.log.lines == ["POST / 502 reset"]
    for end in (client, *talk.dialled):
        end.events.clear()


async def test_tries_are_bounded_by_the_services_retries(talk):
    """As those of any request."""
    client = await talking(talk, {"retries": 1})
    client.sends(post(QUERY)).run()
    await talk.settle()
    for _ in range(2):
        talk.dialled[-1].resets().run()
        await talk.settle()
    assert len(talk.dialled) == 2
    assert talk.log.lines == ["POST / 502 reset tries=2"]
    for end in (client, *talk.dialled):
        end.events.clear()


async def test_a_query_is_sent_again_after_some_statuses(talk):
    """Where they are listed; the client sees the answer of the last try."""
    client = await talking(talk, {"retries": 1}, statuses=[503])
    await talk(
        client.sends(post(QUERY)),
        talk.upstream.receives(ups(QUERY)),
        talk.upstream.sends(DOWN),
        talk.upstream.is_aborted(),
        talk.upstream[1].receives(ups(QUERY)),
        talk.upstream[1].sends(FINE),
        client.receives(FINE),
        talk.logged("POST / 200 tries=2"),
        client.sends(post(QUERY)),
        talk.upstream[1].receives(ups(QUERY)),
        talk.upstream[1].sends(DOWN[:-2]),
        talk.upstream[1].is_aborted(),
        talk.upstream[2].receives(ups(QUERY)),
        talk.upstream[2].sends(DOWN),
        client.receives(DOWN),
        talk.logged("POST / 503 tries=2"),
        client.sends(post(MUTATION)),
        talk.upstream[2].receives(ups(MUTATION)),
        talk.upstream[2].sends(DOWN),
        client.receives(DOWN),
        talk.logged("POST / 503"),
    )


async def test_a_retry_budget_holds(talk):
    """Where it is used up, the answer that there is goes to the client."""
    more = {"host": "up", "retries": 5}
    config = service(plugins=[{"name": "graphql", "config": {"retries": {"statuses": [503]}}}])
    config["services"][0] |= more
    config["services"][0].pop("url")
    config["upstreams"] = [
        {
            "name": "up",
            "targets": [{"target": "10.0.0.1:80"}],
            "resilience": {"retry_budget": {"budget_percent": 0, "min_retry_concurrency": 0}},
        }
    ]
    client = await talk.start(config, plugins=[GraphQL])
    client.sends(post(QUERY)).run()
    await talk.settle()
    talk.dialled[0].sends(DOWN).run()
    await talk.settle()
    assert talk.log.lines == ["POST / 503"]
    for end in (client, *talk.dialled):
        end.events.clear()
