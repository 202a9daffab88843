"""The single connection mode of graphql-sse: tokens of a backend that serves it, and reservations where none does."""

from __future__ import annotations

import json

import pytest
from conversation import service

from proxyd.exchange import Client, Exchange
from proxyd.graphql.document import Document
from proxyd.graphql.request import Asked
from proxyd.graphql.subscriptions.settings import Subscriptions
from proxyd.graphql.subscriptions.sources import Sources
from proxyd.graphql.subscriptions.sse_connection import EventConnection, Opener, Reservations
from proxyd.graphql.subscriptions.sse_stream import Pace
from proxyd.graphql.subscriptions.sse_tokens import Tokens, identity_of, token_of
from proxyd.graphql.subscriptions.streams import Examine, make_streams
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.plugin import Kit

SECRET = "a secret of at least 32 characters"
SINGLE = {"events": {"single_connection": True, "token_secret": SECRET}}
CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def graphql(**subscriptions):
    return service(plugins=[{"name": "graphql", "config": {"subscriptions": subscriptions}}])


def request(method, path=b"/", token=None, body=b"", accept=b"*/*"):
    lines = b"X-GraphQL-Event-Stream-Token: %b\r\n" % token if token else b""
    length = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body else b""
    return b"%b %b HTTP/1.1\r\nHost: h\r\nAccept: %b\r\n%b%b\r\n%b" % (
        method,
        path,
        accept,
        lines,
        length,
        body,
    )


def up(sent, token, shown):
    return sent.replace(b"Host: h", b"Host: 10.0.0.1").replace(shown, token)


def refused(status, message):
    body = b'{"errors":[{"message":"%b"}]}' % message
    return b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


NOT_FOUND = refused(b"404 Not Found", b"Stream not found")


def exchange_of(query="", consumer=None, claims=None, ip="192.0.2.1", **headers):
    fields = Headers.of(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    )
    one = Exchange(
        RequestHead("POST", "/", "/", query, 1, "h", fields, 0, keep_alive=True),
        Client(ip, 1, "http", 80),
        0.0,
    )
    one.consumer = consumer
    one.claims = claims
    return one


class Consumer:
    id = "c1"


# --- tokens of the backend -----------------------------------------------------------------------------------


async def test_a_backends_tokens_are_bound_to_their_owner(talk):
    """Each request that shows what the client was told reaches the backend with what the backend had told."""
    client = await talk.start(graphql(**SINGLE))
    shown = Tokens(SECRET).bind(exchange_of(), "t0").encode()
    opening = request(b"GET", token=shown, accept=b"text/event-stream")
    body = json.dumps({"query": "{ a }", "extensions": {"operationId": "1"}}).encode()
    asking = request(b"POST", token=shown, body=body)
    stopping = request(b"DELETE", b"/?operationId=1", token=shown)
    in_query = request(b"GET", b"/?token=" + shown, accept=b"text/event-stream")
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    await talk(
        client.sends(request(b"PUT")),
        talk.upstream.receives(request(b"PUT").replace(b"Host: h", b"Host: 10.0.0.1")),
        talk.upstream.sends(
            b"HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nt0"
        ),
        client.receives(CREATED % (len(shown), shown)),
        client.sends(opening),
        talk.upstream.receives(up(opening, b"t0", shown)),
        talk.upstream.sends(ok),
        client.receives(ok),
        client.sends(asking),
        talk.upstream.receives(up(asking, b"t0", shown)),
        talk.upstream.sends(ACCEPTED),
        client.receives(ACCEPTED),
        client.sends(stopping),
        talk.upstream.receives(up(stopping, b"t0", shown)),
        talk.upstream.sends(ok),
        client.receives(ok),
        client.sends(in_query),
        talk.upstream.receives(up(in_query, b"t0", shown)),
        talk.upstream.sends(ok),
        client.receives(ok),
    )


