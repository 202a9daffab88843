"""Answers of a backend on their way through the graphql plugin: held and masked, replaced, or only read."""

from __future__ import annotations

import gzip
import json

import pytest
from conversation import service

from proxyd.plugins.graphql import GraphQL

QUERY = b'{"query":"query Users { users }"}'
SECRET = "relation users_v2 does not exist"
BAD = json.dumps({"data": None, "errors": [{"message": SECRET, "path": ["users"]}]}).encode()
FINE = b'{"data": {"users":[]}}'
MASK = {"errors": {"mask": True}}
BIG = {"errors": {"mask": True, "max_size": 1000}}
JSON = "Content-Type: application/json"


def post(*lines, body=QUERY):
    fields = ("Host: h", JSON, f"Content-Length: {len(body)}", *lines)
    return "POST / HTTP/1.1\r\n{}\r\n\r\n".format("\r\n".join(fields)).encode() + body


def answer(body, *lines, status="200 OK"):
    fields = (*(lines or (JSON,)), f"Content-Length: {len(body)}")
    return "HTTP/1.1 {}\r\n{}\r\n\r\n".format(status, "\r\n".join(fields)).encode() + body


class Trip:
    """A client and a backend, with the plugin between them."""

    def __init__(self, talk):
        self.talk = talk

    async def start(self, **config):
        made = service(plugins=[{"name": "graphql", "config": config}])
        self.client = await self.talk.start(made, plugins=[GraphQL])
        return self

    async def ask(self, request=None):
        """Return what the backend gets."""
        return await self._do(self.client.sends(request or post()), self.talk.dialled)

    async def answer(self, *pieces):
        """Return what the client gets: status, header fields, body."""
        text = b""
        for piece in pieces:
            text += await self._do(self.talk.dialled[-1].sends(piece), [self.client])
        return read(text)

    async def _do(self, step, ends):
        step.run()
        await self.talk.settle()
        text = b""
        for end in ends:
            text += b"".join(data for what, data in end.events if what == "receives")
            end.events.clear()
        return text

    async def __call__(self, response, request=None):
        await self.ask(request)
        return await self.answer(response)


def read(text):
    """Take an answer apart."""
    head, _, body = text.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    if "Transfer-Encoding" in headers:
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole += body[: int(size, 16)]
            body = body[int(size, 16) + 2 :]
        body = whole
    elif "Content-Length" in headers:
        assert int(headers["Content-Length"]) == len(body)
    return int(line.split()[1]), headers, body


@pytest.fixture
def trip(talk):
    return Trip(talk)


def is_general(body, **beside):
    """Whether a body is the general error, with what is beside it."""
    told = json.loads(body)
    (error,) = told.pop("errors")
    extensions = error.pop("extensions")
    assert len(extensions.pop("request_id")) == 32
    assert extensions == {"code": "INTERNAL_SERVER_ERROR"}
    error.pop("path", None)
    return error == {"message": "Unexpected error."} and told == beside


async def test_an_answer_is_held_and_masked(trip):
    """In one piece or many; its length is right, and validators of what it was are gone."""
    await trip.start(**MASK)
    whole = answer(BAD, JSON, 'ETag: "1"')
    status, headers, body = await trip(whole)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert "ETag" not in headers
    assert is_general(body, data=None)
    await trip.ask()
    status, _, body = await trip.answer(*(whole[at : at + 1] for at in range(len(whole))))
    assert status == 200
    assert is_general(body, data=None)


async def test_an_answer_without_errors_stays_as_it_is(trip):
    """Bytes, length and validators."""
    await trip.start(**MASK)
    status, headers, body = await trip(answer(FINE, JSON, 'ETag: "1"'))
    assert (status, headers["ETag"], headers["Content-Length"], body) == (200, '"1"', str(len(FINE)), FINE)


