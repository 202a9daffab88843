"""Phases: which instance of a plugin runs, in what order, and what comes of a phase that waits or fails."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import ClassVar

import pytest
from conversation import GET, OK, UP, error, service

from proxyd.exchange import Client, Exchange, Reply
from proxyd.gateway import pipeline
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Consumer
from proxyd.plugin import Config, Plugin, Scope

ALICE, BOB = (Consumer(id=name, username=name) for name in ("alice", "bob"))

FAILED = error(500, b"Internal Server Error", b"An unexpected error occurred")


class NoConfig(Config):
    """Nothing to set."""


class Noting(Plugin[NoConfig]):
    """Notes its scope in each phase that it is called in."""

    name = "noting"
    priority = 10

    def access(self, exchange):
        exchange.context = (exchange.context or {}) | {self.name: str(self.scope)}

    def header_filter(self, exchange, status, headers):
        headers.set(b"X-Scope", str(self.scope).encode())

    def body_filter(self, exchange, data, last):
        return data + (f"[{self.scope}]".encode() if last else b"")


class Early(Noting):
    name = "early"
    priority = 1000


class Late(Noting):
    name = "late"
    priority = 1


class Twin(Noting):
    name = "twin"
    priority = 10


def exchange(consumer=None):
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    one = Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)
    one.consumer = consumer
    return one


def instances(*scopes, kind=Noting):
    return [kind(NoConfig(), f"{kind.name}{number}", scope) for number, scope in enumerate(scopes)]


def ran(plugins, consumer=None):
    """Run the access phases for route ``r`` of service ``s``; return the scope that noting ran with."""
    one = exchange(consumer)
    for phase in pipeline.build(plugins, "r", "s").request:
        assert phase(one) is None
    return (one.context or {}).get("noting")


# --- scopes --------------------------------------------------------------------------------------------------

R, S, C = {"route": "r"}, {"service": "s"}, {"consumer": "alice"}
# Kong's order of precedence, the most specific first.
ORDER = [
    Scope(**R, **S, **C),
    Scope(**R, **C),
    Scope(**S, **C),
    Scope(**R, **S),
    Scope(**C),
    Scope(**R),
    Scope(**S),
    Scope(),
]


def test_scopes_have_names():
    """The order as documentation and ``proxyd explain`` write it."""
    assert [str(scope) for scope in ORDER] == [
        "route+service+consumer",
        "route+consumer",
        "service+consumer",
        "route+service",
        "consumer",
        "route",
        "service",
        "global",
    ]
    assert [pipeline.rank(plugin) for plugin in instances(*ORDER)] == list(range(8))


@pytest.mark.parametrize("left", range(8))
@pytest.mark.parametrize("reverse", [False, True], ids=["most specific first", "last"])
def test_the_most_specific_instance_runs(left, reverse):
    """With the first so many scopes left out, in whatever order the file has the others, the next one runs."""
    scopes = ORDER[left:]
    plugins = instances(*(reversed(scopes) if reverse else scopes))
    assert ran(plugins, ALICE) == str(scopes[0])
    without_consumer = [scope for scope in scopes if scope.consumer is None]
    assert ran(plugins) == str(without_consumer[0])
    assert ran(plugins, BOB) == str(without_consumer[0])


@pytest.mark.parametrize(("better", "worse"), list(itertools.combinations(ORDER, 2)), ids=str)
def test_of_two_instances_the_more_specific_runs(better, worse):
    """Every pair of the eight."""
    assert ran(instances(worse, better), ALICE) == str(better)


@pytest.mark.parametrize(
    "scope",
    [Scope(route="other"), Scope(service="other"), Scope(route="r", service="other"), Scope(route="other", consumer="alice")],
    ids=str,
)  # fmt: skip
def test_what_is_of_another_route_or_service_does_not_run(scope):
    """However specific it is."""
    assert ran(instances(scope), ALICE) is None
    assert ran(instances(scope, Scope()), ALICE) == "global"


def test_without_its_consumer_nothing_runs():
    """An instance for one consumer alone leaves the others alone, in each phase."""
    built = pipeline.build(instances(Scope(consumer="alice")), "r", "s")
    for consumer in (None, BOB):
        one, headers = exchange(consumer), Headers()
        assert [phase(one) for phase in built.request] == [None]
        built.header_filter[0](one, 200, headers)
        assert ("noting" in one.context, headers.encode()) == (False, b"")
        assert built.body_filter[0](one, b"data", True) == b"data"
    one, headers = exchange(ALICE), Headers()
    built.header_filter[0](one, 200, headers)
    assert headers.encode() == b"X-Scope: consumer\r\n"
    assert built.body_filter[0](one, b"data", True) == b"data[consumer]"


# --- order ---------------------------------------------------------------------------------------------------


def test_the_higher_priority_runs_first():
    """Whatever the order of the file and the scopes; of equals, the later in the alphabet, as in Kong."""
    one = exchange()
    built = pipeline.build(
        [
            *instances(Scope(), kind=Late),
            *instances(Scope(), kind=Twin),
            *instances(Scope(route="r"), kind=Noting),
            *instances(Scope(service="s"), kind=Early),
        ],
        "r",
        "s",
    )
    for phase in built.request:
        phase(one)
    assert list(one.context) == ["early", "twin", "noting", "late"]
    assert built.body_filter[0](one, b"", True) == b"[service]"


class Direct(Noting):
    """One whose access phase only hands on."""

    name = "direct"

    def prepare(self):
        self.called = []
        self.direct = {"access": self.called.append}

    def access(self, exchange):
        raise AssertionError("nothing is to stand between")


def test_what_a_phase_only_hands_on_to_is_called_itself():
    """For all, and for one consumer."""
    for scope in (Scope(), Scope(consumer="alice")):
        (plugin,) = instances(scope, kind=Direct)
        one = exchange(ALICE)
        for phase in pipeline.build([plugin], "r", "s").request:
            phase(one)
        assert plugin.called == [one]


def test_only_what_is_defined_is_called():
    """A phase that no plugin has costs nothing."""
    built = pipeline.build(instances(Scope()), "r", "s")
    assert tuple(map(len, (built.request, built.header_filter, built.body_filter, built.log))) == (1, 1, 1, 0)
    assert pipeline.build([], "r", "s") == pipeline.Pipeline()


# --- in a gateway --------------------------------------------------------------------------------------------


IDS = {"alice": str(uuid.UUID(int=1)), "bob": str(uuid.UUID(int=2))}


class Auth(Plugin[NoConfig]):
    """Takes the user that X-User names for the consumer."""

    name = "fake-auth"
    priority = 1000
    waits: ClassVar = False

    def access(self, exchange):
        if self.waits:
            return self._find(exchange)
        return self._now(exchange)

    async def _find(self, exchange):
        await asyncio.sleep(0)
        return self._now(exchange)

    def _now(self, exchange):
        name = (exchange.headers.get(b"x-user") or b"").decode()
        if name not in IDS:
            return Reply(401, "Unauthorized")
        exchange.consumer = Consumer(id=IDS[name], username=name)
        return None


class SlowAuth(Auth):
    name = "slow-auth"
    waits = True


class Broken(Plugin[NoConfig]):
    """Fails in the phase that the test names, before it or while it waits."""

    name = "broken"
    priority = 5
    phase: ClassVar = ""

    def _fail(self, phase):
        if self.phase == phase:
            raise ZeroDivisionError(phase)

    async def _wait(self):
        await asyncio.sleep(0)
        self._fail("waiting")

    def rewrite(self, exchange):
        self._fail("rewrite")

    def access(self, exchange):
        self._fail("access")
        return self._wait() if self.phase == "waiting" else None

    def header_filter(self, exchange, status, headers):
        headers.set(b"X-Filtered", b"1")
        self._fail("header_filter")

    def body_filter(self, exchange, data, last):
        self._fail("body_filter")
        if last:
            self._fail("last")
        return data.replace(b"h", b"H")

    def log(self, exchange):
        self._fail("log")


@pytest.fixture
def broken(monkeypatch, capfd):
    """Say which phase is broken; what is logged of it goes to the test's standard error."""

    def say(phase):
        monkeypatch.setattr(Broken, "phase", phase)

    return say


