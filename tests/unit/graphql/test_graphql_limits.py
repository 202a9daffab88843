"""Limits: enforced or measured, and told with what was found."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.graphql.examiner import Examiner
from proxyd.graphql.limits import Counts, Limits
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked
from proxyd.graphql.variables import Variables, nesting
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

FRAGMENTS = "{ ...F ...F } fragment F on T { a b: a }"
DEEP = {"a": {"b": [{"c": 1}]}}

BEYOND = [
    ("document_size", {"max_document_size": 10}, "{ abcdefghijk }", {}, 15),
    ("tokens", {"max_tokens": 4}, "{ a b c }", {}, 5),
    ("nesting", {"max_nesting": 2}, "{ a(b: [1]) }", {}, 3),
    ("nesting", {"max_nesting": 2}, "{ ...F } fragment F on T { ...G } fragment G on T { a }", {}, 3),
    ("operations", {"max_operations": 1}, "query A { a } query B { a }", {}, 2),
    ("depth", {"max_depth": 2}, "{ a { ... { b { c } } } }", {}, 3),
    ("root_fields", {"max_root_fields": 3}, FRAGMENTS, {}, 4),
    ("fields", {"max_fields": 3}, FRAGMENTS, {}, 4),
    ("aliases", {"max_aliases": 1}, FRAGMENTS, {}, 2),
    ("directives", {"max_directives": 1}, "{ a @b @c }", {}, 2),
    ("variables_size", {"max_variables_size": 10}, "{ a }", {"b": "123456789"}, 17),
    ("variables_nesting", {"max_variables_nesting": 3}, "{ a }", DEEP, 4),
]


def examined(text, variables, **limits):
    """Examine an operation, and return what is noted of it."""
    limits = Limits(**limits)
    head = RequestHead("POST", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    asked = Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)
    Examiner([Counts(limits), Variables(limits)], limits=limits).examine(
        asked,
        Asked({"query": text, "operationName": "A" if "A" in text else None, "variables": variables}, 500),
    )
    return asked.graphql


@pytest.mark.parametrize(("name", "limits", "text", "variables", "found"), BEYOND)
def test_what_is_beyond_a_limit_is_refused(name, limits, text, variables, found):
    """With the limit's name, what it allows and what was found; what is exactly as much as allowed passes."""
    with pytest.raises(Refused) as caught:
        examined(text, variables, **limits)
    (setting, maximum) = next(iter(limits.items()))
    assert (caught.value.status, caught.value.code) == (400, "LIMIT_EXCEEDED")
    assert caught.value.extensions == {"limit": name, "maximum": maximum, "found": found}
    assert caught.value.message == f"The request is beyond the limit of {name.replace('_', ' ')}"
    assert examined(text, variables, **{setting: found}).exceeded == ()


@pytest.mark.parametrize(("name", "limits", "text", "variables", "found"), BEYOND)
def test_what_is_only_measured_passes(name, limits, text, variables, found):
    """And is told of, for as long as there is a gateway to tell it."""
    del found
    assert examined(text, variables, measure=(name,), **limits).exceeded == (name,)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokens", "{ " + "a " * 20_000 + "}"),
        ("nesting", "{ a" * 101 + "}" * 101),
        (
            "nesting",
            "{ ...F0 } "
            + "".join(f"fragment F{i} on T {{ ...F{i + 1} }} " for i in range(200))
            + "fragment F200 on T { a }",
        ),
        ("document_size", "{ a } #" + "a" * 1_048_576),
    ],
)
def test_what_would_harm_the_gateway_is_refused_all_the_same(name, text):
    """What is measured has a limit too."""
    most = {"max_fields": 100_000, "max_root_fields": 100_000, "max_tokens": 20_000, "max_depth": 1000}
    most |= {"max_document_size": 1_048_576}
    with pytest.raises(Refused) as caught:
        examined(text, {}, **most, measure=("nesting", "tokens", "document_size", "depth"))
    assert caught.value.extensions["limit"] == name


def test_what_is_allowed_by_default():
    """The introspection that tools send, and what an application's largest screen asks for."""
    from graphql import get_introspection_query  # noqa: PLC0415

    assert examined(get_introspection_query(), {}).depth == 15
    fields = " ".join(f"field{i}(first: $n) {{ id name edges {{ node {{ id ...F }} }} }}" for i in range(18))
    assert examined(f"query A($n: Int) {{ {fields} }} fragment F on T {{ a b c d }}", {"n": 1}).name == "A"


def test_the_nesting_of_variables_is_counted_without_recursion():
    """To one more than is asked about, however deep they are."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert nesting({"a": deep}, 20) == 21
    assert nesting({"a": [1, {"b": 2}]}, 20) == 3
