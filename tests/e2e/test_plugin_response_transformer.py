"""response-transformer through a running gateway: what the client gets, and that the next answer is right."""

from __future__ import annotations

import gzip

import pytest
from e2e_gateway import config_for

GET = b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
SECRET = b'{"secret":"s3cret","a":1.0}'
CHANGED = b'{"a":1.0,"by":"proxyd"}'
CONFIG = {
    "remove": {"headers": ["Server"], "json": ["secret"]},
    "add": {"headers": ["X-By:proxyd"], "json": ["by:proxyd"]},
}


def transforming(port, **config):
    return config_for(port, plugins=[{"name": "response-transformer", "config": CONFIG | config}])


def answer(body, *lines, status=b"200 OK"):
    head = [b"HTTP/1.1 " + status, b"Server: x", b"Content-Type: application/json", *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunked(body):
    return answer(
        b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n", b"Transfer-Encoding: chunked"
    )


@pytest.mark.parametrize(
    "said",
    [answer(SECRET, b"Content-Length: %d" % len(SECRET)), chunked(SECRET)],
    ids=["a length", "chunks"],
)
async def test_an_answer_is_changed(gateway, origin, raw, said):
    """Headers and members, with the length that it then has; the connections go on."""
    upstream = await origin(said)
    proxy = await gateway(transforming(upstream.port))
    client = await raw(proxy.port)
    for _ in range(2):
        got = await client.ask(GET)
        assert (got.status, got.body, got.all("content-length")) == (200, CHANGED, [str(len(CHANGED))])
        assert (got["x-by"], "server" in got, "transfer-encoding" in got) == ("proxyd", False, False)
    assert [request["accept-encoding"] for request in upstream.requests] == ["identity"] * 2
    assert len(upstream.wires) == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(SECRET[:-1], b"Content-Length: %d" % (len(SECRET) - 1)),
        answer(
            gzip.compress(SECRET),
            b"Content-Encoding: gzip",
            b"Content-Length: %d" % len(gzip.compress(SECRET)),
        ),
        answer(SECRET * 9, b"Content-Length: %d" % (len(SECRET) * 9)),
        chunked(SECRET * 9),
    ],
    ids=["malformed", "compressed", "too large", "too large, in chunks"],
)
async def test_what_was_to_be_hidden_is_never_seen(gateway, origin, raw, said):
    """Such an answer is refused as a whole, and the connection goes on."""
    upstream = await origin(said)
    proxy = await gateway(transforming(upstream.port, max_body_size=100))
    client = await raw(proxy.port)
    for _ in range(2):
        got = await client.ask(GET)
        assert (got.status, "by" in got.body.decode(), got["x-by"]) == (502, False, "proxyd")
    assert b"s3cret" not in client.received
    (line, _) = await proxy.log_lines(2)
    assert (line["status"], line["error_cause"].startswith("the body that is to be changed")) == (502, True)


async def test_an_answer_without_a_body(gateway, origin, raw):
    """HEAD has no length that GET would not have, 304 and 204 none at all; then a body is right."""
    answers = iter(
        [
            answer(b"", b"Content-Length: 27"),
            answer(b"", b"Content-Length: 27", status=b"304 Not Modified"),
            answer(b"", status=b"204 No Content"),
            answer(SECRET, b"Content-Length: 27"),
        ]
    )

    async def script(wire):
        for said in answers:
            await wire.message()
            await wire.send(said)

    upstream = await origin(script)
    proxy = await gateway(transforming(upstream.port))
    client = await raw(proxy.port)
    for method, status in ((b"HEAD", 200), (b"GET", 304), (b"GET", 204)):
        got = await client.ask(GET.replace(b"GET", method))
        assert (got.status, "content-length" in got, got["x-by"]) == (status, False, "proxyd")
    assert (await client.ask(GET)).body == CHANGED


async def test_the_gateways_own_answers_are_changed_too(gateway, origin, raw):
    """As in Kong."""
    upstream = await origin(b"")
    config = transforming(upstream.port)
    config["plugins"].append({"name": "key-auth"})
    proxy = await gateway(config)
    client = await raw(proxy.port)
    got = await client.ask(GET)
    assert (got.status, got["x-by"], b'"by":"proxyd"' in got.body) == (401, "proxyd", True)
    assert int(got["content-length"]) == len(got.body)
