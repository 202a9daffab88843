"""Results of subscriptions: masked and counted one by one, on a WebSocket and on a stream."""

from __future__ import annotations

import json

import pytest
from answers_case import asked

from proxyd.clock import Clock
from proxyd.graphql.document import Document
from proxyd.graphql.errors import Errors, Masker
from proxyd.graphql.results import Results
from proxyd.telemetry.operations import Operations
from proxyd.telemetry.redact import Redactor

BAD = b'{"data":null,"errors":[{"message":"relation"}]}'


@pytest.fixture
def operation():
    return Document("subscription Ticks { ticks }").operation(None)


def results(operations, **config):
    return Results(Masker(Errors(**config), Redactor(), Clock()), operations)


def test_a_subscription_is_counted_and_its_results_masked(operation):
    """The codes are noted with its exchange."""
    operations = Operations()
    told = results(operations, mask=True)
    exchange = asked(kind="subscription", name="Ticks")
    told.begun(exchange, operation)
    assert operations.open == {("api",): 1}
    assert told.next(exchange, operation, b'{"data":1}') == b'{"data":1}'
    assert b"relation" not in told.next(exchange, operation, BAD)
    ended = json.loads(told.failed(exchange, b'[{"message":"relation"}]'))
    assert ended[0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    told.ended(exchange, operation)
    assert (operations.open, operations.messages) == ({("api",): 0}, {("api",): 2})
    assert exchange.graphql.codes == ("INTERNAL_SERVER_ERROR",) * 2


def test_what_is_not_masked_stays_as_it_is(operation):
    """Its codes are counted all the same."""
    operations = Operations()
    told = results(operations)
    exchange = asked(kind="subscription", name="Ticks")
    assert told.next(exchange, operation, BAD) is BAD
    assert told.failed(exchange, b"[]") == b"[]"
    assert exchange.graphql.codes == ("none",)


def test_a_query_is_no_subscription():
    """It is not among those that are open."""
    operations = Operations()
    query = Document("query Users { users }").operation(None)
    told = results(operations)
    told.begun(asked(), query)
    told.next(asked(), query, b'{"data":1}')
    told.ended(asked(), query)
    assert (operations.open, operations.started, operations.messages) == ({}, {}, {})
