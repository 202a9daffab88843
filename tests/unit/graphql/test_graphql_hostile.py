"""The floods, as the examiner meets them."""

from __future__ import annotations

import pytest
from graphql_floods import BATCH, BODY_SIZE, FLOODS, INTROSPECTION

from proxyd.exchange import Client, Exchange
from proxyd.graphql.examiner import Examiner
from proxyd.graphql.limits import Counts, Limits
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import read_body, read_members
from proxyd.graphql.variables import Variables
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

# What is decided before, by the plugin, and by a step of its own.
ELSEWHERE = {BODY_SIZE, BATCH, INTROSPECTION}
HERE = {name: flood for name, flood in FLOODS.items() if ELSEWHERE.isdisjoint(flood.meets)}


@pytest.fixture
def examiner():
    limits = Limits()
    return Examiner([Counts(limits), Variables(limits)], limits=limits)


def exchange():
    head = RequestHead("POST", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    return Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)


@pytest.mark.parametrize("name", HERE)
def test_what_a_flood_meets(name, examiner):
    """Refused by what it meets, and again by the same; what meets nothing passes."""
    flood = HERE[name]
    body = flood.body
    for _ in range(2):
        met = None
        try:
            examiner.examine(exchange(), read_body(body))
        except Refused as refused:
            met = refused.extensions.get("limit", refused.code)
        assert met in flood.meets if flood.meets else met is None, met


@pytest.mark.parametrize(
    "text",
    ["{ a } NAME", "{ ...NAME }", "{ a } fragment NAME on A { ...NAME }"],
)
def test_what_is_kept_of_a_long_name(text, examiner):
    """A client may write names as long as a document, of which many are remembered as refused."""
    query = text.replace("NAME", "x" * 30_000)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            examiner.examine(exchange(), read_members({"query": query}, 1))
        assert len(caught.value.again().message) < 300
