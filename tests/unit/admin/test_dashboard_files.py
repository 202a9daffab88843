"""The dashboard's files: who is given which, how long they are kept, and what they may reach."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from proxyd.admin.answers import answer, refusals
from proxyd.admin.dashboard.files import INDEX, PREFIX, Files, front_page
from proxyd.apps.roles import public, require_declarations

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "proxyd/admin/dashboard/static"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture
async def client():
    """Give a client of the files, with a document at ``/``."""

    @public
    async def document(_request):
        return answer({"tagline": "Welcome"})

    files = Files()
    app = web.Application(middlewares=[refusals, front_page(files)])
    app.router.add_get("/", document)
    files.add_to(app)
    client = TestClient(TestServer(require_declarations(app)))
    await client.start_server()
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.1", False),
        ("", False),
    ],
)
async def test_the_front_page_is_for_browsers(client, accept, html):
    """Who does not name HTML finds what Kong has there; caches are told that it depends."""
    async with client.get("/", headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.content_type == ("text/html" if html else "application/json")
        assert response.headers["Vary"] == "Accept"


async def test_a_file_is_fetched_again_only_when_it_has_changed(client):
    """It is asked about with every visit, by a mark of its content."""
    async with client.get(PREFIX + "app.js") as response:
        assert response.content_type == "text/javascript"
        assert response.headers["Cache-Control"] == "no-cache"
        mark = response.headers["ETag"]
        assert (await response.read()) == (STATIC / "app.js").read_bytes()
    async with client.get(PREFIX + "app.js", headers={"If-None-Match": mark}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with client.get(PREFIX + "app.js", headers={"If-None-Match": '"other"'}) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/", PREFIX + "app.js", "/dashboard"])
async def test_a_page_may_use_this_listener_and_nothing_else(client, path):
    """The policy has no exception for what is written into a page, and nobody may frame it."""
    async with client.get(path, headers={"Accept": BROWSER}) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["nothing.js", "../files.py", "..%2ffiles.py", "pages/../../files.py", "pages"]
)
async def test_only_these_files_are_given(client, path):
    """No path leads out of them."""
    async with client.get(PREFIX + path) as response:
        assert response.status == 404
        assert "def " not in await response.text()


def test_every_file_is_served():
    """A file of a kind that is not known would be missing in the page."""
    there = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    assert set(Files()) == there
    assert INDEX in there


def test_every_import_of_a_module_is_there():
    """There is no build that would find out."""
    missing = []
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'(?:from|import)\s+"(\.[^"]+)"|module:\s*"(\.[^"]+)"', path.read_text()):
            where = path.parent / (name[0] or name[1])
            if not where.is_file():
                missing.append(f"{path.name}: {where}")
    assert missing == []


@pytest.mark.parametrize("name", sorted(Files()))
def test_no_file_names_another_host_or_makes_elements_of_text(name):
    """Everything comes from here, and what an entity is called stays text."""
    text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")
    text = re.sub(r"placeholder: \"https?://[^\"]*\"", "", text)
    assert re.findall(r"https?://[\w.]+", text) == []
    assert (
        re.findall(r"\.innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        == []
    )


def test_a_distribution_has_them():
    """Package data that no pattern names would be missing in an installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["proxyd"]
    assert {f"**/*{Path(name).suffix}" for name in Files()} <= set(patterns)
