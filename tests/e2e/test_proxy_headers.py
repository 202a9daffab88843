"""Header fields on their way: what each hop keeps for itself, and what the gateway says of the hop before."""

from __future__ import annotations

import re

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd import __version__

VIA = f"1.1 proxyd/{__version__}"
OWN = {"via", "x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-request-id"}
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
async def send(gateway, origin, raw):
    """Give what sends one request through a gateway; returns what the origin got, and the client."""

    async def through(
        lines=b"", line=b"GET / HTTP/1.1", *, answer=OK, config=None, host=b"x", body=b"", **settings
    ):
        upstream = await origin(answer)
        proxy = await gateway(config_for(upstream.port, **(config or {})), **settings)
        client = await raw(proxy.port)
        reply = await client.ask(b"%b\r\nHost: %b\r\n%b\r\n%b" % (line, host, lines, body))
        return await upstream.request(), reply

    return through


# --- hop by hop --------------------------------------------------------------------------------------------------


async def test_hop_by_hop_fields_of_a_request_stay_here(send):
    """What describes the client's connection does not reach the origin, the fields that Connection names included."""
    lines = (
        b"Connection: keep-alive, X-Mine, x-other\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n"
        b"X-Mine: 1\r\nX-Other: 2\r\nX-Other: 3\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Proxy: http://evil\r\nX-Kept: yes\r\nAccept: */*\r\n"
    )
    request, _ = await send(lines)
    gone = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "x-mine",
        "x-other",
        "te",
        "upgrade",
        "http2-settings",
    }
    assert not (gone | {"proxy"}) & set(request.names)
    assert (request["x-kept"], request["accept"]) == ("yes", "*/*")


async def test_connection_cannot_name_away_what_the_request_means(send):
    """Host, Content-Length, Authorization and the gateway's own fields survive being named in Connection."""
    lines = (
        b"Connection: host, content-length, authorization, x-forwarded-for, x-real-ip, via, x-kong-request-id\r\n"
        b"Content-Length: 4\r\nAuthorization: Bearer t\r\n"
    )
    request, _ = await send(lines, b"POST / HTTP/1.1", body=b"body")
    assert (request["content-length"], request.body, request["authorization"]) == ("4", b"body", "Bearer t")
    assert (request["x-forwarded-for"], request["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert request["host"].startswith("127.0.0.1:")
    assert request["via"] == VIA
    assert REQUEST_ID.fullmatch(request["x-kong-request-id"])


async def test_hop_by_hop_fields_of_an_answer_stay_here(send):
    """The origin's connection is none of the client's business."""
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: timeout=30\r\nX-Mine: 1\r\n"
        b"Upgrade: h2c\r\nProxy-Connection: close\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok"
    )
    _, reply = await send(answer=answer)
    assert set(reply.names) == {"x-kept", "content-length", *OWN}


async def test_end_to_end_fields_go_through_as_they_came(send):
    """Order within a name, case, odd bytes and empty values are kept both ways."""
    lines = b"X-CaSe: A, b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Empty:\r\nX-Latin: \xe9\r\nX-Tab:\ta\tb\t\r\n"
    answer = b"HTTP/1.1 299 Odd Reason\r\nSet-Cookie: a=1\r\nX-Empty:\r\nset-cookie: b=2\r\nServer: me\r\n"
    request, reply = await send(lines, answer=answer + b"Content-Length: 0\r\n\r\n")
    assert [name for name, _ in request.fields if name.startswith("X-C")] == ["X-CaSe"]
    assert request.all("cookie") == ["a=1", "b=2"]
    assert (request["x-empty"], request["x-latin"], request["x-tab"]) == ("", "\xe9", "a\tb")
    assert reply.start == "HTTP/1.1 299 Odd Reason"
    assert reply.all("set-cookie") == ["a=1", "b=2"]
    assert (reply["server"], reply["x-empty"]) == ("me", "")


async def test_a_compressed_body_is_left_alone(send):
    """Content codings belong to the two ends."""
    body = bytes.fromhex("1f8b08000000000002ffcb48cdc9c95728cf2fca49010085114a0d0b000000")
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nContent-Length: 31\r\n\r\n"
    )
    request, reply = await send(b"Accept-Encoding: gzip, br\r\n", answer=answer + body)
    assert request["accept-encoding"] == "gzip, br"
    assert (reply["content-encoding"], reply["vary"], reply.body) == ("gzip", "Accept-Encoding", body)


