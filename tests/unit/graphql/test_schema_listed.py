"""Listed documents beside a schema: who is told of those that are not valid."""

from __future__ import annotations

import asyncio

import pytest
from graphql import build_schema

from proxyd.graphql.schema import listed
from proxyd.graphql.schema.listed import Checking, first_error

GRAPH = build_schema("type Query { a: Int }")


class Log:
    """Takes what is logged; ``told`` is set by it."""

    def __init__(self):
        self.events = []
        self.told = asyncio.Event()

    def warning(self, event, **values):
        self.events.append((event, values))
        self.told.set()


@pytest.fixture
def log(monkeypatch):
    one = Log()
    monkeypatch.setattr(listed, "log", one)
    return one


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{ a }", ""),
        ("{ other }", "Cannot query field 'other' on type 'Query'."),
        ("{ a", "Syntax Error: Expected Name, found <EOF>."),
        ("{ a " * 5000, "Document is nested too deeply. Parsing aborted."),
    ],
)
def test_the_first_error(text, error):
    """Whatever is in a manifest, it is a sentence."""
    assert first_error(text, GRAPH).removeprefix("Syntax Error: ") == error.removeprefix("Syntax Error: ")


async def test_what_is_not_valid_is_told(log):
    """Once, with the ids, and not more of them than one reads."""
    checking = Checking(pause=0)
    documents = [("good", "{ a }"), *((f"bad{number}", "{ other }") for number in range(30))]
    checking.begin(documents, GRAPH)
    await log.told.wait()
    await checking.stop()
    ((event, values),) = log.events
    assert event == "documents of the safelist are not valid for the schema"
    assert (values["count"], values["of"]) == (30, 31)
    assert values["documents"][0] == "bad0: Cannot query field 'other' on type 'Query'."
    assert len(values["documents"]) == 20


async def test_a_change_begins_anew(log):
    """What is being checked is given up, and only the last list counts."""
    checking = Checking(pause=0.001)
    checking.begin([(str(number), "{ other }") for number in range(100_000)], GRAPH)
    await asyncio.sleep(0)
    assert repr(checking) == "<Checking under way>"
    checking.begin([("bad", "{ other }")], GRAPH)
    await log.told.wait()
    assert [values["of"] for _, values in log.events] == [1]
    await checking.stop()
    await checking.stop()
    assert repr(checking) == "<Checking done>"


async def test_stopping_gives_up(log):
    """Nobody waits for thousands of documents, and nothing is told of half of them."""
    checking = Checking(pause=60)
    checking.begin([("bad", "{ other }"), ("worse", "{ other }")], GRAPH)
    await asyncio.sleep(0)
    await checking.stop()
    assert log.events == []
