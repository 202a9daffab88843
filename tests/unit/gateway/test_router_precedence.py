"""Which route wins: each rule of Kong's order, and each kind of condition."""

from __future__ import annotations

import pytest

from proxyd.gateway.router import PatternError, Router
from proxyd.gateway.router.patterns import Pattern
from proxyd.http1.headers import Headers
from proxyd.model.entities import Route


def routes(*fields):
    """Number the routes r0, r1... in the order given."""
    return [(Route(id=f"r{number}", **each), number) for number, each in enumerate(fields)]


def winner(router, path="/", *, method="GET", host="h", scheme="http", headers=(), sni=""):
    """Return the number of the route that wins, asked twice: from the index and from memory."""
    section = Headers.of(headers)
    first = router.match(scheme, method, host, path, section, sni)
    again = router.match(scheme, method, host, path, section, sni)
    assert first is again
    return None if first is None else first.payload


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("better", "worse", "request_"),
    [
        # more kinds of conditions
        ({"paths": ["/"], "methods": ["GET"]}, {"paths": ["/a/long/path"]}, {"path": "/a/long/path"}),
        ({"paths": ["/"], "methods": ["GET"]}, {"hosts": ["h"]}, {}),
        ({"methods": ["GET"], "snis": ["s"]}, {"hosts": ["h"]}, {"scheme": "https", "sni": "s"}),
        ({"methods": ["GET"], "snis": ["s"]}, {"hosts": ["h"]}, {"scheme": "http"}),
        # plain hosts before wildcards, and before no hosts
        (
            {"hosts": ["h.x"], "paths": ["/"]},
            {"hosts": ["*.x"], "paths": ["/longer"]},
            {"host": "h.x", "path": "/longer"},
        ),
        ({"hosts": ["h.x"]}, {"hosts": ["h.x", "*.y"]}, {"host": "h.x"}),
        ({"hosts": ["h"]}, {"paths": ["/"]}, {}),
        ({"hosts": ["h"], "methods": ["GET"]}, {"paths": ["/long"], "methods": ["GET"]}, {"path": "/long"}),
        # the number of headers before the path
        (
            {"paths": ["/"], "headers": {"a": ["1"], "b": ["2"]}},
            {"paths": ["~/long"], "headers": {"a": ["1"]}},
            {"path": "/long", "headers": [(b"a", b"1"), (b"b", b"2")]},
        ),
        # regular expressions before prefixes, whatever the length
        ({"paths": ["~/a"]}, {"paths": ["/a/b/c"]}, {"path": "/a/b/c"}),
        # regex_priority among regular expressions
        ({"paths": ["~/a"], "regex_priority": 1}, {"paths": ["~/a/b"]}, {"path": "/a/b"}),
        ({"paths": ["~/a"]}, {"paths": ["~/a/b"], "regex_priority": -1}, {"path": "/a/b"}),
        # and only there
        ({"paths": ["/ab"]}, {"paths": ["/a"], "regex_priority": 9}, {"path": "/ab"}),
        # the longer prefix
        ({"paths": ["/a/b"]}, {"paths": ["/a"]}, {"path": "/a/b"}),
        # regex_priority does not cross hosts: plain hosts count first
        (
            {"hosts": ["a.x"], "paths": ["/"]},
            {"hosts": ["*.x"], "paths": ["~/"], "regex_priority": 200},
            {"host": "a.x"},
        ),
        # a route of mixed paths ranks by the path that matches
        ({"paths": ["/abc"]}, {"paths": ["/a", "/much/longer", "~/never$"]}, {"path": "/abc"}),
        ({"paths": ["~/x", "/a"]}, {"paths": ["/x/longer"]}, {"path": "/x/longer"}),
    ],
)
def test_the_better_rule_wins_in_either_order(better, worse, request_, swapped):
    """The order of the file does not matter where the rank differs."""
    router = Router(routes(*([worse, better] if swapped else [better, worse])))
    assert winner(router, **request_) == int(swapped)


def test_between_equals_the_order_of_the_file_decides():
    """Equal ranks have a defined winner."""
    router = Router(routes({"paths": ["/a"]}, {"paths": ["/a"]}, {"paths": ["~/b"]}, {"paths": ["~/b/c"]}))
    assert winner(router, "/a") == 0
    assert winner(router, "/b/c") == 2


def test_hosts_do_not_outrank_paths_of_equal_count():
    """Unlike Kong's old router, the count of kinds decides and not which they are."""
    router = Router(routes({"headers": {"a": ["1"]}}, {"hosts": ["*.x"]}))
    assert winner(router, host="h.x", headers=[(b"a", b"1")]) == 0