def plugged(*plugins):
    config = service(plugins=[{"name": name} if isinstance(name, str) else name for name in plugins])
    config["consumers"] = [{"id": identity, "username": name} for name, identity in IDS.items()]
    return config


@pytest.mark.parametrize("auth", [Auth, SlowAuth])
@pytest.mark.parametrize(
    ("user", "id_header"), [(b"alice", b"X-Alice"), (b"bob", b"X-All")], ids=["her own", "everybody's"]
)
async def test_the_consumer_decides_once_it_is_known(talk, auth, user, id_header):
    """An instance of a consumer runs in phases behind authentication, which may have waited."""
    config = plugged(auth.name, {"name": "noting"})
    config["plugins"] = [
        {"name": "noting", "consumer": "alice"},
    ]
    client = await talk.start(config, plugins=[auth, Noting])
    asked = GET[:-2] + b"X-User: %b\r\n\r\n" % user
    scope = b"consumer" if id_header == b"X-Alice" else b"service"
    await talk(
        client.sends(asked),
        talk.upstream.receives(UP[:-2] + b"X-User: %b\r\n\r\n" % user),
        talk.upstream.sends(OK),
        client.receives(
            b"HTTP/1.1 200 OK\r\nX-Scope: %b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n" % scope,
            b"%x\r\n[%b]\r\n0\r\n\r\n" % (len(scope) + 2, scope),
        ),
        talk.logged("GET / 200"),
    )


