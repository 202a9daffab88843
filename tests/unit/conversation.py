"""Conversations: a whole gateway between ends that a test speaks for, in a time that the test sets.

Everything between the two transports is real: connections, codec, handler, plugins, forwarder, relay, pool.
Faked are the transports, the dialling and the clock. A test is a script::

    await talk(
        client.sends(GET),
        upstream.receives(UP),
        upstream.sends(OK),
        client.receives(OK),
    )

What either end receives must be exactly what the script says, all of it; otherwise the failure is the
transcript up to there, and the difference. The lines in which the gateway tells of itself (``X-Forwarded-For``,
``Via``, ``Date``...) are left out of it and request ids read ``<id>``: other tests are about those.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from proxyd.clock import Clock, DeadlineWheel
from proxyd.downstream.listener import Connections
from proxyd.downstream.protocol import Downstream
from proxyd.gateway.asking import Asker, Services
from proxyd.gateway.forward import Forwarder
from proxyd.gateway.forwarded import RealIP, TrustedIPs
from proxyd.gateway.handler import Handler
from proxyd.gateway.marks import Marks
from proxyd.gateway.snapshot import compile_snapshot, instantiate
from proxyd.gateway.tasks import Tasks
from proxyd.model.load import load_text
from proxyd.plugin import Kit
from proxyd.plugins import BY_NAME
from proxyd.process import assemble
from proxyd.telemetry.record import Telemetry
from proxyd.upstream.factory import build_balancers
from proxyd.upstream.pool import Pool, PoolLimits
from proxyd.upstream.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 12  # of the loop, in which everything that waits for nothing has happened
SHOWN = 1000  # characters of each step before the one that failed
HANGS = object()  # a dial that never comes to an end

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
UP = b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"  # the same, as the upstream gets it
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NO_ROUTE = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 103\r\n\r\n"
    b'{\n  "message":"no Route matched with those values",\n  "request_id":"<id>"\n}'
)


def service(**more):
    """Make a configuration of one service with one route for everything."""
    one = {"name": "s", "url": "http://10.0.0.1", "routes": [{"name": "r", "paths": ["/"]}], **more}
    return {"_format_version": "3.0", "services": [one]}


def error(status, reason, message, *more):
    """Make the answer with which the gateway reports a fault."""
    body = b"%b\nrequest_id: <id>\n" % message
    head = [b"Content-Type: text/plain; charset=utf-8", b"Content-Length: %d" % (len(body) + 28), *more]
    lines = b"".join(b"%b\r\n" % line for line in head)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, lines, body)


# --- time ----------------------------------------------------------------------------------------------------


class FakeClock(Clock):
    """Stands still until the test moves it."""

    START = 1000.0

    def __init__(self):
        self.value = self.START

    def now(self):
        return self.value

    def time(self):
        return self.value + 1_700_000_000.0


class FakeLoop:
    """The timers of a loop, run when their time has come."""

    def __init__(self, clock):
        self.timers = []
        self._clock = clock

    def call_later(self, delay, callback):
        timer = Timer(self, self._clock.value + delay, callback)
        self.timers.append(timer)
        return timer

    def run_due(self):
        """Run what is due by now, as after a lag."""
        for timer in [timer for timer in self.timers if timer.when <= self._clock.value]:
            if timer in self.timers:
                self.timers.remove(timer)
                timer.callback()

    def advance(self, seconds):
        """Let time pass, one timer after the other."""
        until = self._clock.value + seconds
        while self.timers:
            timer = min(self.timers, key=lambda timer: timer.when)
            if timer.when > until:
                break
            self.timers.remove(timer)
            self._clock.value = max(self._clock.value, timer.when)
            timer.callback()
        self._clock.value = until


@dataclass(eq=False)
class Timer:
    loop: FakeLoop
    when: float
    callback: Callable[[], None]

    def cancel(self):
        if self in self.loop.timers:
            self.loop.timers.remove(self)


# --- ends ----------------------------------------------------------------------------------------------------


class Transport:
    """What stands between a protocol and its end: keeps what is written, and obeys pausing."""

    def __init__(self, end, extra):
        self.end = end
        self.paused = False
        self.closing = False
        self.blocked = False  # the other side takes nothing
        self.choking = False  # nor will it from the next write on
        self.lost = False
        self.waiting = []  # what came while reading was paused
        self._extra = extra
        self._sockets = ()

    # Called by the protocol.

    def write(self, data):
        assert isinstance(data, bytes)
        if not self.lost:
            self.end.observe("receives", data)
            if self.choking:
                self.choking, self.blocked = False, True
                self.end.protocol.pause_writing()

    def write_eof(self):
        self.end.observe("is_ended")

    def can_write_eof(self):
        return self._extra.get("ssl_object") is None

    def close(self):
        if not self.closing:
            self.closing = True
            self.end.observe("is_closed")
            self.flushed()

    def abort(self):
        if self.end.events[-1:] == [("is_closed", b"")]:
            self.end.events.pop()
        elif self.lost:
            return
        self.end.observe("is_aborted")
        self.closing, self.blocked = True, False
        self.flushed()

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        assert not self.paused, "paused twice"
        self.paused = True

    def resume_reading(self):
        assert self.paused, "resumed without a pause"
        self.paused = False
        asyncio.get_running_loop().call_soon(self._deliver)

    def get_extra_info(self, name, default=None):
        if name == "socket" and not self._sockets:
            self._sockets = socket.socketpair()
        return self._sockets[0] if name == "socket" else self._extra.get(name, default)

    # Called by the end.

    def flushed(self):
        """Go away, once everything is out."""
        if self.closing and not self.blocked and not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.end.protocol.connection_lost, None)

    def incoming(self, what, *arguments):
        self.waiting.append((what, arguments))
        self._deliver()

    def _deliver(self):
        while self.waiting and not self.paused and not self.closing:
            what, arguments = self.waiting.pop(0)
            try:
                what(*arguments)
            except Exception as failure:  # noqa: BLE001  # as a loop does: what a protocol raises ends its connection
                self.end.talk.crashes.append(failure)
                self.lose(failure)

    def lose(self, reason):
        if not self.lost:
            self.closing = self.lost = True
            self.end.protocol.connection_lost(reason)

    def wake(self):
        """Make the socket readable, as an end of stream does that nobody has read yet."""
        self.get_extra_info("socket")
        self._sockets[1].send(b"x")

    def dispose(self):
        for one in self._sockets:
            one.close()


class End:
    """One side of a connection, for which the test speaks. Each method is a step of a script."""

    def __init__(self, talk, name):
        self.talk = talk
        self.name = name
        self.events = []  # what the gateway did to it and no step has claimed yet
        self.protocol: Any = None
        self.transport: Any = None

    def connect(self, protocol, **extra):
        self.protocol = protocol
        self.transport = Transport(self, extra)
        protocol.connection_made(self.transport)
        return self

    def observe(self, what, data=b""):
        if what == "receives" and self.events and self.events[-1][0] == "receives":
            data = self.events.pop()[1] + data
        self.events.append((what, data))

    # --- what the end does

    def sends(self, *data):
        """Send bytes, each piece on its own."""

        def do():
            for piece in data:
                self.transport.incoming(self.protocol.data_received, piece)

        return self._act("sends", do, b"".join(data))

    def closes(self):
        """End the stream of bytes."""

        def eof():
            if not self.protocol.eof_received():
                self.transport.closing = True
                self.transport.flushed()

        return self._act("closes", lambda: self.transport.incoming(eof))

    def resets(self):
        """Reset the connection."""
        return self._act(
            "resets", lambda: self.transport.lose(ConnectionResetError(104, "Connection reset by peer"))
        )

    def slows(self):
        """Take nothing more for now."""

        def do():
            self.transport.blocked = True
            self.protocol.pause_writing()

        return self._act("slows", do)

    def chokes(self):
        """Take nothing more once the next bytes have come."""

        def do():
            self.transport.choking = True

        return self._act("chokes", do)

    def reads(self):
        """Take everything again."""

        def do():
            self.transport.blocked = False
            if not self.transport.lost:
                self.protocol.resume_writing()
                self.transport.flushed()

        return self._act("reads", do)

    def wakes(self):
        """Have something to read in the kernel."""

        def do():
            self.transport.wake()

        return self._act("wakes", do)

    # --- what must have happened to it

    def receives(self, *data):
        """Have received exactly this since it was last asked."""
        return self._expect("receives", b"".join(data))

    def is_closed(self):
        """Have been closed, behind what was written."""
        return self._expect("is_closed")

    def is_aborted(self):
        """Have been cut."""
        return self._expect("is_aborted")

    def is_ended(self):
        """Have been sent the end of the stream."""
        return self._expect("is_ended")

    def hears_nothing(self):
        """Have had nothing done to it."""
        return Step(f"{self.name} hears nothing", lambda: self._line(*self.events[0]) if self.events else "")

    def is_held(self):
        """Not be read from for now."""
        return Step(f"{self.name} is held", lambda: "" if self.transport.paused else f"{self.name} is read")

    def is_read(self):
        """Be read from."""
        return Step(f"{self.name} is read", lambda: f"{self.name} is held" if self.transport.paused else "")

    def says(self, state):
        """Have a protocol that shows this state."""
        return Step(
            f"{self.name}'s connection is {state}",
            lambda: "" if repr(self.protocol) == state else f"{self.name}'s connection is {self.protocol!r}",
        )

    def _act(self, what, do, data=b""):
        return Step(self._line(what, data), do)

    def _expect(self, what, data=b""):
        wanted = self._line(what, data)

        def check():
            if not self.events:
                return f"{self.name} hears nothing"
            seen = self._line(*self.events.pop(0))
            return "" if seen == wanted else seen

        return Step(wanted, check)

    def _line(self, what, data=b""):
        lines = [f"    {line!r}" for line in plain(data).splitlines(keepends=True)]
        return "\n".join([f"{self.name} {what.replace('_', ' ')}", *lines])


_NOISE = re.compile(rb"(?m)^(?:X-Forwarded-\w+|X-Real-IP|Via|Date): [^\r]*\r\n")
_ID = re.compile(rb"\b[0-9a-f]{32}\b")


def plain(data):
    """Leave out what the gateway says of itself."""
    return _ID.sub(b"<id>", _NOISE.sub(b"", data))


@dataclass
class Step:
    """A line of the script; ``run`` does it, and returns what was seen in its place if it was not so."""

    line: str
    run: Callable[[], str | None]


class Upstreams:
    """``upstream`` of a script: the connection dialled last, or ``upstream[n]``, by the time of the step."""

    def __init__(self, talk):
        self._talk = talk

    def __getitem__(self, number):
        return Later(self._talk, number)

    def __getattr__(self, step):
        return getattr(Later(self._talk, 0), step)


class Later:
    """A connection that may not have been dialled yet when the script is written."""

    def __init__(self, talk, number):
        self._talk = talk
        self._number = number

    def __getattr__(self, step):
        def make(*arguments):
            named = getattr(End(self._talk, f"upstream[{self._number}]"), step)(*arguments)

            def run():
                dialled = self._talk.dialled
                if len(dialled) <= self._number:
                    return f"upstream[{self._number}] was not dialled"
                return getattr(dialled[self._number], step)(*arguments).run()

            return Step(named.line, run)

        return make


# --- the gateway between them --------------------------------------------------------------------------------


class AccessLog:
    """Keeps the exchanges that are over, as lines."""

    dropped = 0

    def __init__(self):
        self.exchanges = []

    def note(self, exchange):
        self.exchanges.append(exchange)

    @property
    def lines(self):
        """``METHOD PATH STATUS``, then what is unusual."""
        return [
            " ".join(
                filter(
                    None,
                    (
                        one.request.method,
                        one.request.path,
                        str(one.status),
                        one.error.kind.value if one.error else "",
                        one.refusal,
                        f"tries={one.tries}" if one.tries > 1 else "",
                        "aborted" if one.aborted else "",
                    ),
                )
            )
            for one in self.exchanges
        ]


class Talk:
    """A gateway, its clients and its upstreams; calling it runs a script."""

    def __init__(self):
        self.clock = FakeClock()
        self.loop = FakeLoop(self.clock)
        self.wheel = DeadlineWheel(self.clock, self.loop)
        self.log = AccessLog()
        self.dials = []  # what becomes of the next ones: a GatewayError, HANGS; otherwise they succeed
        self.addresses = []  # that were dialled, successfully or not
        self.dialled = []
        self.pools = []
        self.clients = []
        self.crashes = []
        self.transcript = []
        self.upstream = Upstreams(self)
        self.snapshot = None

    async def start(self, config=None, plugins=(), pool=None, **settings):
        """Start the gateway; ``pool`` are PoolLimits, ``plugins`` classes besides those that come with it."""
        self._pool_limits = pool or PoolLimits()
        classes = {**BY_NAME, **{one.name: one for one in plugins}}
        loaded = load_text(
            json.dumps(config or service()),
            env={},
            plugins={name: one.Config for name, one in classes.items()},
            overrides={"headers": "off", "headers_upstream": "off", **settings},
        )
        settings = self.settings = loaded.settings
        trusted = TrustedIPs(settings.trusted_ips)
        self.telemetry = Telemetry(self.clock, self.log)
        self.tasks = Tasks(self.crashes.append)
        self.registry = Registry(self._make_pool)
        resolver = assemble.make_resolver(settings, self.clock)
        configuration = loaded.configuration
        send_id = "x-kong-request-id" in settings.headers_upstream
        asker = Asker(self.clock.now, self.tasks, send_request_id=send_id)
        services = Services(asker)
        self.snapshot = compile_snapshot(
            configuration,
            instantiate(configuration, loaded.plugin_configs, classes, Kit(caller=services)),
            build_balancers(configuration, settings, self.registry, resolver, self.clock),
            self.telemetry,
            generation=1,
            digest="",
            asked=services,
        )
        await self.snapshot.start()
        marks = Marks(settings.headers, self.clock.now, debug=settings.allow_debug_header)
        real_ip = RealIP(
            trusted, settings.real_ip_header.lower().encode(), recursive=settings.real_ip_recursive
        )
        self.handler = Handler(
            self.snapshot, self.clock, self.tasks, marks, real_ip, self.telemetry, settings.error_default_type
        )
        self.handler.asker = asker
        self.handler.forwarder = Forwarder(
            self.clock.now,
            self.tasks,
            marks,
            self.handler.reply,
            self.handler.finished,
            send_request_id=send_id,
        )
        self.limits = assemble.client_limits(settings)
        self.connections = Connections(self.wheel, settings.worker_connections, trusted)
        return self.client()

    def client(self, **extra):
        """Connect a client."""
        addresses = {"peername": ("192.0.2.1", 40000), "sockname": ("192.0.2.9", 8000)}
        end = End(self, f"client[{len(self.clients)}]" if self.clients else "client")
        self.clients.append(end)
        return end.connect(Downstream(self.connections, self.handler, self.limits), **{**addresses, **extra})

    def _make_pool(self, endpoint):
        pool = Pool(endpoint, self._dial, self._pool_limits, assemble.head_limits(self.settings), self.wheel)
        self.pools.append(pool)
        return pool

    async def _dial(self, endpoint, make, timeout):  # noqa: ASYNC109  # as the pool calls it
        self.addresses.append(endpoint.host)
        outcome = self.dials.pop(0) if self.dials else None
        if outcome is HANGS:
            await asyncio.Event().wait()
        if outcome is not None:
            raise outcome
        end = End(self, f"upstream[{len(self.dialled)}]")
        self.dialled.append(end)
        return end.connect(make(), peername=(endpoint.host, endpoint.port)).protocol

    # --- scripts

    async def __call__(self, *steps):
        """Run a script; at its end, nothing that happened to an end may be unclaimed."""
        await self.settle()
        for step in steps:
            seen = step.run()
            await self.settle()
            if seen:
                self._differs(step.line, seen)
            self.transcript.append(step.line)
        for end in [*self.clients, *self.dialled]:
            if end.events:
                self._differs("", end._line(*end.events[0]))
        assert self.crashes == []

    def _differs(self, wanted, seen):
        difference = "\n".join(difflib.ndiff(wanted.splitlines(), seen.splitlines()))
        pytest.fail("\n".join([*(line[:SHOWN] for line in self.transcript), difference]), pytrace=False)

    async def settle(self):
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def passes(self, seconds):
        """Let time pass."""
        return Step(f"{seconds:g} s pass", lambda: self.loop.advance(seconds))

    def pooled(self, *states):
        """Expect these pools, one per target."""

        def check():
            seen = [repr(pool) for pool in self.pools]
            return "" if seen == list(states) else f"pools {', '.join(seen)}"

        return Step(f"pools {', '.join(states)}", check)

    def logged(self, *lines):
        """Expect these lines in the access log, and no other; the next time, those that came since."""

        def check():
            seen = self.log.lines
            self.log.exchanges.clear()
            return "" if seen == list(lines) else "logged " + "; ".join(seen)

        return Step("logged " + "; ".join(lines), check)

    async def stop(self):
        self.wheel.close()
        if self.snapshot is None:  # what was to be started is no configuration
            return
        await self.tasks.stop()
        await self.snapshot.stop()
        for end in [*self.clients, *self.dialled]:
            end.transport.lose(None)
            end.transport.dispose()
        await self.settle()
        # However an exchange ended, its peer was let go and its connection counted out.
        assert [peer.inflight for peer in self.registry.peers if peer.inflight] == []
        assert [pool.open for pool in self.pools if pool.open] == []
        assert len(self.connections) == 0


@pytest.fixture
async def talk():
    """Give a gateway to talk through; ``await talk.start(...)`` returns its first client."""
    one = Talk()
    yield one
    await one.stop()