@pytest.mark.parametrize(
    ("pattern", "host", "scheme", "matches"),
    [
        ("example.com", "example.com", "http", True),
        ("Example.com", "example.com", "http", True),
        ("example.com.", "example.com", "http", True),
        ("example.com", "example.com:1234", "http", True),
        ("example.com", "www.example.com", "http", False),
        ("*.example.com", "www.example.com", "http", True),
        ("*.example.com", "a.b.example.com", "http", True),
        ("*.example.com", "example.com", "http", False),
        ("*.example.com", "wwwexample.com", "http", False),
        ("example.*", "example.com", "http", True),
        ("example.*", "example.co.uk:80", "http", True),
        ("example.*", "www.example.com", "http", False),
        ("example.com:8000", "example.com:8000", "http", True),
        ("example.com:8000", "example.com:8001", "http", False),
        ("example.com:8000", "example.com", "http", False),
        ("example.com:80", "example.com", "http", True),
        ("example.com:80", "example.com", "https", False),
        ("example.com:443", "example.com", "https", True),
        ("*.example.com:8000", "www.example.com:8000", "http", True),
        ("*.example.com:8000", "www.example.com", "http", False),
        ("[::1]", "[::1]", "http", True),
        ("::1", "[::1]:8000", "http", True),
        ("[0:0::1]", "[::1]", "http", True),
        ("[::1]:8000", "[::1]:8000", "http", True),
        ("[::1]:8000", "[::1]", "http", False),
        ("example.com", "", "http", False),
    ],
)
def test_hosts_match_names_wildcards_and_ports(pattern, host, scheme, matches):
    """A host without a port takes any; with one, only that."""
    router = Router(routes({"hosts": [pattern]}))
    assert (winner(router, host=host, scheme=scheme) == 0) is matches


def test_a_host_given_with_and_without_port_takes_any_port():
    """Values of one field are alternatives."""
    router = Router(routes({"hosts": ["a:80", "a", "b:80", "b:81"]}))
    assert [winner(router, host=host) for host in ("a:9", "b:80", "b:81", "b:9")] == [0, 0, 0, None]


def test_every_wildcard_that_fits_a_known_host_is_asked():
    """A name that one route lists is still matched by others' wildcards and by routes without hosts."""
    router = Router(
        routes(
            {"hosts": ["a.b.x"], "paths": ["/exact"]},
            {"hosts": ["*.x"], "paths": ["/suffix"]},
            {"hosts": ["a.*"], "paths": ["/prefix"]},
            {"paths": ["/any"]},
        )
    )
    assert [winner(router, path, host="a.b.x") for path in ("/exact", "/suffix", "/prefix", "/any", "/")] == [
        0,
        1,
        2,
        3,
        None,
    ]


@pytest.mark.parametrize(
    ("wanted", "sent", "matches"),
    [
        (["v1"], [(b"X-Version", b"v1")], True),
        (["V1"], [(b"x-version", b"v1")], True),
        (["v1"], [(b"x-version", b"V1")], True),
        (["v1", "v2"], [(b"x-version", b"v2")], True),
        (["v1"], [(b"x-version", b"v0"), (b"x-version", b"v1")], True),
        (["v1"], [(b"x-version", b"v1, v2")], False),
        (["v1"], [], False),
        (["~*^v[0-9]+$"], [(b"x-version", b"V12")], True),
        (["~*[0-9]"], [(b"x-version", b"beta-2x")], True),
        (["~*^\\D+$"], [(b"x-version", b"beta")], True),
        (["~*^v[0-9]+$"], [(b"x-version", b"v")], False),
        (["~*x", "plain"], [(b"x-version", b"plain")], True),
    ],
)
def test_headers_match_in_any_case(wanted, sent, matches):
    """Any of the values sent may equal any of the values wanted, or match an expression."""
    router = Router(routes({"headers": {"X-Version": wanted}}))
    assert (winner(router, headers=sent) == 0) is matches


def test_all_headers_must_match():
    """Fields are joined by and."""
    router = Router(routes({"headers": {"a": ["1"], "b": ["2"]}}))
    assert winner(router, headers=[(b"a", b"1")]) is None
    assert winner(router, headers=[(b"a", b"1"), (b"b", b"2")]) == 0


def test_methods_match_exactly():
    """Methods are case-sensitive, and HEAD is not GET."""
    router = Router(routes({"methods": ["GET", "PURGE"]}))
    assert [winner(router, method=method) for method in ("GET", "PURGE", "get", "HEAD", "POST")] == [
        0,
        0,
        None,
        None,
        None,
    ]


def test_snis_are_ignored_on_plain_http():
    """A server name can only be asked for where there is a handshake."""
    router = Router(routes({"snis": ["a.x", "B.x."]}))
    assert winner(router, scheme="https", sni="a.x") == 0
    assert winner(router, scheme="https", sni="b.x") == 0
    assert winner(router, scheme="https", sni="c.x") is None
    assert winner(router, scheme="https") is None
    assert winner(router, scheme="http") == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("protocols", [["http"], ["https"], ["http", "https"]])
def test_protocols_do_not_choose_the_winner(scheme, protocols):
    """As in Kong: whoever enforces https does so on the route that won."""
    router = Router(routes({"paths": ["/a"], "protocols": protocols}, {"paths": ["/"]}))
    assert winner(router, "/a", scheme=scheme) == 0


def test_prefixes_are_strings_and_not_segments():
    """As in Kong, /users takes /usersclass too."""
    assert winner(Router(routes({"paths": ["/users"]})), "/usersclass") == 0