async def test_what_the_backend_is_asked_for_can_be_read(trip):
    """Whole, and compressed by gzip alone, where the client takes that."""
    await trip.start(**MASK)
    asked = await trip.ask(post("Accept-Encoding: br, gzip", "Range: bytes=0-5"))
    assert b"\r\nAccept-Encoding: gzip\r\n" in asked
    assert b"Range" not in asked
    await trip.answer(answer(FINE))
    assert b"Accept-Encoding: identity\r\n" in await trip.ask(post("Accept-Encoding: br, zstd"))
    await trip.answer(answer(FINE))
    in_parts = post("Accept-Encoding: gzip", "Accept: multipart/mixed, application/json")
    assert b"Accept-Encoding: identity\r\n" in await trip.ask(in_parts)
    await trip.answer(answer(FINE))
    assert b"Accept-Encoding" not in await trip.ask()


async def test_a_compressed_answer_is_read(trip):
    """It goes through as it came where nothing is masked, and plain where something is."""
    await trip.start(**MASK)
    packed = gzip.compress(FINE)
    _, headers, body = await trip(answer(packed, JSON, "Content-Encoding: gzip"))
    assert (headers["Content-Encoding"], body) == ("gzip", packed)
    _, headers, body = await trip(answer(gzip.compress(BAD), JSON, "Content-Encoding: gzip"))
    assert "Content-Encoding" not in headers
    assert is_general(body, data=None)


@pytest.mark.parametrize(
    "response",
    [
        answer(b'{"data":"%b"}' % (b"x" * 1000)),
        answer(gzip.compress(b'{"data":"%b"}' % (b"x" * 100_000)), JSON, "Content-Encoding: gzip"),
        answer(gzip.compress(BAD)[:-4], JSON, "Content-Encoding: gzip"),
        answer(gzip.compress(BAD) * 2, JSON, "Content-Encoding: gzip"),
        answer(BAD, JSON, "Content-Encoding: gzip"),
    ],
    ids=["too-large", "bomb", "cut", "two", "no-gzip"],
)
async def test_what_cannot_be_looked_at_is_not_passed_on(trip, response):
    """The client is told that the backend's answer was no good, by an error of GraphQL."""
    await trip.start(**BIG)
    status, _, body = await trip(response)
    assert status == 502
    (error,) = json.loads(body)["errors"]
    assert (error["message"], error["extensions"]["code"]) == ("Bad Gateway", "BAD_GATEWAY")


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (answer(b"<h1>Traceback</h1>", "Content-Type: text/html", status="500 Oops"), 500),
        (answer(b"upstream went away", "Content-Type: text/plain", status="503 Oops"), 503),
        (answer(b"<h1>Log in</h1>", "Content-Type: text/html"), 502),
        (answer(b'{"stack":"at f"}', status="500 Oops"), 500),
        (answer(b"at f", status="500 Oops"), 500),
        (answer(b'"Traceback"'), 200),
        (answer(b'{"stack":"at f"}'), 200),
        (answer(b"Traceback", "X: 1"), 502),
        (answer(BAD, JSON, "Content-Encoding: br"), 502),
        (answer(BAD.decode().encode("utf-16"), "Content-Type: application/json; charset=utf-16"), 502),
        (answer(BAD, "Content-Type: application/json; charset=utf-16", status="500 Oops"), 500),
        (answer(BAD, "Content-Type: multipart/mixed", "Content-Encoding: gzip", status="500 Oops"), 500),
    ],
    ids=str,
)
async def test_what_is_no_graphql_becomes_an_error_of_it(trip, response, status, capfd):
    """With the backend's status where that says that it failed; what it was is logged, as far as it was read."""
    await trip.start(**MASK)
    got, headers, body = await trip(response)
    assert got == status
    assert "application/json" in headers["Content-Type"]
    assert is_general(body)
    assert "backend answer replaced" in capfd.readouterr().err


async def test_the_media_type_is_the_one_that_the_client_accepts(trip):
    """Of an error that takes the place of what is none."""
    await trip.start(**MASK)
    asked = post("Accept: application/graphql-response+json, application/json")
    _, headers, _ = await trip(answer(b"x", "Content-Type: text/plain", status="500 Oops"), asked)
    assert headers["Content-Type"] == "application/graphql-response+json; charset=utf-8"