@pytest.mark.parametrize("token", [b"t0", b"t0.", b"t0.0123", b".", b"\xff.\xff"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
async def test_a_token_of_somebody_else_is_none(talk, method, token):
    """Nor one that nobody was told; the backend hears nothing of it."""
    client = await talk.start(graphql(**SINGLE))
    body = b'{"query":"{ a }"}' if method == b"POST" else b""
    await talk(client.sends(request(method, token=token, body=body)), client.receives(NOT_FOUND))


@pytest.mark.parametrize("own", [False, True], ids=["alone", "with_a_token_of_their_own"])
async def test_a_token_is_one_however_its_name_is_written(talk, own):
    """The name may be percent-encoded, which backends decode: nobody opens another's stream by that."""
    client = await talk.start(graphql(**SINGLE))
    mine = Tokens(SECRET).bind(exchange_of(), "t0").encode()
    path = b"/?query=%7B__typename%7D&%74oken=t1"
    sent = request(b"GET", path, token=mine if own else None, accept=b"text/event-stream")
    if not own:
        await talk(client.sends(sent), client.receives(NOT_FOUND))
        return
    told = sent.replace(b"%74oken=t1", b"token=t0").replace(mine, b"t0").replace(b": h\r", b": 10.0.0.1\r")
    await talk(client.sends(sent), talk.upstream.receives(told), client.resets(), talk.upstream.is_aborted())


PUT_UP = request(b"PUT").replace(b"Host: h", b"Host: 10.0.0.1")


async def test_what_else_a_backend_says_to_a_reservation_is_passed_on(talk):
    """With its status and its type."""
    client = await talk.start(graphql(**SINGLE))
    no = b"HTTP/1.1 409 Conflict\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
    await talk(
        client.sends(request(b"PUT")),
        talk.upstream.receives(PUT_UP),
        talk.upstream.sends(no),
        client.receives(no),
    )


@pytest.mark.parametrize(
    ("token", "cut"), [(b"", False), (b"a\nb", False), (b"\xff", False), (b"x" * 600, True)]
)
async def test_what_is_no_token_is_not_passed_on(talk, token, cut):
    """Nothing, what cannot stand in a header, and what is too long, which is not read to its end."""
    client = await talk.start(graphql(**SINGLE))
    bad = (
        b'{\n  "message":"An invalid response was received from the upstream server",\n'
        b'  "request_id":"<id>"\n}'
    )
    await talk(
        client.sends(request(b"PUT")),
        talk.upstream.receives(PUT_UP),
        talk.upstream.sends(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(token), token)),
        client.receives(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json; charset=utf-8\r\n"
            b"Content-Length: 126\r\n\r\n%b" % bad
        ),
        *([talk.upstream.is_aborted()] if cut else []),
    )


def test_a_token_is_good_for_one_identity():
    """At every worker that has the secret; the address does not matter."""
    mine = exchange_of(consumer=Consumer())
    shown = Tokens(SECRET).bind(mine, "t.0")
    mine = exchange_of(consumer=Consumer(), ip="198.51.100.1", x_graphql_event_stream_token=shown)
    assert Tokens(SECRET).admit(mine, shown)
    assert mine.headers.get(b"x-graphql-event-stream-token") == b"t.0"
    for one in (exchange_of(), exchange_of(claims={"iss": "i", "sub": "s"})):
        assert not Tokens(SECRET).admit(one, shown)
    assert not Tokens("another secret").admit(mine, shown)
    assert not Tokens(None).admit(mine, shown)
    assert repr(Tokens(SECRET)) == "<Tokens configured>"


def test_a_token_stands_in_the_header_or_in_the_query():
    """As browsers' EventSource has no headers."""
    assert token_of(exchange_of("?a=1&token=t%2e0")) == "t.0"
    assert token_of(exchange_of("?token=q", x_graphql_event_stream_token="h")) == "h"
    assert token_of(exchange_of("?xtoken=q")) is None
    assert token_of(exchange_of("?%74oken=q")) == "q"


def test_who_asks_is_who_was_found_out():
    """A token that names nobody stands for itself alone."""
    assert identity_of(exchange_of()) == ""
    assert identity_of(exchange_of(consumer=Consumer(), claims={"sub": "s"})) == "consumer:c1"
    assert identity_of(exchange_of(claims={"iss": "i", "sub": "s", "exp": 1})) == 'claims:["i", "s"]'
    one, other = ({"iss": "i", "exp": number} for number in range(2))
    assert identity_of(exchange_of(claims=one)) != identity_of(exchange_of(claims=other))


# --- reservations of the gateway's own -----------------------------------------------------------------------


class Backend:
    """A source that a test speaks for."""

    def __init__(self, holder):
        self.holder = holder
        self.listeners = []
        self.heard = []

    def open(self, payload):
        self.heard.append("open")

    def subscribe(self, asked, operation, listener):
        self.heard.append(asked.query)
        self.listeners.append(listener)
        return self

    def pause(self):
        self.heard.append("pause")

    def resume(self):
        self.heard.append("resume")

    def stop(self):
        self.heard.append("stop")

    def close(self):
        self.heard.append("close")


class Way:
    """A client's side, as it is written to."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.time = 0.0
        self.sent = []
        self.replies = []

    def now(self):
        return self.time

    def watch(self, thing, deadline):
        self.watched, self.deadline = thing, deadline

    def pass_time(self):
        """Let it be the time that is watched."""
        self.time = self.deadline
        self.watched.deadline_passed()

    def begin(self, status, headers):
        self.sent.append(status)
        return True

    def send(self, data):
        self.sent.append(data)

    def end(self):
        self.sent.append("end")

    def reply(self, reply):
        self.replies.append(reply.status)


class Clock:
    def __init__(self):
        self.value = 0.0

    def __call__(self):
        return self.value


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def backends():
    return []


@pytest.fixture
def reserve(clock, backends):
    """Reserve streams; gives the function, and where they are kept."""

    def opening(way, holder):
        del way
        backends.append(Backend(holder))
        return backends[-1]

    def make(reservations, token):
        return EventConnection(reservations, token, opening, Pace(12.0, clock))

    kept = Reservations(4, 2, 30.0, clock)

    def reserve(exchange):
        return kept.reserve(exchange, make)

    reserve.kept = kept
    return reserve


def add(connection, name, query="subscription { news }"):
    connection.add(name, Asked({"query": query}), Document(query).operation(None))


def test_a_stream_carries_many_operations(reserve, backends):
    """Those that were asked for before it is open, too; each result says whose it is."""
    one = exchange_of()
    token = reserve(one)
    connection = reserve.kept.find(one, token)
    add(connection, "a")
    add(connection, "x")
    connection.remove("x")
    way = Way(one)
    assert reserve.kept.open(token, way) is connection
    assert reserve.kept.open(token, way) is None
    backends[0].holder.opened(b"")
    add(connection, "b")
    assert backends[0].heard == ["open", "subscription { news }", "subscription { news }"]
    first, second = backends[0].listeners
    first.next(b"1")
    second.failed(b"[2]")
    connection.writable(False)
    connection.writable(True)
    connection.remove("nothing")
    first.completed()
    assert way.sent == [
        200,
        b":\n\n",
        b'event: next\ndata: {"id":"a","payload":1}\n\n',
        b'event: next\ndata: {"id":"b","payload":{"errors":[2]}}\n\n',
        b'event: complete\ndata: {"id":"b"}\n\n',
        b'event: complete\ndata: {"id":"a"}\n\n',
    ]
    assert (connection.count, backends[0].heard[3:]) == (0, ["pause", "resume"])
    add(connection, "c")
    connection.remove("c")
    assert backends[0].heard[-1] == "stop"
    connection.gone()
    assert (backends[0].heard[-1], repr(reserve.kept)) == ("close", "<Reservations open=0 ahead=0>")
    assert reserve.kept.find(one, token) is None


def test_an_operation_of_a_slow_client_waits_from_its_begin(reserve, backends):
    """Whether it was asked for before the client was slow, or after that."""
    one = exchange_of()
    token = reserve(one)
    connection = reserve.kept.open(token, Way(one))
    add(connection, "a")
    connection.writable(False)
    backends[0].holder.opened(b"")
    add(connection, "b")
    assert backends[0].heard[1::2] == ["subscription { news }"] * 2
    assert backends[0].heard[2::2] == ["pause"] * 2
    connection.writable(True)
    assert backends[0].heard[5:] == ["resume"] * 2


def test_a_stream_is_found_by_its_owner_alone(reserve):
    """Whoever else has the token finds none."""
    token = reserve(exchange_of(consumer=Consumer()))
    assert reserve.kept.find(exchange_of(consumer=Consumer(), ip="198.51.100.1"), token) is not None
    assert reserve.kept.find(exchange_of(), token) is None
    assert reserve.kept.find(exchange_of(consumer=Consumer()), token + "x") is None


def test_reservations_are_few_and_short(reserve, clock):
    """For each, and for all; those that are not opened in time are forgotten."""
    mine = exchange_of()
    token = reserve(mine)
    assert reserve(mine) is not None
    assert reserve(mine) is None
    reserve.kept.open(token, Way(mine))
    assert reserve(mine) is not None
    others = [reserve(exchange_of(ip=f"192.0.2.{number}")) for number in range(2, 5)]
    assert [other is None for other in others] == [False, True, True]
    assert repr(reserve.kept) == "<Reservations open=1 ahead=3>"
    clock.value = 30.0
    assert reserve(mine) is not None
    assert repr(reserve.kept) == "<Reservations open=1 ahead=1>"
    assert reserve.kept.find(mine, token) is not None


def test_a_backend_that_is_away_is_told_by_a_status(reserve, backends):
    """And by the end of the stream, where that has begun: the client comes back."""
    one = exchange_of()
    ways = []
    for opened, code in ((False, 1012), (False, 4401), (False, 4403), (False, 1013), (True, 1012)):
        token = reserve(one)
        ways.append(Way(one))
        reserve.kept.open(token, ways[-1])
        if opened:
            backends[-1].holder.opened(b"")
        backends[-1].holder.lost(code, "gone")
    assert [way.replies for way in ways] == [[502], [401], [403], [503], []]
    assert [way.sent for way in ways] == [[], [], [], [], [200, b":\n\n", "end"]]
    assert repr(reserve.kept) == "<Reservations open=0 ahead=0>"


def test_a_stream_lasts_as_long_as_the_credentials(reserve, backends, clock):
    """Behind that, its client has to show others."""
    clock.value = 1000.0
    one = exchange_of(claims={"sub": "s", "exp": 1020})
    token = reserve(one)
    way = Way(one)
    reserve.kept.open(token, way)
    backends[0].holder.opened(b"")
    way.pass_time()
    assert (way.time, way.sent) == (12.0, [200, b":\n\n", b":\n\n"])
    way.pass_time()
    assert (way.time, way.sent[3:], backends[0].heard[-1]) == (20.0, ["end"], "close")
    way.pass_time()
    late = exchange_of(claims={"sub": "s", "exp": 900})
    way = Way(late)
    reserve.kept.open(reserve(late), way)
    backends[1].holder.opened(b"")
    way.pass_time()
    assert (way.time, way.sent) == (0.0, [200, b":\n\n", "end"])


def test_a_drain_ends_the_stream(reserve, backends):
    """Without an end of its operations, so that the client asks for them again."""
    one = exchange_of()
    token = reserve(one)
    add(reserve.kept.find(one, token), "a")
    way = Way(one)
    connection = reserve.kept.open(token, way)
    connection.leave()
    assert way.sent == []
    backends[0].holder.opened(b"")
    connection.leave()
    assert (way.sent, backends[0].heard[-1]) == ([200, b":\n\n", "end"], "close")


# --- which of them are served ----------------------------------------------------------------------------------


def streams(alone=True, clock=None, **settings):
    """Return who takes such requests."""
    kit = Kit(alone=alone, clock=clock or Kit().clock)
    config = Subscriptions(**settings)
    return make_streams(config, kit, Sources(config, kit))


def asking(method, query="", **headers):
    one = exchange_of(query, **headers)
    one.request.method = method
    return one


@pytest.mark.parametrize(
    ("alone", "secret", "protocol", "served"),
    [
        (True, None, "sse", True),
        (False, None, "sse", False),
        (False, SECRET, "sse", True),
        (True, None, "graphql-transport-ws", True),
        (False, SECRET, "graphql-transport-ws", False),
    ],
)
def test_several_workers_have_to_know_a_token(alone, secret, protocol, served):
    """Those of a backend by a secret that all have; the gateway's own reservations are in the memory of one."""
    events = {"single_connection": True, "token_secret": secret}
    one = asking("PUT")
    reply = streams(alone, backend_protocol=protocol, events=events).enter(one)
    assert (reply is None, one.carrier is not None) == (served, served)
    if not served:
        assert (reply.status, b"Single connection mode is not served here" in reply.body) == (501, True)


def test_where_nothing_is_to_be_done_nobody_does_it():
    """Requests are then not even looked at."""
    assert streams() is None
    assert streams(backend_protocol="sse") is None


class Reserved:
    """A client of the gateway's own reservations."""

    def __init__(self, most=1, **settings):
        self.streams = streams(
            backend_protocol="graphql-transport-ws",
            events={"single_connection": True, **settings},
            max_operations=most,
        )
        self.token = self.act("PUT")[1].decode()

    def act(self, method, query="", body=None, token=None, accept="*/*"):
        """Have a request answered: its status and its body, or None where it is carried on by a stream."""
        headers = {"accept": accept}
        if token is not None:
            headers["x_graphql_event_stream_token"] = token
        one = asking(method, query, **headers)
        found = self.streams.enter(one)
        if isinstance(found, Examine):
            text = body.get("query", "subscription { news }")
            self.streams.carry(one, Asked(body), Document(text).operation(None))
        elif found is not None:
            return found.status, found.body
        if isinstance(one.carrier, Opener):
            return None
        way = Way(one)
        replies = []
        way.reply = replies.append
        one.carrier.meet(way)
        one.carrier.carry()
        return replies[0].status, replies[0].body

    def asks(self, name, token=None):
        extensions = {} if name is None else {"operationId": name}
        return self.act("POST", body={"extensions": extensions}, token=token or self.token)


def told(status, message):
    return status, b'{"errors":[{"message":"%b"}]}' % message


def test_operations_are_accepted_and_stopped():
    """With the statuses of graphql-sse."""
    client = Reserved()
    assert client.asks(None) == told(400, b"Operation ID is missing")
    assert client.asks("") == told(400, b"Operation ID is missing")
    assert client.asks(7) == told(400, b"Operation ID is missing")
    assert client.asks("a") == (202, b"")
    assert client.asks("a") == told(409, b"Operation with ID already exists")
    assert client.asks("b") == told(429, b"Too many operations are under way on this stream")
    assert client.act("DELETE", token=client.token) == told(400, b"Operation ID is missing")
    assert client.act("DELETE", "?operationId=a", token=client.token) == (200, b"")
    assert client.act("DELETE", "?operationId=a", token=client.token) == (200, b"")
    assert client.asks("b") == (202, b"")


def test_little_is_kept_for_a_stream_that_is_not_open():
    """However many operations are asked for; once they have gone to the backend, nothing is kept of them."""
    client = Reserved(most=9)
    one = exchange_of()
    connection = client.streams._reservations.find(one, client.token)
    operation = Document("{ a }").operation(None)

    def add(name):
        asked = Asked({"query": "{ a }", "extensions": {"operationId": name}}, 200_000)
        reply = client.streams._add(one, connection, asked, operation)
        return reply.status, reply.body

    assert add("x") == (202, b"")
    assert add("y") == told(429, b"Too much is asked for before the stream is open")
    connection._operations["x"].start(Backend(None), slow=False)
    assert connection.kept == 0
    assert add("y") == (202, b"")


def test_what_shows_no_token_of_ours_finds_nothing():
    """Whichever request it is."""
    client = Reserved()
    nothing = told(404, b"Stream not found")
    assert client.asks("a", token="t") == nothing
    assert client.act("GET", token="t", accept="text/event-stream") == nothing
    assert client.act("DELETE", "?operationId=a", token="t") == nothing
    assert client.act("DELETE", "?operationId=a") == nothing


def test_a_stream_is_opened_by_who_takes_one():
    """And once."""
    client = Reserved()
    assert client.act("GET", token=client.token) == told(
        406, b"A stream is opened with Accept: text/event-stream"
    )
    assert client.act("GET", "?token=" + client.token, accept="text/event-stream") is None
    one, ways = exchange_of(), []
    connection = client.streams._reservations.find(one, client.token)
    connection._opening = lambda way, holder: Backend(holder)
    for _ in range(2):
        ways.append(Way(one))
        opener = Opener(client.streams._reservations, client.token)
        opener.meet(ways[-1])
        opener.carry()
        opener.writable(writable=True)
    assert [way.replies for way in ways] == [[], [409]]
    assert client.act("GET", token=client.token, accept="text/event-stream") == told(
        409, b"Stream already open"
    )
    opener.gone()


def test_there_is_no_room_for_everybody():
    """Who comes too late may come again."""
    client = Reserved(max_unopened=1)
    assert client.act("PUT") == told(429, b"Too many streams are reserved")


def test_an_operation_without_a_token_has_a_stream_of_its_own():
    """Where its client takes one; anything else is passed on."""
    client = Reserved()
    for accept, carried in (("text/event-stream", True), ("application/json, text/event-stream", False)):
        one = asking("POST", accept=accept)
        assert client.streams.enter(one).__class__ is Examine
        client.streams.carry(one, Asked({}), Document("subscription { news }").operation(None))
        assert (one.carrier is not None) is carried
    one = asking("HEAD", accept="text/event-stream")
    client.streams.carry(one, Asked({}), Document("{ a }").operation(None))
    assert one.carrier is None
