"""The policy of the plugin cors, applied to an application of our own."""

from __future__ import annotations

import aiohttp_cors
import pytest
from aiohttp import web

from proxyd.apps.cors import apply_cors
from proxyd.apps.roles import authenticated, require_declarations, roles_guard
from proxyd.plugins.cors import Config

APP = "https://app.example.com"


@authenticated
async def hello(request):
    del request
    return web.Response(text="hello", headers={"X-Total": "1"})


@authenticated
class Thing(web.View, aiohttp_cors.CorsViewMixin):
    async def get(self):
        return web.Response(text="thing")


def make(*middlewares, **config):
    app = web.Application(middlewares=middlewares)
    app.router.add_get("/hello", hello)
    app.router.add_post("/hello", hello)
    app.router.add_view("/thing", Thing)
    apply_cors(app, Config(**config))
    return app


def preflight(origin, method="GET", headers=""):
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    return fields | ({"Access-Control-Request-Headers": headers} if headers else {})


@pytest.mark.parametrize("path", ["/hello", "/thing"])
@pytest.mark.parametrize(
    ("origins", "origin", "admitted"),
    [
        ([APP], APP, True),
        ([APP], "https://evil.example", False),
        ([APP, "other.example"], "https://other.example", True),
        ([r"https://.*\.example\.com"], APP, True),
        ([r"https://.*\.example\.com"], f"{APP}.evil.org", False),
        (["*"], "https://anything.example", True),
        (None, "https://anything.example", True),
    ],
)
async def test_origins(aiohttp_client, path, origins, origin, admitted):
    """As the plugin has them, expressions too, for answers and preflights alike."""
    client = await aiohttp_client(make(origins=origins))
    answer = await client.get(path, headers={"Origin": origin})
    assert (answer.status, answer.headers.get("Access-Control-Allow-Origin")) == (
        200,
        origin if admitted else None,
    )
    assert answer.headers["Vary"] == "Origin"
    asked = await client.options(path, headers=preflight(origin))
    assert (asked.status, asked.headers.get("Access-Control-Allow-Origin")) == (
        (200, origin) if admitted else (403, None)
    )


async def test_what_pages_may_send_and_read(aiohttp_client):
    """Methods, headers, cookies, and for how long a preflight is good."""
    client = await aiohttp_client(
        make(
            origins=[APP],
            methods=["GET", "DELETE"],
            headers=["X-One"],
            exposed_headers=["X-Total"],
            credentials=True,
            max_age=60,
        )
    )
    asked = await client.options("/hello", headers=preflight(APP, headers="X-One"))
    assert asked.headers["Access-Control-Allow-Headers"].lower() == "x-one"
    assert (asked.headers["Access-Control-Max-Age"], asked.headers["Access-Control-Allow-Credentials"]) == (
        "60",
        "true",
    )
    assert (await client.options("/hello", headers=preflight(APP, headers="X-Two"))).status == 403
    assert (await client.options("/hello", headers=preflight(APP, "POST"))).status == 403
    answer = await client.get("/hello", headers={"Origin": APP})
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Total"


async def test_a_preflight_needs_no_role(aiohttp_client):
    """A browser sends none; the request behind it does, and its 401 can be read by the page."""
    app = make(roles_guard(), origins=[APP])
    assert require_declarations(app) is app
    client = await aiohttp_client(app)
    assert (await client.options("/hello", headers=preflight(APP))).status == 200
    refused = await client.get("/hello", headers={"Origin": APP})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, APP)


def test_a_resource_with_options_of_its_own_is_refused():
    """Its answer and ours could not both stand."""
    app = web.Application()
    app.router.add_route("OPTIONS", "/hello", hello)
    with pytest.raises(ValueError, match="already has OPTIONS handler"):
        apply_cors(app, Config())