async def test_failures_of_the_gateway_are_errors_of_graphql_too(trip):
    """One that could not be carried; a policy's own answers stay what they are."""
    await trip.start(**MASK)
    await trip.ask(post(body=b'{"query":"mutation { save }"}'))
    trip.talk.dialled[-1].resets().run()
    await trip.talk.settle()
    text = b"".join(data for what, data in trip.client.events if what == "receives")
    trip.client.events.clear()
    for end in trip.talk.dialled:
        end.events.clear()
    status, _, body = read(text)
    assert status == 502
    assert json.loads(body)["errors"][0]["extensions"]["code"] == "BAD_GATEWAY"


async def test_parts_are_masked_one_by_one(trip):
    """A result goes out while the next one is waited for."""
    await trip.start(**MASK)
    await trip.ask()
    kind = 'Content-Type: multipart/mixed; boundary="b"'
    part = b"\r\n--b\r\nContent-Type: application/json\r\n\r\n%b"
    head = f"HTTP/1.1 200 OK\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    def chunk(data):
        return b"%x\r\n%b\r\n" % (len(data), data)

    _, _, first = await trip.answer(head, chunk(part % FINE))
    assert FINE in first
    text = await trip._do(trip.talk.dialled[-1].sends(chunk(part % BAD)), [trip.client])
    assert SECRET.encode() not in text
    assert b"Unexpected error." in text
    text = await trip._do(trip.talk.dialled[-1].sends(chunk(b"\r\n--b--\r\n") + b"0\r\n\r\n"), [trip.client])
    assert text.endswith(b"0\r\n\r\n")


async def test_events_are_masked_one_by_one(trip):
    """The same, over SSE."""
    await trip.start(**MASK)
    stream = b"event: next\ndata: %b\n\nevent: complete\ndata:\n\n" % BAD
    _, _, body = await trip(answer(stream, "Content-Type: text/event-stream"))
    assert SECRET.encode() not in body
    assert body.endswith(b"event: complete\ndata:\n\n")


async def test_what_is_no_operation_is_left_alone(trip):
    """A page for browsers, and an answer that has not changed."""
    await trip.start(**MASK, requests={"pages": True})
    page = answer(b"<h1>GraphiQL</h1>", "Content-Type: text/html")
    status, _, body = await trip(page, b"GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n")
    assert (status, body) == (200, b"<h1>GraphiQL</h1>")
    get = b"GET /?query=%7Busers%7D HTTP/1.1\r\nHost: h\r\n\r\n"
    status, _, body = await trip(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', get)
    assert (status, body) == (304, b"")


# --- only read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, MASK], ids=["watched", "masked"])
async def test_codes_of_errors_are_noted(trip, config):
    """Of what the client is told, in a batch's as well; an answer that is only watched keeps its length."""
    await trip.start(**config)
    error = {"message": "no", "extensions": {"code": "FORBIDDEN"}}
    body = json.dumps({"errors": [error, {"message": "x"}]}).encode()
    status, headers, got = await trip(answer(body))
    assert status == 200
    assert "Content-Length" in headers
    assert config or got == body
    (exchange,) = trip.talk.log.exchanges
    assert exchange.graphql.codes == ("FORBIDDEN", "INTERNAL_SERVER_ERROR" if config else "none")


async def test_a_compressed_answer_is_watched_too(trip):
    """It goes through as it came."""
    await trip.start()
    packed = gzip.compress(BAD)
    _, headers, body = await trip(answer(packed, JSON, "Content-Encoding: gzip"))
    assert (headers["Content-Length"], body) == (str(len(packed)), packed)
    (exchange,) = trip.talk.log.exchanges
    assert exchange.graphql.codes == ("none",)


async def test_operations_are_counted_when_they_are_over(trip):
    """By name; what was refused counts with its code."""
    await trip.start()
    await trip(answer(FINE))
    await trip(answer(FINE))
    (plugin,) = [one for one in trip.talk.snapshot.plugins if one.name == "graphql"]
    (meter,) = plugin.kit.operations.meters.values()
    assert (meter.route, meter.type, meter.name, meter.requests) == ("r", "query", "Users", 2)
    assert [one.hits for one in plugin.kit.operations.kinds.values()] == [1]
