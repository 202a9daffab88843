"""Keys, passwords and groups through a running gateway."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK

CONSUMERS = [
    {"username": "ann", "keyauth_credentials": [{"key": "k-ann"}], "acls": [{"group": "staff"}]},
    {"username": "bob", "basicauth_credentials": [{"username": "bob", "password": "pw"}]},
]


async def test_a_key_and_a_group(gateway, origin, raw):
    """401 without a key, 403 without the group, and the backend is told who it is; no key is in the log."""
    upstream = await origin(OK)
    config = config_for(
        upstream.port,
        plugins=[
            {"name": "key-auth", "config": {"hide_credentials": True, "anonymous": None}},
            {"name": "acl", "config": {"allow": ["staff"]}},
        ],
    )
    config["consumers"] = [*CONSUMERS, {"username": "eve", "keyauth_credentials": [{"key": "k-eve"}]}]
    proxy = await gateway(config)
    client = await raw(proxy.port)
    asked = [
        (b"", 401),
        (b"apikey: k-eve\r\n", 403),
        (b"apikey: k-ann\r\nX-Consumer-Username: root\r\n", 200),
        (b"X-Consumer-Username: ann\r\nX-Consumer-Groups: staff\r\n", 401),
    ]
    for lines, status in asked:
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % lines)
        assert (answer.status, "www-authenticate" in answer) == (status, status == 401)
    (request,) = upstream.requests
    assert (request["x-consumer-username"], request["x-consumer-groups"]) == ("ann", "staff")
    assert "apikey" not in request
    assert "k-ann" not in str(await proxy.log_lines(4))


async def test_a_password(gateway, origin, raw):
    """basic-auth by itself."""
    upstream = await origin(OK)
    config = config_for(upstream.port, plugins=[{"name": "basic-auth"}])
    config["consumers"] = CONSUMERS
    proxy = await gateway(config)
    client = await raw(proxy.port)
    right = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Ym9iOnB3\r\n\r\n")
    wrong = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Ym9iOng=\r\n\r\n")
    assert (right.status, wrong.status, wrong["www-authenticate"]) == (200, 401, 'Basic realm="service"')


async def test_identity_headers_never_pass_without_authentication(gateway, origin, raw):
    """A client cannot name itself to the backend, in any spelling."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port))
    client = await raw(proxy.port)
    for name in (b"X-Consumer-Username", b"x-consumer-id", b"X_Consumer_Groups", b"X-Anonymous-Consumer"):
        await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b: admin\r\n\r\n" % name)
    assert len(upstream.requests) == 4
    assert not any("admin" in str(request.fields) for request in upstream.requests)


async def test_a_key_under_a_name_of_its_own_is_never_logged(gateway, origin, raw):
    """Whether it is passed on, hidden or wrong, and after a reload that has the name no more."""
    upstream = await origin(OK)
    config = config_for(upstream.port, plugins=[{"name": "key-auth", "config": {"key_names": ["kk"]}}])
    config["consumers"] = CONSUMERS
    proxy = await gateway(config)
    client = await raw(proxy.port)

    async def ask(key):
        request = b"GET /?a=1&kk=%b&b=2 HTTP/1.1\r\nHost: x\r\nReferer: http://x/?kk=%b\r\n\r\n"
        return (await client.ask(request % (key, key))).status

    assert [await ask(b"k-ann"), await ask(b"k-%61nn;"), await ask(b"wrong")] == [200, 401, 401]
    config["plugins"] = [
        {"name": "key-auth", "config": {"key_names": ["zz", "kk"], "hide_credentials": True}}
    ]
    proxy.write(config)
    assert await proxy.worker.reload()
    assert await ask(b"k-ann") == 200
    config["plugins"] = []
    proxy.write(config)
    assert await proxy.worker.reload()
    assert await ask(b"k-ann") == 200
    lines = await proxy.log_lines(5)
    assert {line["query"] for line in lines} == {"a=1&kk=REDACTED&b=2", "a=1&b=2"}
    assert not any(key in str(lines) for key in ("k-ann", "k-%61nn", "wrong"))
    targets = [request.start.split()[1] for request in upstream.requests]
    assert targets == ["/?a=1&kk=k-ann&b=2", "/?a=1&b=2", "/?a=1&kk=k-ann&b=2"]