def test_a_plain_path_never_is_a_regular_expression():
    """Only ~ marks one."""
    router = Router(routes({"paths": ["/a.c"]}))
    assert winner(router, "/a.c") == 0
    assert winner(router, "/abc") is None


def test_regular_expressions_are_anchored_at_the_start_only():
    """What follows the match is not looked at."""
    router = Router(routes({"paths": ["~/a[0-9]"]}))
    assert winner(router, "/a1/rest") == 0
    assert winner(router, "/x/a1") is None


@pytest.mark.parametrize("group", ["(?<id>[0-9]+)", "(?P<id>[0-9]+)"])
def test_captures_come_by_number_and_by_name(group):
    """Both spellings of a named group; groups that took no part are left out."""
    router = Router(routes({"paths": [f"~/u/{group}/(x)?(y)?"]}))
    match = router.match("http", "GET", "h", "/u/42/y/rest", Headers(), "")
    assert match is not None
    assert match.prefix == "/u/42/y"
    assert match.captures == {1: "42", "id": "42", 3: "y"}


def test_the_first_expression_of_a_route_captures():
    """Alternatives are tried in the order of the file."""
    router = Router(routes({"paths": ["~/(?<a>x)", "~/(?<b>x)/y"]}))
    match = router.match("http", "GET", "h", "/x/y", Headers(), "")
    assert match is not None
    assert match.captures == {1: "x", "a": "x"}


def test_the_prefix_is_what_strip_path_takes_off():
    """Nothing where the route does not strip or asks for no path; no captures without groups."""
    router = Router(
        routes(
            {"paths": ["/a"]},
            {"paths": ["/b"], "strip_path": False},
            {"paths": ["~/c+"]},
            {"paths": ["~/d+"], "strip_path": False},
            {"methods": ["PUT"]},
        )
    )
    found = [
        router.match("http", method, "h", path, Headers(), "")
        for method, path in [
            ("GET", "/a/x"),
            ("GET", "/b/x"),
            ("GET", "/ccc/x"),
            ("GET", "/dd"),
            ("PUT", "/e"),
        ]
    ]
    assert [(match.payload, match.prefix, match.captures) for match in found if match] == [
        (0, "/a", None),
        (1, "", None),
        (2, "/ccc", None),
        (3, "", None),
        (4, "", None),
    ]


@pytest.mark.parametrize("source", ["/a(?=b)", "/a(?!b)", "/(?<=a)b", "/(a)\\1", "/(", "/a{2,1}"])
def test_what_cannot_run_in_linear_time_is_refused(source, capfd):
    """Look-around, back-references and broken expressions, without a word on standard error."""
    with pytest.raises(PatternError):
        Pattern(source)
    assert not capfd.readouterr().err


def test_a_catastrophic_expression_is_harmless():
    """Nested repetition over a long path ends."""
    router = Router(routes({"paths": ["~/(a*)*b$"]}))
    assert winner(router, "/" + "a" * 5000) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/public/x", 1),
        ("/public%2Fx", 1),
        ("/admin/x", 0),
        ("/admin%2Fx", 0),
        ("/%2Fadmin", None),
        ("/x%2Fy", 2),
        ("/public%2F%2Fx", 1),
        ("/a:b", 3),
        ("/a%3Ab", None),
        ("/a%5Cb", 2),
        ("/pub/%5Cc", None),
        ("/caf%C3%A9", 2),
    ],
)
def test_an_escape_reaches_no_route_that_its_plain_form_would_not(path, expected):
    """A backend that decodes more than the gateway must not be a way round a route's plugins."""
    router = Router(
        routes(
            {"paths": ["/admin"]},
            {"paths": ["/public"]},
            {"paths": ["/"]},
            {"paths": ["/a:b"]},
            {"paths": ["/pub/c"]},
        )
    )
    assert winner(router, path) == expected


def test_the_asterisk_goes_to_routes_without_paths():
    """OPTIONS * has no path to match."""
    router = Router(routes({"paths": ["/"]}, {"methods": ["OPTIONS"]}))
    assert winner(router, "*", method="OPTIONS") == 1


def test_an_empty_router_matches_nothing():
    """No routes, no winner."""
    router = Router([])
    assert winner(router) is None
    assert router.order() == []


def test_many_expressions_at_one_prefix_are_one_set():
    """Ranks, captures and further conditions hold when expressions are tested together."""
    fields = [{"paths": [f"~/x/(?<v>[a-z]+)/r{number}$"]} for number in range(40)]
    fields[7]["methods"] = ["PUT"]
    fields.append({"paths": ["~/x/(?<w>.*)$"]})
    fields.append({"paths": ["~/x/a/r9$"], "regex_priority": 5})
    router = Router(routes(*fields))
    assert winner(router, "/x/a/r8") == 8
    assert winner(router, "/x/a/r9") == 41
    assert winner(router, "/x/a/r7") == 40
    assert winner(router, "/x/a/r7", method="PUT") == 7
    assert winner(router, "/x/1/r7") == 40
    assert winner(router, "/y") is None
