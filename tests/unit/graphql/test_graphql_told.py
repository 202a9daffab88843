"""Between a client's side and its source: results masked and counted, and every operation's end counted once."""

from __future__ import annotations

import pytest
from answers_case import asked

from proxyd.clock import Clock
from proxyd.graphql.document import Document
from proxyd.graphql.errors import Errors, Masker
from proxyd.graphql.results import Results
from proxyd.graphql.subscriptions.told import Told
from proxyd.telemetry.operations import Operations
from proxyd.telemetry.redact import Redactor


class Side:
    """A client's side, a source and one of its operations, each of which keeps what it hears."""

    def __init__(self):
        self.heard = []
        self.listeners = []

    def __getattr__(self, name):
        return lambda *arguments: self.heard.append((name, *arguments))

    def subscribe(self, asked, operation, listener):
        self.listeners.append(listener)
        return self


@pytest.fixture
def sides():
    operations = Operations()
    results = Results(Masker(Errors(mask=True), Redactor(), Clock()), operations)
    client, source = Side(), Side()
    told = Told(results, asked(kind="subscription", name="Ticks"), client)
    told.source = source
    operation = Document("subscription Ticks { ticks }").operation(None)
    return told, client, source, operation, operations


def test_results_are_masked_on_their_way(sides):
    """Errors that it ends with, too; then it is over."""
    told, client, source, operation, operations = sides
    listener = Side()
    told.subscribe(None, operation, listener)
    assert operations.open == {("api",): 1}
    (heard,) = source.listeners
    heard.next(b'{"data":1}')
    heard.next(b'{"errors":[{"message":"relation"}]}')
    heard.failed(b'[{"message":"relation"}]')
    heard.completed()
    assert [name for name, *_ in listener.heard] == ["next", "next", "failed"]
    assert b"relation" not in b"".join(one for _, one in listener.heard)
    assert operations.open == {("api",): 0}
    assert client.heard == []


@pytest.mark.parametrize("end", ["stop", "completed", "failed", "close", "lost"])
def test_every_end_is_counted_once(sides, end):
    """Whoever ends it, and however often that is said."""
    told, client, source, operation, operations = sides
    subscription = told.subscribe(None, operation, Side())
    (heard,) = source.listeners
    subscription.pause()
    subscription.resume()
    for _ in range(2):
        if end == "stop":
            subscription.stop()
        elif end == "close":
            told.close()
        elif end == "lost":
            told.lost(1011, "gone")
        elif end == "failed":
            heard.failed(b"[]")
        else:
            heard.completed()
    heard.next(b"{}")
    told.close()
    assert operations.open == {("api",): 0}
    assert [name for name, *_ in source.heard][:2] == ["pause", "resume"]
    assert [one for one in client.heard if end == "lost"] == (
        [("lost", 1011, "gone")] * 2 if end == "lost" else []
    )


def test_what_concerns_the_source_is_passed_on(sides):
    """In both directions."""
    told, client, source, _, _ = sides
    told.open(b"payload")
    told.opened(b"ack")
    told.backend_writable(False)
    told.close()
    assert source.heard == [("open", b"payload"), ("close",)]
    assert client.heard == [("opened", b"ack"), ("backend_writable", False)]
