"""The router against a naive one: every route, every path, one by one, and the maximum of a tuple."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyd.errors import ProtocolError
from proxyd.gateway.router import Router
from proxyd.http1.headers import Headers
from proxyd.http1.target import normalise_path, plain_form
from proxyd.model.entities import Route

HOSTS = ["a.x", "b.x", "*.x", "a.*", "a.x:80", "*.x:81", "b.x:443", "c"]
PREFIXES = ["/", "/a", "/ab", "/a/", "/a/b", "/a/b/c", "/b", "/c:d"]
REGEXES = ["~/", "~/a", "~/a$", "~/[ab]+", "~/(?<x>a|b)(/b)?", "~/a/.", "~/c|/b", "~(?i)/A/B", "~/a/b/(c)$"]
METHODS = ["GET", "POST"]
HEADERS = {"x": ["1", "~*^[23]$", "~*a"], "y": ["1"]}
SNIS = ["a.x", "b.x"]


def some(values):
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


ROUTES = st.lists(
    st.fixed_dictionaries(
        {
            "hosts": some(HOSTS),
            "paths": some(PREFIXES + REGEXES),
            "methods": some(METHODS),
            "snis": some(SNIS),
            "headers": st.none()
            | st.dictionaries(
                st.sampled_from(["x", "Y"]), st.lists(st.sampled_from(HEADERS["x"]), min_size=1), min_size=1
            ),
            "regex_priority": st.integers(-1, 2),
            "strip_path": st.booleans(),
        }
    ),
    max_size=12,
)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["http", "https"]),
        st.sampled_from([*METHODS, "PUT"]),
        st.sampled_from(["a.x", "b.x", "q.x", "a.q", "c", "", "a.x:80", "q.x:81", "b.x:81", "d"]),
        st.text("/abcA:", max_size=8)
        | st.sampled_from(["a/b/c", "a%2Fb", "%2Fa", "a%3Ab", "c%3Ad", "a%2fb%2fc"]),
        st.lists(st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from([b"1", b"2", b"A"])), max_size=3),
        st.sampled_from(["", "a.x", "c.x"]),
    ),
    min_size=1,
    max_size=8,
)


def host_fits(pattern, host, scheme):
    name, _, port = pattern.partition(":")
    asked, _, asked_port = host.partition(":")
    if port and port != (asked_port or {"http": "80", "https": "443"}[scheme]):
        return False
    if name.startswith("*"):
        return asked.endswith(name[1:])
    if name.endswith("*"):
        return asked.startswith(name[:-1])
    return asked == name


def header_fits(wanted, values):
    return any(
        re.search(want[2:], value, re.IGNORECASE) if want.startswith("~*") else want.lower() == value.lower()
        for want in wanted
        for value in values
    )


def conditions_fit(route, request):
    scheme, method, host, _, headers, sni = request
    return (
        (not route["hosts"] or any(host_fits(pattern, host, scheme) for pattern in route["hosts"]))
        and (not route["methods"] or method in route["methods"])
        and (not route["snis"] or scheme != "https" or sni in route["snis"])
        and all(
            header_fits(wanted, [value.decode() for key, value in headers if key == name.lower().encode()])
            for name, wanted in (route["headers"] or {}).items()
        )
    )


def naive(routes, request):
    """Return (number, prefix, captures) of the best, by Kong's tuple and then by the file's order."""
    path = request[3]
    best = None
    for number, route in enumerate(routes):
        if not conditions_fit(route, request):
            continue
        kinds = sum(bool(route[kind]) for kind in ("hosts", "paths", "methods", "snis", "headers"))
        plain = bool(route["hosts"]) and not any("*" in pattern for pattern in route["hosts"])
        count = len(route["headers"] or {})
        for order, wanted in enumerate(route["paths"] or [""]):
            if wanted.startswith("~"):
                found = re.compile(wanted[1:].replace("(?<", "(?P<")).match(path)
                if found is None:
                    continue
                rank = (kinds, plain, count, True, route["regex_priority"], 0)
                prefix = found[0]
                captures = {k: v for k, v in enumerate(found.groups(), 1) if v is not None}
                captures |= {k: v for k, v in found.groupdict().items() if v is not None}
                captures = captures if found.re.groups else None
            else:
                if not path.startswith(wanted):
                    continue
                rank = (kinds, plain, count, False, 0, len(wanted))
                prefix, captures = wanted, None
            candidate = (rank, -number, -order)
            if best is None or candidate > best[0]:
                best = candidate, (number, prefix if route["strip_path"] else "", captures)
    return best and best[1]


@settings(max_examples=400, deadline=None)
@given(ROUTES, REQUESTS)
def test_the_router_equals_a_naive_one(fields, requests):
    """Same winner, same prefix, same captures, from the index, from memory and in the explanation."""
    router = Router([(Route(id=f"r{number}", **each), number) for number, each in enumerate(fields)])
    for scheme, method, host, text, pairs, sni in requests:
        try:
            path = normalise_path("/" + text)
        except ProtocolError:
            continue
        expected = naive(fields, (scheme, method, host, path, pairs, sni))
        if expected and plain_form(path) != path:
            plain = naive(fields, (scheme, method, host, plain_form(path), pairs, sni))
            if plain is None or plain[0] != expected[0]:
                expected = None
        headers = Headers.of(pairs)
        for _ in range(2):
            match = router.match(scheme, method, host, path, headers, sni)
            assert (match and (match.payload, match.prefix, match.captures)) == expected
        explanation = router.explain(scheme, method, host, path, headers, sni)
        assert (explanation.match and explanation.match.payload) == (expected and expected[0])
        wins = [verdict.route.id for verdict in explanation.verdicts if verdict.reason == "wins"]
        assert wins == ([f"r{expected[0]}"] if expected else [])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab/", max_size=6), min_size=1, max_size=40, unique=True), st.text("ab/", max_size=10)
)
def test_the_longest_of_many_nested_prefixes_wins(prefixes, tail):
    """However prefixes nest, and wherever the path falls between them."""
    paths = [normalise_path("/" + prefix) for prefix in prefixes]
    path = normalise_path("/" + tail)
    match = Router([(Route(id=each, paths=(each,)), each) for each in paths]).match(
        "http", "GET", "h", path, Headers(), ""
    )
    fitting = [prefix for prefix in paths if path.startswith(prefix)]
    assert (match and match.payload) == (max(fitting, key=len) if fitting else None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text("ab", max_size=3), min_size=6, max_size=30, unique=True), st.text("ab", max_size=6))
def test_a_set_of_expressions_equals_one_by_one(texts, tail):
    """Enough expressions at one prefix to be tested together."""
    fields = [
        (Route(id=text or "-", paths=(f"~/p?/?({text})",), regex_priority=len(text)), text) for text in texts
    ]
    match = Router(fields).match("http", "GET", "h", "//" + tail, Headers(), "")
    fitting = [text for text in texts if tail.startswith(text)]
    assert (match and match.payload) == (max(fitting, key=len) if fitting else None)
