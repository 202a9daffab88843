"""Documents of any kind, on their way through an examiner: an operation, or a refusal, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.exchange import Client, Exchange
from proxyd.graphql.cache import Cache
from proxyd.graphql.document import Document
from proxyd.graphql.examiner import Examiner
from proxyd.graphql.limits import MOST_NESTING, Counts, Limits
from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import Asked
from proxyd.graphql.steps import Step
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead


def examine(examiner, text, **members):
    """Examine one operation."""
    head = RequestHead("POST", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    exchange = Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)
    return examiner.examine(exchange, Asked({"query": text, **members}))


WORDS = [
    *("{", "}", "(", ")", "[", "]", ":", "!", "=", "@", "$", "...", "&", "|"),
    *(
        "query",
        "mutation",
        "subscription",
        "fragment",
        "on",
        "F",
        "G",
        "a",
        "b",
        "true",
        "null",
        "extend",
        "type",
    ),
    *("1", "-1.5", '"x"', '"""y"""', '"', "#", "\n", "\\"),
]
GENEROUS = Limits(max_nesting=MOST_NESTING, max_depth=1000, max_tokens=20_000)


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=40))
def test_any_text(text):
    """Is an operation or is refused, and the second time as the first."""
    examiner = Examiner([Counts(GENEROUS)], limits=GENEROUS)
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(examine(examiner, text).name)
        except Refused as refused:
            outcomes.append((refused.status, refused.code, refused.message))
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], str) or outcomes[0][0] == 400


@pytest.mark.parametrize(
    "text",
    [
        "{ a" * 100 + "}" * 100,
        "{ ... " * 99 + "{ a }" + "}" * 99,
        "{ a(b: " + "[" * 98 + "]" * 98 + ") }",
        "{ a(b: " + "{ a: " * 98 + "1" + "}" * 98 + ") }",
        "query ($a: " + "[" * 99 + "I" + "]" * 99 + ") { a }",
    ],
)
def test_the_deepest_that_a_setting_allows_meets_no_limit_of_recursion(text):
    """Wherever the nesting is."""
    assert examine(Examiner([Counts(GENEROUS)], limits=GENEROUS), text).type == "query"


class Once(Step):
    """Notes what it learns, and looks at trees."""

    def __init__(self):
        self.learned = []

    def learn(self, document):
        assert document.syntax is not None
        self.learned.append([operation.node.name.value for operation in document.operations.values()])


def test_a_step_learns_once_and_the_tree_is_let_go():
    """What it needs later it notes."""
    step = Once()
    examiner = Examiner([step])
    for name in ("A", "B", "A"):
        operation = examine(examiner, "query A { a } query B { b }", operationName=name)
        assert operation.name == name
    assert step.learned == [["A", "B"]]
    assert (operation.node, operation.document.syntax, operation.document.fragments) == (None, None, {})
    examiner.forget()
    examine(examiner, "query A { a }")
    assert step.learned == [["A", "B"], ["A"]]


def test_nobody_learns_of_what_is_refused_already():
    """Validation takes longest, and limits come before it."""
    step = Once()
    limits = Limits(max_depth=1)
    examiner = Examiner([Counts(limits), step], limits=limits)
    with pytest.raises(Refused):
        examine(examiner, "query A { a { b } }")
    assert step.learned == []
    assert examine(examiner, "query A { a { b } } query B { a }", operationName="B").name == "B"
    assert step.learned == [["A", "B"]]


def test_the_operation_that_is_meant():
    """By its name; without one, the only one there is."""
    one, two = Document("query A { a }"), Document("query A { a } mutation B { b }")
    assert (one.operation(None).name, one.operation("").name, one.operation("A").name) == ("A", "A", "A")
    assert two.operation("B").type == "mutation"
    for document, name in (
        (one, "B"),
        (two, None),
        (two, ""),
        (two, "C"),
        (Document("fragment F on T { a }"), None),
    ):
        with pytest.raises(Refused) as caught:
            document.operation(name)
        assert caught.value.code == "OPERATION_RESOLUTION_FAILURE"


def test_an_examiner_shows_its_cache():
    """And a document what it is."""
    examiner = Examiner(cache=Cache(max_documents=10))
    operation = examine(examiner, "{ a }")
    assert repr(examiner).startswith("<Examiner <Cache documents=0+1 ")
    assert repr(operation) == "<Operation query anonymous>"
    assert repr(operation.document) == f"<Document {operation.document.digest[:12]} operations=1>"
