"""The upstream's path: Kong's table for v0 and v1, and what the table leaves open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.errors import ProtocolError
from proxyd.gateway.paths import compile_joiner
from proxyd.gateway.router import Router
from proxyd.http1.headers import Headers
from proxyd.http1.target import normalise_path
from proxyd.model.entities import Route, Service


def joined(base, route_path, strip, handling, request):
    """Route the request and join its path, as the gateway does."""
    route = Route(
        id="r",
        paths=(route_path,) if route_path else None,
        methods=("GET",),
        strip_path=strip,
        path_handling=handling,
    )
    match = Router([(route, None)]).match("http", "GET", "h", request, Headers(), "")
    assert match is not None
    service = Service(id="s", host="b", path=base)
    return compile_joiner(route, service)(match.prefix, request)


@pytest.mark.parametrize(
    "row",
    [
        ("/s", "/fv0", False, "v0", "/fv0req", "/s/fv0req"),
        ("/s", "/fv1", False, "v1", "/fv1req", "/sfv1req"),
        ("/s", "/tv0", True, "v0", "/tv0req", "/s/req"),
        ("/s", "/tv1", True, "v1", "/tv1req", "/sreq"),
        ("/s", "/fv0/", False, "v0", "/fv0/req", "/s/fv0/req"),
        ("/s", "/fv1/", False, "v1", "/fv1/req", "/sfv1/req"),
        ("/s", "/tv0/", True, "v0", "/tv0/req", "/s/req"),
        ("/s", "/tv1/", True, "v1", "/tv1/req", "/sreq"),
        ("/s/", "/fv0", False, "v0", "/fv0req", "/s/fv0req"),
        ("/s/", "/fv1", False, "v1", "/fv1req", "/s/fv1req"),
        ("/s/", "/tv0", True, "v0", "/tv0req", "/s/req"),
        ("/s/", "/tv1", True, "v1", "/tv1req", "/s/req"),
        ("/s/", "/fv0/", False, "v0", "/fv0/req", "/s/fv0/req"),
        ("/s/", "/fv1/", False, "v1", "/fv1/req", "/s/fv1/req"),
        ("/s/", "/tv0/", True, "v0", "/tv0/req", "/s/req"),
        ("/s/", "/tv1/", True, "v1", "/tv1/req", "/s/req"),
        ("/s/", "/tv1", True, "v1", "/tv1/req", "/s/req"),
        ("/s", "/tv1", True, "v1", "/tv1/req", "/s/req"),
    ],
)
def test_kongs_table(row):
    """Each row that Kong documents for path_handling."""
    *given_, expected = row
    assert joined(*given_) == expected


@pytest.mark.parametrize(
    ("base", "route", "strip", "request_path", "expected"),
    [
        (None, "/api", True, "/api", "/"),
        (None, "/api", True, "/api/", "/"),
        (None, "/api", True, "/api/x", "/x"),
        (None, "/api", True, "/apix", "/x"),
        (None, "/", True, "/", "/"),
        (None, "/", True, "/x", "/x"),
        (None, "/api", False, "/api/x", "/api/x"),
        (None, None, True, "/x/", "/x/"),
        ("/s", "/api", True, "/api", "/s"),
        ("/s", "/api", True, "/api/", "/s/"),
        ("/s", "/api/", True, "/api/", "/s/"),
        ("/s/", "/api", True, "/api", "/s"),
        ("/s/", "/api", True, "/api/", "/s/"),
        ("/s", "/", True, "/", "/s"),
        ("/s/", "/", True, "/", "/s/"),
        ("/s", "/", False, "/", "/s"),
        ("/s/", "/", False, "/", "/s/"),
        ("/s", None, True, "/", "/s"),
        ("/s", None, True, "/x", "/s/x"),
        ("/s", "~/v[0-9]+", True, "/v12/x", "/s/x"),
        ("/s", "~/v[0-9]+", False, "/v12/x", "/s/v12/x"),
        ("/s", None, True, "*", "*"),
    ],
)
def test_v0_mirrors_the_trailing_slash(base, route, strip, request_path, expected):
    """An empty remainder keeps or drops the slash as the request had it."""
    assert joined(base, route, strip, "v0", request_path) == expected


@pytest.mark.parametrize("handling", ["v0", "v1"])
@pytest.mark.parametrize(
    ("request_path", "expected"),
    [("/api../x", "/s/x"), ("/api./x", "/s/x"), ("/api..", "/s/"), ("/api.", "/s/"), ("/api.x", "/s/.x")],
)
def test_stripping_leaves_no_dot_segment(handling, request_path, expected):
    """A prefix is a string; what stands behind it cannot climb out of the service's path."""
    assert joined("/s/", "/api", True, handling, request_path).rstrip("/") == expected.rstrip("/")


@pytest.mark.parametrize(("strip", "expected"), [(True, "*"), (False, "*")])
def test_the_asterisk_stays_itself_in_v1(strip, expected):
    """OPTIONS * is about the server and has no path to join."""
    route = Route(id="r", methods=("OPTIONS",), strip_path=strip, path_handling="v1")
    assert compile_joiner(route, Service(id="s", host="b", path="/s"))("", "*") == expected


def test_a_route_without_a_service_joins_with_nothing():
    """Plugins may answer for a service that is not there."""
    assert compile_joiner(Route(id="r", methods=("GET",)), None)("", "/x") == "/x"


@given(
    st.sampled_from([None, "/", "/s", "/s/", "/s/t"]),
    st.text("/.ab%2Fe", max_size=15),
    st.sampled_from(["/", "/a", "/a/", "/ab", "~/a.?", "~/[ab]+"]),
    st.booleans(),
)
def test_v0_always_gives_a_path_below_the_services(base, tail, route_path, strip):
    """Whatever is asked for, the result is normal and begins with the service's path."""
    try:
        path = normalise_path("/a" + tail)
    except ProtocolError:
        return
    route = Route(id="r", paths=(route_path,), strip_path=strip)
    match = Router([(route, None)]).match("http", "GET", "h", path, Headers(), "")
    if match is None:
        return
    result = compile_joiner(route, Service(id="s", host="b", path=base))(match.prefix, path)
    assert result.startswith((base or "/").rstrip("/"))
    assert result.startswith("/")
    assert not {".", ".."} & set(result.split("/"))
    assert "//" not in result
