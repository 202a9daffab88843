"""What the origin is asked for: paths, hosts and methods as they go through routes of every kind."""

from __future__ import annotations

import pytest
from e2e_gateway import config_for
from e2e_wire import OK


@pytest.fixture
async def ask(gateway, origin, raw):
    """Give what sends a request over a route; returns the answer, and what the origin saw or None."""

    async def through(line, *, route=None, service=None, path="", lines=b"", host=b"x", **settings):
        upstream = await origin(OK)
        proxy = await gateway(config_for(f"{upstream.url}{path}", route=route, service=service), **settings)
        client = await raw(proxy.port)
        answer = await client.ask(b"%b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (line, host, lines))
        return answer, upstream.requests[0] if upstream.requests else None

    return through


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "base", "target", "seen"),
    [
        ({"paths": ["/api"]}, "", b"/api/users?q=1", "/users?q=1"),
        ({"paths": ["/api"]}, "/v2", b"/api/users", "/v2/users"),
        ({"paths": ["/api"]}, "/v2/", b"/api", "/v2"),
        ({"paths": ["/api"]}, "/v2", b"/api/", "/v2/"),
        ({"paths": ["/api"]}, "", b"/api", "/"),
        ({"paths": ["/api"]}, "", b"/apish", "/sh"),
        ({"paths": ["/api"]}, "", b"/api?x", "/?x"),
        ({"paths": ["/api"]}, "", b"/api/a%20b%2Fc?d=%2f&e", "/a%20b%2Fc?d=%2f&e"),
        ({"paths": ["/api"], "strip_path": False}, "", b"/api/users", "/api/users"),
        ({"paths": ["/api"], "strip_path": False}, "/v2", b"/api/users", "/v2/api/users"),
        ({"paths": ["~/users/\\d+"]}, "", b"/users/42/orders", "/orders"),
        ({"paths": ["~/users/\\d+"], "strip_path": False}, "", b"/users/42/orders", "/users/42/orders"),
        ({"paths": ["/api"], "path_handling": "v1"}, "/v2", b"/api/users", "/v2/users"),
        ({"paths": ["/api/"], "path_handling": "v1"}, "/v2", b"/api/users", "/v2users"),
        ({"paths": ["/"]}, "", b"//a//b", "/a/b"),
        ({"paths": ["/"]}, "", b"/a/./b/../c", "/a/c"),
        ({"paths": ["/"]}, "", b"/%7Euser/%41", "/~user/A"),
        ({"paths": ["/"]}, "", b"/a%2fb", "/a%2Fb"),
        ({"paths": ["/"]}, "", b"/?", "/?"),
        ({"paths": ["/"]}, "", b"/a;b=c,d", "/a;b=c,d"),
    ],
)
async def test_the_path_that_the_origin_sees(ask, route, base, target, seen):
    """Prefix off, the service's path before it, normalised once, the query as it came."""
    answer, request = await ask(b"GET " + target, route=route, path=base)
    assert answer.status == 200
    assert request.start == f"GET {seen} HTTP/1.1"


