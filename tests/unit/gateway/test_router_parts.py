"""The router's parts: memory, order, explanation, and what they print."""

from __future__ import annotations

from proxyd.gateway.router import Router
from proxyd.gateway.router.cache import RecentCache
from proxyd.gateway.router.patterns import Pattern, PatternSet
from proxyd.http1.headers import Headers
from proxyd.model.entities import Route

NONE = Headers()


def test_the_cache_forgets_what_was_not_asked_for():
    """Never more than two generations, and what is used stays."""
    cache = RecentCache(3)
    cache.put("kept", 1)
    for number in range(20):
        cache.put(number, number)
        assert cache.get("kept") == 1
    assert cache.get(0) is None
    assert repr(cache) == "<RecentCache young=3 old=3>"


def test_the_cache_knows_nothing_it_was_not_told():
    """A miss is None."""
    assert RecentCache(1).get("x") is None


def router_of(*fields):
    return Router(
        [
            (Route(id=f"r{number}", name=each.pop("name", None), **each), number)
            for number, each in enumerate(fields)
        ]
    )


def test_the_cache_stays_bounded_under_a_scan():
    """Strange paths, hosts, methods and headers do not fill the memory or push routes out."""
    router = router_of({"paths": ["/a"]}, {"paths": ["/b"], "headers": {"x": ["1"]}})
    known = router.match("http", "GET", "h", "/a", NONE, "")
    for number in range(12_000):
        router.match("http", f"M{number}", "h", f"/{number}", NONE, "")
    for size in (300, 8000):
        router.match("http", "GET", "h", "/" + "x" * size, NONE, "")
        router.match("http", "GET", "h", "/a", Headers.of([(b"x", b"v" * size)]), "")
    assert router.match("http", "GET", "h", "/a", NONE, "") is known
    assert "hits=<RecentCache young=1 old=0>" in repr(router)
    assert "misses=<RecentCache young=2000 old=5000>" in repr(router)


def test_the_key_holds_what_the_routes_look_at():
    """Ports, server names, schemes and header values of earlier requests do not leak into later ones."""
    router = router_of(
        {"hosts": ["h:81"]}, {"snis": ["s"]}, {"headers": {"x": ["1"]}}, {"methods": ["PUT"], "paths": ["/"]}
    )
    one = Headers.of([(b"x", b"1")])
    asked = [
        ("https", "GET", "h:81", "/", NONE, ""),
        ("https", "GET", "h:82", "/", NONE, ""),
        ("https", "GET", "h", "/", NONE, "s"),
        ("https", "GET", "h", "/", NONE, "t"),
        ("https", "GET", "h", "/", one, "t"),
        ("http", "GET", "h", "/", NONE, "t"),
        ("https", "PUT", "h", "/", NONE, "t"),
    ]
    for _ in range(2):
        found = [router.match(*each) for each in asked]
        assert [match and match.payload for match in found] == [0, None, 1, None, 2, 1, 3]


def test_order_lists_the_split_routes_best_first():
    """One line per prefix length and one for the regular expressions."""
    router = router_of({"paths": ["/a", "/b", "/long", "~/x", "~/y"], "name": "many"}, {"hosts": ["h"]})
    assert [(route.id, paths) for route, paths in router.order()] == [
        ("r1", ""),
        ("r0", "~/x ~/y"),
        ("r0", "/long"),
        ("r0", "/a /b"),
    ]


def test_explain_tells_what_each_route_lost_by():
    """Every criterion has its sentence, and every condition that failed its name."""
    router = router_of(
        {"paths": ["/a/b"], "methods": ["GET"], "name": "best"},
        {"paths": ["/a/b"], "methods": ["GET"]},
        {"paths": ["/a", "/"], "methods": ["GET"]},
        {"paths": ["/a/b/c"]},
        {"paths": ["~/x"], "methods": ["PUT"], "hosts": ["x"], "snis": ["s"], "headers": {"x": ["1"]}},
    )
    explanation = router.explain("https", "GET", "h", "/a/b/c", NONE, "")
    assert explanation.match is not None
    assert explanation.match.route.name == "best"
    assert [
        (verdict.route.id, verdict.paths, verdict.matches, verdict.reason) for verdict in explanation.verdicts
    ] == [
        ("r4", "~/x", False, "does not match: host, path, method, header x, sni"),
        ("r0", "/a/b", True, "wins"),
        ("r1", "/a/b", True, "matches, but loses to best: stands later in the file"),
        ("r2", "/a", True, "matches, but loses to best: shorter prefix (2 against 4)"),
        ("r2", "/", True, "matches, but loses to best: shorter prefix (1 against 4)"),
        ("r3", "/a/b/c", True, "matches, but loses to best: fewer kinds of conditions (1 against 2)"),
    ]


def test_explain_tells_of_an_escape_refused():
    """The route that would have won is named with the reason that it did not."""
    router = router_of({"paths": ["/a/b"]}, {"paths": ["/"]})
    explanation = router.explain("http", "GET", "h", "/a%2Fb", NONE, "")
    assert explanation.match is None
    assert [verdict.reason for verdict in explanation.verdicts] == [
        "does not match: path",
        "refused: its escapes, once decoded, would go elsewhere",
    ]


def test_explain_names_another_path_of_the_same_route():
    """A route does not lose to itself."""
    router = router_of({"paths": ["/a", "/ab"]})
    reasons = [verdict.reason for verdict in router.explain("http", "GET", "h", "/ab", NONE, "").verdicts]
    assert reasons == ["wins", "matches, but loses to r0: another path of the same route"]


def test_reprs_show_the_state():
    """What is printed in a debugger tells what it is."""
    router = router_of({"paths": ["/a"], "name": "one"}, {"hosts": ["h", "*.x"]})
    assert repr(router) == (
        "<Router rules=2 <HostIndex names=1 wildcards=1 any=True> "
        "hits=<RecentCache young=0 old=0> misses=<RecentCache young=0 old=0>>"
    )
    assert repr(router.match("http", "GET", "q", "/a/b", NONE, "")) == "<Match one prefix='/a' captures=None>"


def test_a_literal_prefix_is_one_of_every_match():
    """Alternatives, flags and repetition shorten it; escapes do not."""
    sources = ["/api/(v1|v2)/x", "/a|/b", "(?i)/abc", r"/a\.b/.*", "/ab*", "/a?b", ".*"]
    prefixes = [Pattern(source).literal_prefix() for source in sources]
    texts = ["/api/v1/x", "/b", "/ABC", "/a.b/c", "/a", "/b", "q"]
    assert prefixes[0].startswith("/api/")
    assert prefixes[3].startswith("/a.b")
    assert all(text.startswith(prefix) for text, prefix in zip(texts, prefixes, strict=True))


def test_a_set_too_large_for_one_automaton_becomes_several(monkeypatch):
    """Memory bounds the size of a set, not what a file may hold."""
    monkeypatch.setattr("proxyd.gateway.router.patterns.SET_MEMORY", 1 << 20)
    patterns = PatternSet([Pattern(f"/{number}/[a-z]{{50}}$") for number in range(300)])
    assert patterns.matching("/7/" + "x" * 50) == [7]
    assert patterns.matching("/299/" + "x" * 50) == [299]
    assert patterns.matching("/7/x") == []
    assert repr(patterns) == "<PatternSet of 300>"
