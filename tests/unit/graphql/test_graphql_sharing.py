"""Queries that are the same are asked once, and nobody gets what is another's."""

from __future__ import annotations

import json

import pytest
from conversation import service

from proxyd.plugins.graphql import GraphQL

QUERY = {"query": "query Users { users }"}
BODY = b'{"data":{"users":[]}}'
JSON = b"Content-Type: application/json"


def post(asked=QUERY, *lines, target=b"/", host=b"h"):
    body = json.dumps(asked).encode()
    fields = (b"Host: " + host, JSON, *lines, b"Content-Length: %d" % len(body))
    return b"POST %b HTTP/1.1\r\n%b\r\n\r\n%b" % (target, b"\r\n".join(fields), body)


def ups(asked=QUERY, *lines, target=b"/"):
    return post(asked, *lines, target=target, host=b"10.0.0.1")


def answer(body=BODY, *lines, status=b"200 OK"):
    fields = (JSON, *lines, b"Content-Length: %d" % len(body))
    return b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, b"\r\n".join(fields), body)


class Crowd:
    """Several clients and their backend."""

    def __init__(self, talk):
        self.talk = talk

    async def start(self, count, **config):
        same = {"queries": True, **config.pop("deduplication", {})}
        shared = {"deduplication": same, "limits": {"max_batch": 5}, **config}
        made = service(plugins=[{"name": "graphql", "config": shared}])
        self.clients = [await self.talk.start(made, plugins=[GraphQL])]
        for _ in range(count - 1):
            self.clients.append(self.talk.client())
        return self

    async def do(self, *steps):
        for step in steps:
            step.run()
            await self.talk.settle()

    async def ask(self, *requests):
        """Have each client send one of these, or the first of them."""
        for client, request in zip(self.clients, requests or [post()] * len(self.clients), strict=True):
            await self.do(client.sends(request))

    def asked(self):
        """Return how many requests have come to the backend."""
        return sum(data.count(b" HTTP/1.1\r\n") for end in self.talk.dialled for what, data in end.events)

    def heard(self, client):
        """Return what a client has received."""
        return b"".join(data for what, data in client.events if what == "receives")

    @property
    def shares(self):
        (plugin,) = [one for one in self.talk.snapshot.plugins if one.name == "graphql"]
        return sum(plugin.kit.operations.shared.values())


@pytest.fixture
def crowd(talk):
    yield Crowd(talk)
    for end in (*talk.clients, *talk.dialled):
        end.events.clear()


async def test_the_backend_is_asked_once_and_all_have_the_answer(crowd):
    """Each as its own, with one length; the next one asks anew."""
    await crowd.start(3)
    await crowd.ask()
    assert crowd.asked() == 1
    await crowd.do(crowd.talk.dialled[0].sends(answer(BODY, b"X-Backend: 1", b"Date: then", b"Server: b")))
    for client in crowd.clients:
        heard = crowd.heard(client)
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
        assert heard.endswith(b"\r\n\r\n" + BODY)
        assert heard.count(b"Content-Length: ") == heard.count(b"Date: ") == heard.count(b"X-Backend: 1") == 1
        assert b"Server: b" not in heard
    assert crowd.shares == 2
    assert crowd.talk.log.lines == ["POST / 200"] * 3
    assert [one.response.status for one in crowd.talk.log.exchanges] == [200] * 3
    await crowd.ask()
    assert crowd.asked() == 2


@pytest.mark.parametrize(
    "other",
    [
        post({"query": "query Users { users { id } }"}),
        post({**QUERY, "variables": {"a": 1}}),
        post(QUERY, b"Authorization: Bearer other"),
        post(QUERY, b"Cookie: session=other"),
        post(QUERY, b"X-Tenant: other"),
        post(QUERY, b"Accept-Language: de"),
        post(QUERY, target=b"/?a=1"),
        post(QUERY, target=b"/other"),
        post(QUERY, host=b"other"),
        post([QUERY, QUERY]),
        post(QUERY, b"Accept: text/event-stream"),
        post({"query": "mutation { save }"}),
    ],
    ids=str,
)
async def test_what_differs_is_not_shared(crowd, other):
    """In anything that the backend might look at."""
    await crowd.start(2)
    await crowd.ask(post(), other)
    assert crowd.asked() == 2


@pytest.mark.parametrize(
    "asked", [{"query": "mutation { save }"}, [QUERY, QUERY], {"query": "subscription { a }"}]
)
async def test_only_single_queries_are_shared(crowd, asked):
    """Mutations that are the same are each carried out."""
    await crowd.start(2)
    await crowd.ask(post(asked), post(asked))
    assert crowd.asked() == 2


async def test_header_fields_may_be_left_out_of_it(crowd):
    """Ids of requests, and what is listed; credentials never."""
    await crowd.start(
        4, deduplication={"ignored_headers": ["X-Request-Id", "Authorization", "Content-Length"]}
    )
    await crowd.ask(
        post(QUERY, b"X-Request-ID: 1"),
        post(QUERY, b"x-request-id: 2"),
        post(QUERY, b"Authorization: Bearer a"),
        post(QUERY, b"Authorization: Bearer b"),
    )
    assert crowd.asked() == 3


