"""What clients of a real backend are told of its errors, and what is seen of them, over several workers."""

from __future__ import annotations

import re

import httpx
from e2e_gateway import config_for

SECRET = "db-7.internal"  # of the backend's own error
QUERIES = {"query Hello { hello }": 12, "query Broken { hello broken }": 7, "mutation Rename { nobody }": 3}


def counts(text, family):
    """Return the samples of a family by its labels' values."""
    found = re.findall(rf"^{family}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {tuple(re.findall(r'"([^"]*)"', labels)): float(value) for labels, value in found}


async def test_errors_are_masked_and_every_operation_is_counted(gang, strawberry_backend):
    """Whichever worker took it: the sums are what clients have asked for."""
    told = {"errors": {"mask": True, "pass_validation": True}}
    config = config_for(strawberry_backend.port, plugins=[{"name": "graphql", "config": told}])
    both = await gang(config)
    url = f"http://127.0.0.1:{both.port}/graphql"
    for query, count in QUERIES.items():
        for _ in range(count):
            async with httpx.AsyncClient(timeout=30) as client:  # a connection each, so that both have some
                answer = await client.post(url, json={"query": query})
            assert SECRET not in answer.text
            if "Broken" in query:
                assert answer.json()["data"] == {"hello": "Hello world", "broken": None}
                (error,) = answer.json()["errors"]
                assert (error["message"], error["path"]) == ("Unexpected error.", ["broken"])
                assert error["extensions"]["request_id"] == answer.headers["x-kong-request-id"]
            elif "nobody" in query:
                assert "Cannot query field 'nobody'" in answer.json()["errors"][0]["message"]
    async with httpx.AsyncClient(timeout=30) as client:
        text = (await client.get(both.one.status_url + "/metrics")).text
    assert counts(text, "proxyd_graphql_requests_total") == {
        ("Hello", "main", "query"): 12,
        ("Broken", "main", "query"): 7,
        ("Rename", "main", "mutation"): 3,
    }
    assert counts(text, "proxyd_graphql_errors_total") == {
        ("INTERNAL_SERVER_ERROR", "Broken", "main", "query"): 7,
        ("none", "Rename", "main", "mutation"): 3,
    }
    assert counts(text, "proxyd_graphql_masked_errors_total") == {("main",): 7}
    assert sum(counts(text, "proxyd_graphql_documents_total").values()) == 22
