"""Documents that are named, on the way to their examination."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from plugin_case import exchange, make

from proxyd.graphql.examiner import Examiner
from proxyd.graphql.limits import Limits
from proxyd.graphql.naming import not_found, spell_out
from proxyd.graphql.request import Asked
from proxyd.plugins.graphql import GraphQL

NAMED = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a" * 64}}}


class Elsewhere:
    """Knows one document, after a while."""

    def __init__(self):
        self.kept = []
        self.future = None

    def resolve(self, exchange, asked):
        del exchange
        if asked.query:
            asked.offered = ("its hash", asked.query)
            return None
        self.future = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(lambda done: self._put(asked, done))
        return self.future

    def _put(self, asked, done):
        del done
        if asked.members.get("id") == "there":
            asked.query = "{ a }"
            spell_out(asked, "{ a }")
        else:
            asked.refused = not_found()

    def keep(self, asked):
        self.kept.append(asked.offered)


def post(*members, **config):
    """Return a plugin, and an exchange that posts these operations."""
    body = orjson.dumps(members[0] if len(members) == 1 else list(members))
    made = exchange((b"content-type", b"application/json"), method="POST", body=body)
    made.buffered = body
    return make(GraphQL, **config), made


def test_names_where_none_are_known():
    """Clients of Apollo's protocol are told by 200 that they had better send documents; no cache keeps that."""
    plugin, asked = post(NAMED)
    reply = plugin.access(asked)
    assert reply.status == 200
    assert orjson.loads(reply.body)["errors"] == [
        {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}
    ]
    assert b"no-cache" in reply.headers.get(b"cache-control")


def test_only_what_has_passed_is_kept():
    """A document that its examination refuses is not remembered by its name."""
    resolver = Elsewhere()
    examiner = Examiner(limits=Limits(max_tokens=10), resolver=resolver)
    for text in ("{ a }", "{ a", "{ a b c d e f g h i j k l }"):
        asked = Asked({"query": text})
        assert examiner.resolve(exchange(), asked) is None
        if text == "{ a }":
            examiner.examine(exchange(), asked)
        else:
            with pytest.raises(Exception, match=r"."):
                examiner.examine(exchange(), asked)
    assert resolver.kept == [("its hash", "{ a }")]


async def test_what_is_kept_elsewhere_is_waited_for():
    """Then the backend is asked with the document, or the client is told that there is none."""
    for name, expected in (("there", [{"query": "{ a }"}, {"query": "{ b }"}]), ("not there", None)):
        plugin, asked = post({"id": name}, {"query": "{ b }"}, limits=Limits(max_batch=2))
        resolver = Elsewhere()
        plugin._entry.examiner = Examiner(resolver=resolver)
        waiting = asyncio.ensure_future(plugin.access(asked))
        await asyncio.sleep(0)
        assert not waiting.done()
        resolver.future.set_result(None)
        reply = await waiting
        if expected is not None:
            assert reply is None
            assert orjson.loads(asked.buffered) == expected
        else:
            assert orjson.loads(reply.body)[0]["errors"][0]["message"] == "PersistedQueryNotFound"