@pytest.mark.parametrize("auth", [Auth, SlowAuth])
async def test_who_is_not_known_goes_no_further(talk, auth, broken):
    """The first reply ends the request, whether it was waited for or not; later plugins do not see it."""
    broken("access")
    client = await talk.start(plugged(auth.name, "broken"), plugins=[auth, Broken])
    client.transport.incoming(client.protocol.data_received, GET)
    await talk.settle()
    ((_, answer),) = client.events
    client.events.clear()
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"X-Filtered: 1\r\n" in answer  # filters see the gateway's own answers too
    await talk(client.says("<Downstream idle requests=1>"), talk.logged("GET / 401"))
    assert talk.dialled == []


async def test_a_client_that_goes_away_while_a_phase_waits(talk):
    """The phase is cancelled, the exchange logged as 499, and nothing forwarded."""

    class Stuck(Plugin[NoConfig]):
        name = "stuck"
        priority = 5
        cancelled = False

        def access(self, exchange):
            return self._wait()

        async def _wait(self):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                Stuck.cancelled = True
                raise

    client = await talk.start(plugged("stuck"), plugins=[Stuck])
    await talk(client.sends(GET), client.closes(), talk.logged("GET / 499 aborted"))
    assert (Stuck.cancelled, talk.dialled, repr(talk.tasks)) == (True, [], "<Tasks running=0>")


# --- phases that fail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["rewrite", "access", "waiting"])
async def test_a_request_whose_phase_fails_is_not_forwarded(talk, broken, phase):
    """A lock that breaks stays locked: 500, one line in the log, and nothing sent to the upstream."""
    broken(phase)
    client = await talk.start(plugged("broken"), plugins=[Broken])
    await talk(
        client.sends(GET),
        client.receives(FAILED.replace(b"Content-Length", b"X-Filtered: 1\r\nContent-Length")),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 500"),
    )
    assert talk.dialled == []


@pytest.mark.parametrize("upgrade", [False, True], ids=["an answer", "a switch"])
async def test_an_answer_whose_filter_fails_is_not_passed_on(talk, broken, upgrade):
    """What the filter was to take out stays in: 500, and the upstream's connection is cut."""
    broken("header_filter")
    client = await talk.start(plugged("broken"), plugins=[Broken])
    switch = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    client.transport.incoming(client.protocol.data_received, GET[:-2] + switch if upgrade else GET)
    await talk.settle()
    talk.dialled[0].events.clear()
    await talk(
        talk.upstream.sends(answer if upgrade else OK.replace(b"OK\r\n", b"OK\r\nSecret: x\r\n")),
        talk.upstream.is_aborted(),
        client.receives(FAILED.replace(b"Content-Length", b"X-Filtered: 1\r\nContent-Length")),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 500 internal"),
        talk.pooled("<Pool 10.0.0.1:80 open=0 idle=0>"),
    )


async def test_an_answer_whose_body_cannot_be_filtered_is_cut(talk, broken):
    """A body that is not filtered must not get through, and its head is out already."""
    client = await talk.start(plugged("broken"), plugins=[Broken])
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK[:-1]),
        client.receives(b"HTTP/1.1 200 OK\r\nX-Filtered: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nH\r\n"),
    )
    broken("body_filter")
    await talk(
        talk.upstream.sends(b"i"),
        talk.upstream.is_aborted(),
        client.is_aborted(),
        talk.logged("GET / 200 internal aborted"),
    )