async def test_callers_from_elsewhere_are_others(crowd):
    """Where nobody has said who they are, the address does."""
    await crowd.start(1)
    crowd.clients.append(crowd.talk.client(peername=("192.0.2.77", 4000)))
    await crowd.ask(post(), post())
    assert crowd.asked() == 2


async def test_a_client_that_leaves_takes_nobody_with_it(crowd):
    """Not even the first; when all have left, the backend is left too."""
    await crowd.start(3)
    await crowd.ask()
    await crowd.do(crowd.clients[0].resets())
    await crowd.do(crowd.talk.dialled[0].sends(answer()))
    assert [crowd.heard(client).endswith(BODY) for client in crowd.clients[1:]] == [True, True]
    assert crowd.shares == 2
    await crowd.do(crowd.clients[1].sends(post()), crowd.clients[2].sends(post()))
    await crowd.do(crowd.clients[1].resets(), crowd.clients[2].resets())
    assert "is_aborted" in [what for end in crowd.talk.dialled for what, _ in end.events]
    assert crowd.shares == 2
    assert [one.status for one in crowd.talk.log.exchanges] == [499, 200, 200, 499, 499]


@pytest.mark.parametrize(
    "response",
    [
        answer(b'{"data":"%b"}' % (b"x" * 2000)),
        answer(BODY, b"Set-Cookie: id=1"),
        answer(BODY, b"Vary: *"),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
    ],
    ids=["large", "cookie", "vary", "text"],
)
async def test_an_answer_that_is_not_for_all_is_asked_for_by_each(crowd, response):
    """They go their own way then, as without this."""
    await crowd.start(2, deduplication={"max_size": 1000})
    await crowd.ask()
    assert crowd.asked() == 1
    await crowd.do(crowd.talk.dialled[0].sends(response))
    assert crowd.asked() == 3
    for end in crowd.talk.dialled[1:]:
        await crowd.do(end.sends(response))
    body = response.partition(b"\r\n\r\n")[2]
    assert [crowd.heard(client).endswith(body) for client in crowd.clients] == [True, True]
    assert crowd.shares == 0
    assert crowd.talk.log.lines == ["POST / 200"] * 2


@pytest.mark.parametrize("mask", [False, True])
async def test_failures_are_shared(crowd, mask):
    """Nobody asks again for what has just failed."""
    await crowd.start(2, errors={"mask": mask}, retries={"queries": False})
    await crowd.ask()
    await crowd.do(crowd.talk.dialled[0].resets())
    for client in crowd.clients:
        heard = crowd.heard(client)
        assert heard.startswith(b"HTTP/1.1 502 ")
        assert (b'"code":"BAD_GATEWAY"' in heard) is mask
    assert crowd.asked() == 1
    assert crowd.shares == 1


async def test_a_shared_answer_is_masked_for_each(crowd):
    """With each one's own id; the codes are noted."""
    await crowd.start(2, errors={"mask": True})
    await crowd.ask()
    await crowd.do(crowd.talk.dialled[0].sends(answer(b'{"errors":[{"message":"relation"}]}')))
    ids = set()
    for client in crowd.clients:
        body = json.loads(crowd.heard(client).partition(b"\r\n\r\n")[2])
        assert body["errors"][0]["message"] == "Unexpected error."
        ids.add(body["errors"][0]["extensions"]["request_id"])
    assert len(ids) == 2
    assert [one.graphql.codes for one in crowd.talk.log.exchanges] == [("INTERNAL_SERVER_ERROR",)] * 2


async def test_what_cannot_be_read_is_not_shared_unmasked(crowd):
    """Neither compressed otherwise nor larger than what is looked at."""
    await crowd.start(2, errors={"mask": True, "max_size": 100})
    await crowd.ask()
    await crowd.do(
        crowd.talk.dialled[0].sends(answer(b'{"errors":[{"message":"%b"}]}' % (b"relation" * 100)))
    )
    assert all(b"relation" not in crowd.heard(client) for client in crowd.clients)
    assert all(crowd.heard(client).startswith(b"HTTP/1.1 502 ") for client in crowd.clients)


async def test_a_query_by_get_is_shared_too(crowd):
    """It has no body to tell it by."""
    await crowd.start(2)
    get = b"GET /?query=%7Busers%7D HTTP/1.1\r\nHost: h\r\n\r\n"
    await crowd.ask(get, get)
    assert crowd.asked() == 1
    await crowd.do(crowd.talk.dialled[0].sends(answer()))
    assert all(crowd.heard(client).endswith(BODY) for client in crowd.clients)


async def test_a_head_is_forwarded(crowd):
    """There is no body to be masked, and what its answer says of one is not of an empty body."""
    await crowd.start(2, errors={"mask": True})
    asked = b"HEAD /?query=%7B%20users%20%7D HTTP/1.1\r\nHost: h\r\n\r\n"
    await crowd.ask(asked, asked)
    head = answer().partition(b"{")[0]
    for end in crowd.talk.dialled:
        await crowd.do(end.sends(head))
    for client in crowd.clients:
        assert crowd.heard(client).startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Length: 138\r\n" not in crowd.heard(client)
    assert (crowd.asked(), crowd.shares) == (2, 0)
