"""The configuration that ships: it loads, and sends each kind of client where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyd.gateway.paths import compile_joiner
from proxyd.gateway.router import Router
from proxyd.http1.headers import Headers
from proxyd.model.load import load
from proxyd.plugins import PLUGINS

ROOT = Path(__file__).parents[2]
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def loaded():
    path = ROOT / "config/proxyd.yml"
    return load(path, env=EXAMPLE, plugins={plugin.name: plugin.Config for plugin in PLUGINS})


def test_it_loads_without_a_warning(loaded):
    """Nothing in the file that everybody starts from is doubtful."""
    assert loaded.warnings == []


def test_the_example_environment_is_complete():
    """Each variable that the file names is explained in .env.example."""
    text = (ROOT / "config/proxyd.yml").read_text()
    named = set(re.findall(r'\{\{ env "(\w+)" \}\}', text))
    named |= {name.upper().replace("-", "_") for name in re.findall(r"\{vault://env/([\w-]+)", text)}
    assert named
    assert named <= EXAMPLE.keys()


@pytest.mark.parametrize(
    ("method", "path", "route", "upstream_path"),
    [
        ("GET", "/api/proxy/orders", "web-rest", "/orders"),
        ("DELETE", "/api/proxy/orders/1", "web-rest", "/orders/1"),
        ("GET", "/api/orders", "mobile-rest", "/orders"),
        ("POST", "/api/graphql", "web-graphql", "/graphql"),
        ("POST", "/graphql", "mobile-graphql", "/graphql"),
        ("GET", "/ws", "socket", "/ws"),
        ("GET", "/api/internal/x", "internal", None),
        ("GET", "/api/proxy/internal", "internal", None),
        ("GET", "/api/internals", "mobile-rest", "/internals"),
        ("GET", "/wsx", None, None),
        ("GET", "/orders", None, None),
    ],
)
def test_each_path_goes_where_the_file_says(loaded, method, path, route, upstream_path):
    """Web and mobile paths reach the same backend paths, and the rest reaches nothing."""
    configuration = loaded.configuration
    router = Router((each, each.service) for each in configuration.routes.values())
    match = router.match("http", method, "localhost:8000", path, Headers(), "")
    assert (match and match.route.name) == route
    if upstream_path:
        service = configuration.services[match.route.service]
        assert compile_joiner(match.route, service)(match.prefix, path) == upstream_path
