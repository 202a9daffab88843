"""The OpenAPI document: every route is in it, with its roles, and what is answered is as it says."""

from __future__ import annotations

import re

import jsonschema
import pytest
import yaml
from admin_case import Source, get
from aiohttp import hdrs

from proxyd.admin.app import admin_app
from proxyd.admin.openapi.described import described, description, operations, require_descriptions
from proxyd.admin.openapi.document import openapi
from proxyd.apps.roles import declared

from aiohttp import web  # isort: skip


def app():
    return admin_app(Source(), web.Application())


def test_every_route_is_in_the_document_with_its_roles():
    """By path and method, HEAD aside."""
    served = app()
    document = openapi(served)
    wanted = {
        (route.resource.canonical, route.method): declared(route, route.method)
        for route in served.router.routes()
        if route.method != hdrs.METH_HEAD
    }
    found = {
        (path, method.upper()): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert found.keys() == wanted.keys()
    for where, operation in found.items():
        assert frozenset(operation.get("x-roles", ())) == wanted[where].roles, where
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)


def test_every_reference_leads_to_a_schema_that_is_one():
    """And no schema is there that nothing could mean."""
    document = openapi(app())
    schemas = document["components"]["schemas"]

    def references(value):
        if isinstance(value, dict):
            yield from (one for key, one in value.items() if key == "$ref")
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert {one.rpartition("/")[2] for one in references(document)} <= schemas.keys()
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_what_is_answered_is_as_the_document_says(serve):
    """Every collection, every entity, and what is above them."""
    client = await serve()
    document = await get(client, "/openapi.json")
    answered = 0
    for path in (
        "/services",
        "/routes",
        "/plugins",
        "/upstreams",
        "/consumers",
        "/key-auths",
        "/acls",
        "/tags",
    ):
        page = await get(client, path)
        _check(document, path, page)
        for entity in page["data"]:
            if "id" in entity:
                answered += 1
                (single,) = (
                    one for one in document["paths"] if one.startswith(f"{path}/{{") and one.count("/") == 2
                )
                _check(document, single, await get(client, f"{path}/{entity['id']}"))
    assert answered > 9
    _check(document, "/", await get(client, "/"))
    _check(document, "/endpoints", await get(client, "/endpoints"))


def _check(document, path, answer):
    told = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer, {**told, "components": document["components"]})


async def test_the_document_is_served_as_json_as_yaml_and_as_a_page(serve):
    """The page shows every operation and every schema, and takes nothing from elsewhere."""
    client = await serve()
    document = await get(client, "/openapi.json")
    assert document["openapi"] == "3.1.0"
    async with client.get("/openapi.yaml") as response:
        assert yaml.safe_load(await response.text()) == document
    async with client.get("/docs") as response:
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        html = await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(re.findall('(?:src|href)="([^"#]+)', html)) == {
        "data:,",
        "docs/page.css",
        "docs/page.js",
        "openapi.json",
        "openapi.yaml",
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in html
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in html
    for path, kind in (("/docs/page.css", "text/css"), ("/docs/page.js", "text/javascript")):
        async with client.get(path) as response:
            assert (response.status, response.content_type) == (200, kind)


def test_a_route_that_nobody_describes_is_refused_at_the_start():
    """A docstring is enough, and more can be said by described."""

    async def silent(request):
        pass

    async def telling(request):
        """Say it."""

    @described("Say more.", answers={204: None})
    async def more(request):
        """Say it."""

    served = web.Application()
    served.router.add_get("/telling", telling)
    served.router.add_get("/more", more)
    summaries = [description(route, method).summary for _, method, route in operations(served)]
    assert summaries == ["Say it.", "Say more."]
    require_descriptions(served)
    served.router.add_post("/silent", silent)
    with pytest.raises(ValueError, match="no description of POST /silent"):
        require_descriptions(served)


async def test_an_offset_that_no_page_has_given_is_refused(serve):
    """Whatever stands there: no base64, no text behind it, no ASCII."""
    client = await serve()
    for offset in ("%20", "gICA", "%C2%B9", "AAAA"):
        refused = await get(client, f"/services?offset={offset}", 400)
        assert list(refused["fields"]) == ["offset"], offset
