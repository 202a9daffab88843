"""A backend of server-sent events as a source: what it is asked, and what becomes of its answers."""

from __future__ import annotations

import orjson
import pytest

from proxyd.exchange import Client, Exchange, Reply
from proxyd.graphql.document import Document
from proxyd.graphql.request import Asked
from proxyd.graphql.subscriptions.sse_backend import EventBackend
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead, ResponseHead

NEWS = "subscription { news }"


class Call:
    """What a test asks, and answers."""

    def __init__(self, request, body, receiver):
        self.request, self.body, self.receiver = request, orjson.loads(body), receiver
        self.state = "reading"

    def pause(self):
        self.state = "paused"

    def resume(self):
        self.state = "reading"

    def cancel(self):
        self.state = "cancelled"

    def answers(self, *pieces, status=200, kind=b"text/event-stream; charset=utf-8", end=False):
        headers = Headers.of([(b"Content-Type", kind)])
        self.receiver.head(ResponseHead(status, b"", 1, headers, -1, keep_alive=True))
        for piece in pieces:
            self.receiver.data(piece)
        if end:
            self.receiver.end()


class Way:
    """As much of a way as a source uses."""

    def __init__(self, request, ask):
        self.exchange = Exchange(request, Client("192.0.2.1", 1, "http", 80), 0.0)
        self.ask = ask


class Ears:
    """The holder and the listener."""

    def __init__(self):
        self.heard = []
        self.stop_at = None
        self.running = None

    def opened(self, payload):
        self.heard.append(("opened", payload))

    def lost(self, code, reason):
        self.heard.append((code, reason))

    def next(self, payload):
        self.heard.append(payload)
        if payload == self.stop_at:
            self.running.stop()

    def failed(self, errors):
        self.heard.append(("failed", orjson.loads(errors)[0]["message"]))

    def completed(self):
        self.heard.append("completed")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def ask(calls, ears):
    """Begin an operation, and return its call."""
    sent = [("Authorization", "me"), ("Accept", "x"), ("Accept-Encoding", "gzip"), ("Sec-WebSocket-Key", "k")]
    headers = Headers.of([(name.encode(), value.encode()) for name, value in sent])
    asking = RequestHead("GET", "/g?a=1", "/g", "?a=1", 1, "h", headers, 0, keep_alive=True)

    def make(request, body, receiver):
        calls.append(Call(request, body, receiver))
        return calls[-1]

    def ask(query=NEWS, alone=False, **members):
        source = ask.source = EventBackend(Way(asking, make), ears, 100, alone=alone)
        source.open(b"")
        ears.heard.clear()
        name = members.get("operationName")
        ears.running = source.subscribe(
            Asked({"query": query, **members}), Document(query).operation(name), ears
        )
        return calls[-1]

    return ask


def test_a_backend_is_asked_as_its_client_would(ask):
    """With what says who asks, and nothing of the connection that it came over."""
    call = ask(
        "query A { a } query B { b }",
        operationName="B",
        variables={"x": 1},
        extensions={"operationId": "1", "persistedQuery": {"version": 1}, "trace": 1},
    )
    assert call.body == {
        "query": "query A { a } query B { b }",
        "operationName": "B",
        "variables": {"x": 1},
        "extensions": {"trace": 1},
    }
    request = call.request
    assert (request.method, request.path, request.query, request.host) == ("POST", "/g", "", "h")
    assert dict(request.headers) == {
        b"authorization": b"me",
        b"accept": b"application/graphql-response+json, application/json",
        b"content-type": b"application/json",
    }
    call = ask()
    assert call.body == {"query": NEWS}
    assert call.request.headers.get(b"accept") == b"text/event-stream"


def test_results_are_heard_as_they_come(ask, ears):
    """Up to the end, behind which nothing is; servers that do not name their events mean results."""
    call = ask()
    call.answers(b": hi\n\nevent: next\nda", b'ta: {"a":1}\n\ndata: {"a":2}\n\nevent: other\ndata: {}\n\n')
    ears.running.pause()
    assert call.state == "paused"
    ears.running.resume()
    call.receiver.data(b"event: complete\n\nevent: next\ndata: {}\n\n")
    call.receiver.data(b"event: next\ndata: {}\n\n")
    assert ears.heard == [b'{"a":1}', b'{"a":2}', "completed"]
    assert (call.state, repr(ask.source)) == ("cancelled", "<EventBackend running=0>")


