"""Who may call which handler, with an application by itself."""

from __future__ import annotations

import functools

import pytest
from aiohttp import web

from proxyd.apps.caller import NOBODY, Caller, as_caller
from proxyd.apps.roles import authenticated, public, require_declarations, roles, roles_guard, undeclared

ANN = Caller(consumer="1", username="ann", groups=("staff",))
GHOST = Caller(consumer="2", username="ghost", anonymous=True, groups=("guests",))
TOKEN = Caller(credential="u1", claims={"realm": {"roles": ["admin"]}})


async def hello(request):
    del request
    return web.Response(text="hello")


@public
async def open_to_all(request):
    return await hello(request)


@authenticated
async def for_known(request):
    return await hello(request)


@roles("staff", "admin")
async def for_staff(request):
    return await hello(request)


@roles("guests")
async def partly(extra, request):
    del extra
    return await hello(request)


@roles("admin")
class Report(web.View):
    """For one role, but for a method."""

    async def get(self):
        return web.Response(text="report")

    @roles("staff")
    async def post(self):
        return web.Response(text="made")


def make(caller=NOBODY, **guard):
    app = web.Application(middlewares=[as_caller(caller), roles_guard(**guard)])
    add = app.router.add_get
    add("/open", open_to_all, allow_head=False)
    add("/known", for_known, allow_head=False)
    add("/staff", for_staff, allow_head=False)
    add("/guests", functools.partial(partly, "x"), allow_head=False)
    app.router.add_view("/report", Report)
    add("/forgotten", hello, allow_head=False)
    return app


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (NOBODY, {"open": 200, "known": 401, "staff": 401, "guests": 401, "report": 401, "forgotten": 401}),
        (ANN, {"open": 200, "known": 200, "staff": 200, "guests": 403, "report": 403, "forgotten": 403}),
        (GHOST, {"open": 200, "known": 401, "staff": 401, "guests": 200, "report": 401, "forgotten": 401}),
        (TOKEN, {"open": 200, "known": 200, "staff": 200, "guests": 403, "report": 200, "forgotten": 403}),
    ],
)
async def test_who_may_call(aiohttp_client, caller, expected):
    """401 is for who is not known, 403 for who is and may not; what nobody has declared is for nobody."""
    client = await aiohttp_client(make(caller, claim="realm.roles"))
    assert {path: (await client.get(f"/{path}")).status for path in expected} == expected


async def test_the_method_of_a_view_goes_before_the_view(aiohttp_client):
    """For each method that the view defines; others are not allowed at all."""
    client = await aiohttp_client(make(ANN))
    assert (await client.post("/report")).status == 200
    assert (await client.get("/report")).status == 403
    assert (await client.delete("/report")).status == 403
    admin = await aiohttp_client(make(Caller(consumer="3", groups=("admin",))))
    assert (await admin.delete("/report")).status == 405


async def test_answers(aiohttp_client):
    """JSON, with a challenge where somebody could prove who it is; what is not there is 404 for everybody."""
    client = await aiohttp_client(make(realm='my "shop"'))
    unknown = await client.get("/known")
    assert (await unknown.json(), unknown.headers["WWW-Authenticate"]) == (
        {"message": "Unauthorized"},
        r'Bearer realm="my \"shop\""',
    )
    assert [(await client.get("/nothing")).status, (await client.put("/open")).status] == [404, 405]
    known = await aiohttp_client(make(ANN))
    refused = await known.get("/guests")
    assert await refused.json() == {"message": "You cannot consume this service"}
    assert "WWW-Authenticate" not in refused.headers


async def test_roles_of_a_token_need_the_claim_to_be_named(aiohttp_client):
    """Without it, a token has none."""
    client = await aiohttp_client(make(TOKEN))
    assert (await client.get("/staff")).status == 403


async def test_an_application_within(aiohttp_client):
    """Is held by the guard of the one around it."""
    outer = web.Application(middlewares=[as_caller(ANN), roles_guard()])
    inner = web.Application()
    inner.router.add_get("/staff", for_staff)
    inner.router.add_get("/forgotten", hello)
    outer.add_subapp("/in", inner)
    client = await aiohttp_client(outer)
    statuses = [(await client.get(path)).status for path in ("/in/staff", "/in/forgotten", "/in/nothing")]
    assert statuses == [200, 403, 404]
    assert sorted(undeclared(outer)) == ["GET /in/forgotten", "HEAD /in/forgotten"]


def test_what_has_been_forgotten(tmp_path):
    """Is found before anybody asks for it, methods of views and files included."""

    class Half(web.View):
        @public
        async def get(self):
            return web.Response()

        async def put(self):
            return web.Response()

    app = web.Application()
    app.router.add_view("/half", Half)
    app.router.add_get("/open", open_to_all)
    app.router.add_static("/files", tmp_path)
    assert sorted(undeclared(app)) == ["GET /files", "HEAD /files", "PUT /half"]
    with pytest.raises(
        ValueError, match=r"neither roles nor public is declared for PUT /half, (GET|HEAD) /files"
    ):
        require_declarations(app)
    files = web.Application()
    public(files.router.add_static("/files", tmp_path))
    assert require_declarations(files) is files


@pytest.mark.parametrize("names", [(), ("",), (open_to_all,)])
def test_roles_need_names(names):
    """``@roles`` without its parentheses is such a mistake."""
    with pytest.raises(ValueError, match="needs the names of roles"):
        roles(*names)