@pytest.fixture
async def doors(gateway, origin, raw):
    """Give a client of a gateway with an open route, a locked one inside it, and what each origin saw."""
    open_door, locked_door = await origin(OK), await origin(OK)
    proxy = await gateway(
        {
            "_format_version": "3.0",
            "services": [
                {"name": "open", "url": open_door.url, "routes": [{"paths": ["/open"], "strip_path": False}]},
                {
                    "name": "locked",
                    "url": locked_door.url,
                    "routes": [{"paths": ["/open/admin", "/admin"], "strip_path": False}],
                    "plugins": [{"name": "request-termination", "config": {"status_code": 403}}],
                },
            ],
        }
    )
    return await raw(proxy.port), open_door, locked_door


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/open/x", 200),
        (b"/admin", 403),
        (b"/open/../admin", 403),
        (b"/open/%2e%2e/admin", 403),
        (b"/open/.%2E/admin", 403),
        (b"//admin", 403),
        (b"/open//admin", 403),
        (b"/open/./admin", 403),
        (b"/%61dmin", 403),
        (b"/open/%61dmin", 403),
        (b"/open/%2561dmin", 200),  # an escape of an escape is decoded by nobody
        (b"/open/x/..;/admin", 400),
        (b"/open/..%2fadmin", 400),
        (b"/open/%2e%2e%2fadmin", 400),
        (b"/open/..%5cadmin", 400),
        (b"/open\\..\\admin", 400),
        (b"/open%00/x", 400),
        (b"/open/%zz", 400),
        (b"/open/%", 400),
        (b"/open%2Fadmin", 404),
        (b"/open%2fx", 200),
        (b"/open%5Cadmin", 404),
    ],
)
async def test_no_spelling_of_a_path_gets_around_its_route(doors, target, status):
    """However a locked path is written, it is locked, or refused, or not there."""
    client, open_door, locked_door = doors
    answer = await client.ask(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == status
    assert len(open_door.requests) == (status == 200)
    assert locked_door.requests == []


# --- hosts -------------------------------------------------------------------------------------------------------


async def test_the_host_is_the_origins_own(ask):
    """Without preserve_host the origin is asked for under its own name and port."""
    _, request = await ask(b"GET /", host=b"shop.example.com")
    assert request["host"] == request["x-forwarded-host"].replace("shop.example.com", request["host"])
    assert request["host"].startswith("127.0.0.1:")


async def test_preserve_host_keeps_the_clients(ask):
    """With it, Host goes through, port included."""
    _, request = await ask(b"GET /", host=b"Shop.example.com:8080", route={"preserve_host": True})
    assert (request["host"], request["x-forwarded-host"]) == ("shop.example.com:8080", "shop.example.com")


async def test_preserve_host_of_a_request_without_one_is_the_origins(gateway, origin, raw):
    """HTTP/1.0 needs no Host; the origin gets its own."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, route={"preserve_host": True}))
    client = await raw(proxy.port)
    assert (await client.ask(b"GET / HTTP/1.0\r\n\r\n")).status == 200
    assert upstream.requests[0]["host"] == f"127.0.0.1:{upstream.port}"


# --- methods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"PROPFIND", b"PURGE", b"X-Y.z!", b"get", b"DELETE", b"QUERY"])
async def test_methods_that_nobody_listed_go_through(ask, method):
    """A method is a token, in the case in which it came."""
    answer, request = await ask(method + b" /a")
    assert (answer.status, request.start) == (200, f"{method.decode()} /a HTTP/1.1")


async def test_options_of_the_whole_server_goes_through(ask):
    """``OPTIONS *`` matches routes without a path, and stays what it is."""
    answer, request = await ask(b"OPTIONS *", route={"paths": None, "methods": ["OPTIONS"]}, path="/base")
    assert (answer.status, request.start) == (200, "OPTIONS * HTTP/1.1")


async def test_options_of_the_whole_server_matches_no_path(ask):
    """A route with paths does not take it."""
    answer, request = await ask(b"OPTIONS *")
    assert (answer.status, request) == (404, None)


# --- https only --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_plain_request_to_an_https_route_is_redirected(ask, status):
    """To the same place under https, query included, with the service's port left out."""
    route = {"protocols": ["https"], "https_redirect_status_code": status, "paths": ["/a"]}
    answer, request = await ask(b"GET /a/b%20c?d=e", route=route, host=b"shop.example.com:8080")
    assert (answer.status, answer["location"]) == (status, "https://shop.example.com/a/b%20c?d=e")
    assert request is None


async def test_a_plain_request_to_an_https_route_is_told_to_upgrade(ask):
    """Kong's default is a 426."""
    answer, request = await ask(
        b"GET /", route={"protocols": ["https"]}, lines=b"Accept: application/json\r\n"
    )
    assert (answer.status, answer["upgrade"]) == (426, "TLS/1.2, HTTP/1.1")
    assert "upgrade" in answer["connection"].lower()
    assert b"Please use HTTPS protocol" in answer.body
    assert request is None


@pytest.mark.parametrize("host", [b"[2001:db8::1]:8080", b"[2001:db8::1]"])
async def test_a_redirect_keeps_an_ipv6_host(ask, host):
    """The brackets and the address stay, the port goes."""
    answer, _ = await ask(
        b"GET /", route={"protocols": ["https"], "https_redirect_status_code": 301}, host=host
    )
    assert answer["location"] == "https://[2001:db8::1]/"


# --- answers without an upstream ---------------------------------------------------------------------------------


async def test_a_terminated_request_is_answered_by_the_gateway(ask):
    """A plugin's answer has the gateway's marks, and the origin is not asked."""
    plugin = {"name": "request-termination", "config": {"status_code": 410, "message": "gone for good"}}
    answer, request = await ask(b"GET /", route={"plugins": [plugin]}, lines=b"Accept: application/json\r\n")
    assert (answer.status, answer["server"].split("/")[0]) == (410, "proxyd")
    assert b"gone for good" in answer.body
    assert request is None


async def test_a_terminated_upload_leaves_a_connection_that_is_understood(gateway, origin, raw):
    """Behind a body that nobody reads, the next request of a connection is taken for what it is."""
    upstream = await origin(OK)
    plugin = {"name": "request-termination", "config": {"status_code": 403}}
    config = config_for(upstream.port, route={"paths": ["/no"], "plugins": [plugin]})
    config["services"][0]["routes"].append({"name": "yes", "paths": ["/yes"], "strip_path": False})
    proxy = await gateway(config)
    client = await raw(proxy.port)
    body = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(
        b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%bGET /yes HTTP/1.1\r\nHost: x\r\n\r\n"
        % (len(body), body)
    )
    assert (await client.message()).status == 403
    assert (await client.message()).status == 200
    assert [request.start for request in upstream.requests] == ["GET /yes HTTP/1.1"]


async def test_a_route_without_a_service_has_nothing_to_say(gateway, raw):
    """Kong's message for it is a 503."""
    proxy = await gateway({"_format_version": "3.0", "routes": [{"name": "lonely", "paths": ["/"]}]})
    client = await raw(proxy.port)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
    assert answer.status == 503
    assert b"no Service found with those values" in answer.body