def test_behind_a_stop_nothing_is_heard(ask, ears):
    """Even where it comes from the one who hears."""
    ears.stop_at = b'{"a":1}'
    call = ask()
    call.answers(b'data: {"a":1}\n\ndata: {"a":2}\n\n')
    assert (ears.heard, call.state) == ([b'{"a":1}'], "cancelled")
    ears.stop_at = b'{"data":1}'
    call = ask("{ a }")
    call.answers(b'{"data":1}', kind=b"application/json", end=True)
    assert ears.heard == [b'{"data":1}']


def test_what_has_one_result_comes_as_json(ask, ears):
    """With its end; errors without data are a failure."""
    ask("{ a }").answers(b'{"data"', b":1}", kind=b"application/json", end=True)
    assert ears.heard == [b'{"data":1}', "completed"]
    ask("{ a }").answers(b'{"errors":[{"message":"no"}]}', kind=b"application/json", status=400, end=True)
    assert ears.heard == [("failed", "no")]
    ask("{ a }").answers(b'{"data":null,"errors":[{"message":"no"}]}', kind=b"application/json", end=True)
    assert ears.heard == [("failed", "no")]
    ask("{ a }").answers(b'{"data":{},"errors":[{"message":"no"}]}', kind=b"application/json", end=True)
    assert ears.heard == [b'{"data":{},"errors":[{"message":"no"}]}', "completed"]


LARGE = "The backend's answer is too large"
LOST = [
    ([b"data: {}"], True, {}, "The backend has ended the stream"),
    ([b"data: [1]\n\n"], False, {}, "The backend's answer is not GraphQL"),
    ([b"data: no\n\n"], False, {}, "The backend's answer is not GraphQL"),
    ([b"x" * 101], False, {}, LARGE),
    ([b"x" * 60] * 2, False, {"kind": b"application/json"}, LARGE),
    ([b"<html>"], True, {"kind": b"text/html", "status": 503}, "The backend has answered with status 503"),
    ([], True, {"status": 204}, "The backend has answered with status 204"),
    ([b"data: {}\n\n"], True, {"status": 500}, "The backend has answered with status 500"),
]


@pytest.mark.parametrize(("pieces", "end", "how", "reason"), LOST, ids=range(len(LOST)))
def test_what_is_no_answer_is_a_loss(ask, ears, pieces, end, how, reason):
    """Of the operation, or of the source that is made for one alone."""
    ask().answers(*pieces, end=end, **how)
    assert ears.heard == [("failed", reason)]
    call = ask(alone=True)
    call.answers(*pieces, end=end, **how)
    assert ears.heard == [(1012, reason)]
    assert repr(ask.source) == "<EventBackend running=0>"


def test_a_backend_that_is_away(ask, ears):
    """Before its answer, and in the middle."""
    ask().receiver.failed(Reply(502))
    assert ears.heard == [("failed", "The backend cannot be reached")]
    call = ask()
    call.answers(b'data: {"a":1}\n\n')
    call.receiver.failed(Reply(504))
    assert ears.heard == [b'{"a":1}', ("failed", "The backend has cut the stream")]


def test_a_source_that_is_closed_asks_no_more(ask, ears):
    """And is heard of no more."""
    call = ask()
    ask.source.close()
    assert (call.state, ears.heard, repr(ears.running)) == ("cancelled", [], "<Running over>")


def test_an_answer_that_comes_with_the_asking(ears):
    """Its call is over when it is returned, and is not kept."""

    def make(request, body, receiver):
        receiver.failed(Reply(503))
        return Call(request, body, receiver)

    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    source = EventBackend(Way(head, make), ears)
    running = source.subscribe(Asked({"query": NEWS}), Document(NEWS).operation(None), ears)
    running.stop()
    assert ears.heard == [("failed", "The backend cannot be reached")]