async def test_an_answer_whose_end_cannot_be_filtered_is_cut(talk, broken):
    """The upstream's connection is fine; the client's answer is not complete, and what came with its end is not sent."""
    broken("last")
    client = await talk.start(plugged("broken"), plugins=[Broken])
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.is_aborted(),
        talk.logged("GET / 200 internal aborted"),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
    )


async def test_a_log_phase_that_fails_harms_nothing(talk, broken):
    """The answer, the record and the connection are as they would be without it."""
    broken("log")
    client = await talk.start(plugged("broken"), plugins=[Broken])
    for _ in range(2):
        await talk(
            client.sends(GET),
            talk.upstream.receives(UP),
            talk.upstream.sends(OK),
            client.receives(
                b"HTTP/1.1 200 OK\r\nX-Filtered: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHi\r\n0\r\n\r\n"
            ),
            talk.logged("GET / 200"),
        )


# --- phases that read the body -------------------------------------------------------------------------------


class Reader(Plugin[NoConfig]):
    """Reads the whole body, up to ten bytes."""

    name = "reader"
    priority = 5

    def access(self, exchange):
        return self._read(exchange)

    async def _read(self, exchange):
        body = await exchange.body.read(10)
        exchange.headers.set(b"X-Size", b"%d" % len(body))


POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
POST_UP = b"POST / HTTP/1.1\r\nHost: 10.0.0.1\r\n"


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: 1\r\n\r\n"],
)
async def test_a_body_that_was_read_goes_up_with_its_length(talk, body):
    """Whole, and without the framing and the trailers that it came with."""
    client = await talk.start(plugged("reader"), plugins=[Reader])
    await talk(
        client.sends(*[(POST + body)[at : at + 1] for at in range(len(POST + body))]),
        talk.upstream.receives(POST_UP + b"X-Size: 5\r\nContent-Length: 5\r\n\r\nhello")
        if b"chunked" in body
        else talk.upstream.receives(POST_UP + b"Content-Length: 5\r\nX-Size: 5\r\n\r\nhello"),
        talk.upstream.sends(OK),
        client.receives(OK),
        client.says("<Downstream idle requests=1>"),
    )


class Looker(Plugin[NoConfig]):
    """Reads the whole body, and changes nothing."""

    name = "looker"
    priority = 5

    def access(self, exchange):
        return self._read(exchange)

    async def _read(self, exchange):
        await exchange.body.read(10)


async def test_a_body_that_was_only_read_goes_up_with_the_head_that_came(talk):
    """As it was written, one of its own length included."""
    client = await talk.start(plugged("looker"), plugins=[Looker])
    await talk(
        client.sends(POST + b"content-length: 5\r\nX-A:1\r\n\r\nhello"),
        talk.upstream.receives(POST_UP + b"content-length: 5\r\nX-A:1\r\n\r\nhello"),
    )


async def test_no_body_is_read_as_an_empty_one(talk):
    """A request without a body waits for nothing."""
    client = await talk.start(plugged("reader"), plugins=[Reader])
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP[:-2] + b"X-Size: 0\r\nContent-Length: 0\r\n\r\n"),
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"Content-Length: 11\r\n\r\nhello world", b"413 Content Too Large"),
        (b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n", b"413 Content Too Large"),
        (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", b"400 Bad Request"),
    ],
)
async def test_a_body_that_cannot_be_read_is_the_clients_fault(talk, body, status):
    """Too large for the plugin, or malformed: its status, and no 500."""
    client = await talk.start(plugged("reader"), plugins=[Reader])
    client.transport.incoming(client.protocol.data_received, POST + body)
    await talk.settle()
    assert client.events[0][1].startswith(b"HTTP/1.1 " + status)
    assert (len(talk.log.exchanges), talk.dialled) == (1, [])


async def test_a_body_that_stops_while_a_plugin_reads_it_is_late(talk):
    """408, as where nobody reads along."""
    client = await talk.start(plugged("reader"), plugins=[Reader], client_body_timeout=20.0)
    await talk(
        client.sends(POST + b"Content-Length: 5\r\n\r\nhe"),
        talk.passes(20.2),
        client.receives(error(408, b"Request Timeout", b"Request timeout", b"Connection: close")),
        client.is_ended(),
        talk.logged("POST / 408 body not complete in time"),
        client.closes(),
    )
