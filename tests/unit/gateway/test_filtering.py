"""Body filters: who is asked, what an answer that nobody wants keeps, and what is held until it is complete."""

from __future__ import annotations

import pytest
from conversation import GET, OK, UP, error, service

from proxyd.errors import GatewayError, Kind
from proxyd.model.entities import Consumer
from proxyd.plugin import Config, Plugin

ANN = "5f0f5c2e-3f0b-4a39-9d2e-0f1d6c8a1b11"
HEAD = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
BAD = b"An invalid response was received from the upstream server"


class Wants(Config):
    """What the plugin below does."""

    fails: bool = False
    """Whether it fails at the end of a body."""


class Holding(Plugin[Wants]):
    """Turns texts round, whole, where the answer asks for it."""

    name = "holding"
    priority = 10
    holds_answer = True

    def wants_body(self, exchange, status, headers):
        exchange.context = {}
        return b"x-turn" in headers

    def body_filter(self, exchange, data, last):
        text = exchange.context.get("text", b"") + data
        exchange.keep("text", text)
        if last and self.config.fails:
            raise GatewayError(Kind.BAD_RESPONSE, "cannot be turned")
        return text[::-1] if last else b""


class Streaming(Plugin[Wants]):
    """Makes letters large, piece by piece."""

    name = "streaming"
    priority = 5

    def body_filter(self, exchange, data, last):
        return data.upper()


def answer(*lines, body=b"hi", length=True):
    head = [b"HTTP/1.1 200 OK", *([b"Content-Length: %d" % len(body)] if length else []), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def talking(talk, *plugins, **config):
    named = [{"name": plugin.name, "config": config} for plugin in plugins]
    return await talk.start(service(plugins=named), plugins=plugins)


async def test_an_answer_that_nobody_wants_keeps_its_length(talk):
    """It goes through as if there were no filter."""
    client = await talking(talk, Holding)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.logged("GET / 200"),
    )


async def test_an_answer_is_held_until_its_filter_has_all_of_it(talk):
    """Then its length is known; what comes before the end is kept back, head and all."""
    client = await talking(talk, Holding)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(
            answer(b"X-Turn: 1", b"Transfer-Encoding: chunked", length=False, body=b"2\r\nab\r\n")
        ),
        client.hears_nothing(),
        talk.upstream.sends(b"1\r\nc\r\n0\r\n\r\n"),
        client.receives(b"HTTP/1.1 200 OK\r\nX-Turn: 1\r\nContent-Length: 3\r\n\r\ncba"),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 200"),
        talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
    )


async def test_a_held_answer_passes_the_filters_behind(talk):
    """One holds, the other does not: all of it is held."""
    client = await talking(talk, Holding, Streaming)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(answer(b"X-Turn: 1", body=b"abc")),
        client.receives(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Turn: 1\r\n\r\nCBA"),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(answer(body=b"abc")),
        client.receives(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nABC\r\n0\r\n\r\n"),
    )


async def test_a_held_answer_can_still_be_refused(talk):
    """Its filter says so at the end; the client has seen nothing of it."""
    client = await talking(talk, Holding, fails=True)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(answer(b"X-Turn: 1")),
        client.receives(error(502, b"Bad Gateway", BAD)),
        client.says("<Downstream idle requests=1>"),
        talk.logged("GET / 502 bad_response"),
    )


async def test_a_held_answer_that_breaks_off_is_refused(talk):
    """Nothing of it is out: the client is told, and not cut off."""
    client = await talking(talk, Holding)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(answer(b"X-Turn: 1", body=b"abc")[:-1]),
        client.hears_nothing(),
        talk.upstream.resets(),
        client.receives(error(502, b"Bad Gateway", BAD)),
        talk.logged("GET / 502 bad_response"),
    )


async def test_a_client_that_leaves_a_held_answer(talk):
    """It was not answered: 499."""
    client = await talking(talk, Holding)
    await talk(
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(answer(b"X-Turn: 1", body=b"abc")[:-1]),
        client.resets(),
        talk.upstream.is_aborted(),
        talk.logged("GET / 499 aborted"),
    )


async def test_the_answer_to_head_has_no_length_that_would_be_wrong(talk):
    """The body that a GET would have got would have been another one."""
    client = await talking(talk, Holding)
    await talk(
        client.sends(HEAD),
        talk.upstream.receives(UP.replace(b"GET", b"HEAD")),
        talk.upstream.sends(answer(b"X-Turn: 1", body=b"")[:17] + b"Content-Length: 9\r\nX-Turn: 1\r\n\r\n"),
        client.receives(b"HTTP/1.1 200 OK\r\nX-Turn: 1\r\n\r\n"),
        client.says("<Downstream idle requests=1>"),
    )


class Named(Plugin[Config]):
    """Knows Ann."""

    name = "named"
    priority = 1000

    def access(self, exchange):
        if exchange.headers.get(b"x-user") == b"ann":
            exchange.consumer = Consumer(id=ANN, username="ann")


async def test_only_the_instance_of_the_consumer_is_asked(talk):
    """Everybody else's answers keep their length."""
    config = service(plugins=[{"name": "named"}])
    config["consumers"] = [{"id": ANN, "username": "ann", "plugins": [{"name": "streaming"}]}]
    client = await talk.start(config, plugins=[Named, Streaming])
    changed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nHI\r\n0\r\n\r\n"
    for user, heard in ((b"ann", changed), (b"bob", OK)):
        field = b"X-User: %b\r\n\r\n" % user
        await talk(
            client.sends(GET[:-2] + field),
            talk.upstream.receives(UP[:-2] + field),
            talk.upstream.sends(OK),
            client.receives(heard),
        )


# --- another method than the client's ------------------------------------------------------------------------


class Otherwise(Plugin[Config]):
    """Has the upstream asked with the method of a header."""

    name = "otherwise"
    priority = 10

    def access(self, exchange):
        exchange.replaced_method = exchange.headers.get(b"x-method").decode()


@pytest.mark.parametrize(
    ("method", "asked", "said", "heard"),
    [
        (b"HEAD", b"GET", OK, OK[:-2]),
        (
            b"HEAD",
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
        ),
        (b"GET", b"HEAD", OK[:-2], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HEAD", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (b"DELETE", b"GET", OK, OK),
    ],
)
async def test_the_answer_is_framed_for_the_clients_method(talk, method, asked, said, heard):
    """HEAD has no body on whichever side it is; the next request on either connection is right."""
    client = await talk.start(service(plugins=[{"name": "otherwise"}]), plugins=[Otherwise])
    for _ in range(2):
        await talk(
            client.sends(b"%b / HTTP/1.1\r\nHost: h\r\nX-Method: %b\r\n\r\n" % (method, asked)),
            talk.upstream.receives(
                b"%b / HTTP/1.1\r\nHost: 10.0.0.1\r\nX-Method: %b\r\n\r\n" % (asked, asked)
            ),
            talk.upstream.sends(said),
            client.receives(heard),
            talk.pooled("<Pool 10.0.0.1:80 open=1 idle=1>"),
        )