# --- what the upstream is told -----------------------------------------------------------------------------------


async def test_the_origin_is_told_of_the_client(send):
    """Address, scheme, port, host, path and the stripped prefix of the request as it came."""
    request, reply = await send(
        line=b"GET /shop/a%20b?q=1 HTTP/1.1",
        host=b"Shop.example.com:8080",
        config={"route": {"paths": ["/shop"]}},
    )
    told = {name: value for name, value in request.fields if name.startswith(("X-", "Via"))}
    assert REQUEST_ID.fullmatch(told.pop("X-Kong-Request-Id"))
    port = told.pop("X-Forwarded-Port")
    assert port.isdigit()
    assert told == {
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "shop.example.com",
        "X-Forwarded-Path": "/shop/a%20b",
        "X-Forwarded-Prefix": "/shop",
        "Via": VIA,
    }
    assert request.start == "GET /a%20b?q=1 HTTP/1.1"
    assert reply["x-kong-request-id"] == request["x-kong-request-id"]


FORGED = (
    b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n"
    b"X-Forwarded-Path: /evil\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 5.6.7.8\r\nX-Kong-Request-Id: mine\r\n"
)


async def test_forwarded_fields_of_strangers_are_not_believed(send):
    """Of what an untrusted client claims, only its X-Forwarded-For is kept, before its true address."""
    request, _ = await send(FORGED, host=b"true")
    assert request["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert (request["x-real-ip"], request["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert (request["x-forwarded-host"], request["x-forwarded-path"]) == ("true", "/")
    assert request["x-forwarded-port"] != "1"
    assert "x-forwarded-prefix" not in request
    assert REQUEST_ID.fullmatch(request["x-kong-request-id"])


async def test_forwarded_fields_of_trusted_peers_are_believed(send):
    """A proxy in trusted_ips describes the client better than this hop does."""
    request, reply = await send(FORGED, trusted_ips="127.0.0.0/8")
    assert request["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert (request["x-real-ip"], request["x-forwarded-proto"]) == ("5.6.7.8", "https")
    assert (request["x-forwarded-host"], request["x-forwarded-port"]) == ("evil", "1")
    assert (request["x-forwarded-path"], request["x-forwarded-prefix"]) == ("/evil", "/p")
    assert request["x-kong-request-id"] == reply["x-kong-request-id"] == "mine"


@pytest.mark.parametrize(
    ("recursive", "forwarded", "address"),
    [
        ("off", b"9.9.9.9, 8.8.8.8, 127.0.0.2", "127.0.0.2"),
        ("on", b"9.9.9.9, 8.8.8.8, 127.0.0.2", "8.8.8.8"),
        ("on", b"127.0.0.3, 127.0.0.2", "127.0.0.3"),
        ("on", b"9.9.9.9, nonsense", "127.0.0.1"),
        ("on", b"[2001:db8::1]:99", "2001:db8::1"),
        ("on", b"1.2.3.4:567", "1.2.3.4"),
    ],
)
async def test_the_client_is_found_behind_trusted_proxies(
    gateway, origin, raw, recursive, forwarded, address
):
    """real_ip_recursive decides how far back in X-Forwarded-For the client is looked for."""
    upstream = await origin(OK)
    proxy = await gateway(
        upstream.port,
        trusted_ips="127.0.0.0/8",
        real_ip_header="X-Forwarded-For",
        real_ip_recursive=recursive,
    )
    client = await raw(proxy.port)
    await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %b\r\n\r\n" % forwarded)
    assert (await upstream.request())["x-real-ip"] == address
    (line,) = await proxy.log_lines()
    assert line["client_ip"] == address


async def test_the_real_address_may_come_in_any_header(send):
    """real_ip_header names a field of one's own, and X-Real-IP tells the origin what was found in it."""
    request, _ = await send(
        b"CF-Connecting-IP: 7.7.7.7\r\n", trusted_ips="127.0.0.1", real_ip_header="CF-Connecting-IP"
    )
    assert (request["x-real-ip"], request["x-forwarded-for"]) == ("7.7.7.7", "127.0.0.1")


async def test_a_trusted_proxy_decides_what_https_only_means(send):
    """X-Forwarded-Proto of a trusted peer satisfies a route that is https only."""
    config = {"route": {"protocols": ["https"]}}
    request, reply = await send(b"X-Forwarded-Proto: https\r\n", config=config, trusted_ips="127.0.0.1")
    assert reply.status == 200
    assert request["x-forwarded-proto"] == "https"


async def test_via_grows_by_this_hop(send):
    """A Via of proxies in front stays before the gateway's own, both ways."""
    answer = b"HTTP/1.1 200 OK\r\nVia: 1.1 cache\r\nContent-Length: 2\r\n\r\nok"
    request, reply = await send(b"Via: 1.0 fred\r\n", answer=answer)
    assert request.all("via") == ["1.0 fred", VIA]
    assert reply.all("via") == ["1.1 cache", VIA]


@pytest.mark.parametrize(
    ("trace", "passed"),
    [(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True), (b"00-zz-yy-01", False)],
)
async def test_a_trace_is_passed_on(send, trace, passed):
    """A well-formed traceparent goes up as it came, a malformed one does not, nor its tracestate."""
    request, _ = await send(b"traceparent: %b\r\ntracestate: a=1\r\n" % trace)
    assert request.all("traceparent") == ([trace.decode()] if passed else [])
    assert request.all("tracestate") == (["a=1"] if passed else [])


# --- what the client is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "proxied", "own"),
    [
        (
            "server_tokens, latency_tokens, X-Kong-Request-Id",
            OWN,
            {"server", "x-kong-response-latency", "x-kong-request-id"},
        ),
        ("off", set(), set()),
        ("server_tokens", {"via"}, {"server"}),
        ("latency_tokens", {"x-kong-upstream-latency", "x-kong-proxy-latency"}, {"x-kong-response-latency"}),
        ("Via, X-Kong-Upstream-Status", {"via", "x-kong-upstream-status"}, set()),
        ("X-Kong-Proxy-Latency", {"x-kong-proxy-latency"}, set()),
    ],
)
async def test_headers_decides_what_the_gateway_adds(gateway, origin, raw, headers, proxied, own):
    """The setting names what stands on proxied answers and on the gateway's own."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, route={"paths": ["/here"]}), headers=headers)
    client = await raw(proxy.port)
    answer = await client.ask(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n")
    assert set(answer.names) == {"content-length", *proxied}
    for name in proxied & {"x-kong-upstream-latency", "x-kong-proxy-latency"}:
        assert answer[name].isdigit()
    refusal = await client.ask(b"GET /there HTTP/1.1\r\nHost: x\r\n\r\n")
    assert refusal.status == 404
    assert set(refusal.names) == {"content-length", "content-type", "date", *own}


async def test_the_request_id_can_be_kept_from_the_origin(send):
    """headers_upstream=off leaves X-Kong-Request-Id out of requests."""
    request, reply = await send(headers_upstream="off")
    assert "x-kong-request-id" not in request
    assert "x-kong-request-id" in reply


@pytest.mark.parametrize(("allowed", "asked"), [("on", b"1"), ("on", b"0"), ("off", b"1")])
async def test_kong_debug_names_the_route(send, allowed, asked):
    """Route and service are named to a client that asks, where that is allowed."""
    _, reply = await send(b"Kong-Debug: %b\r\n" % asked, allow_debug_header=allowed)
    told = (allowed, asked) == ("on", b"1")
    assert reply.all("kong-route-name") == (["main"] if told else [])
    assert reply.all("kong-service-name") == (["backend"] if told else [])
    assert bool(reply.all("kong-route-id")) == bool(reply.all("kong-service-id")) == told


async def test_a_reflected_value_cannot_split_an_answer(send):
    """An escaped line break in a request stays escaped wherever it goes."""
    request, reply = await send(line=b"GET /a%0d%0aSet-Cookie:%20x=1?q=%0d%0aX:%201 HTTP/1.1")
    assert "set-cookie" not in request.names
    assert request.start == "GET /a%0D%0ASet-Cookie:%20x=1?q=%0d%0aX:%201 HTTP/1.1"
    assert "set-cookie" not in reply
