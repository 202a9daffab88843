"""Where a request's time went, read off the stamps between its plugins."""

from __future__ import annotations

import pytest

from proxyd.telemetry.spent import by_plugin, queued

KEY, LIMIT, CORS = ("key-auth", "access"), ("rate-limiting", "access"), ("cors", "header_filter")


def test_each_plugin_has_the_time_up_to_the_next_stamp(exchange_of):
    """What lies between two phases belongs to nobody, and a phase that runs twice counts twice."""
    stamps = [(KEY, 1.0), (LIMIT, 1.25), (None, 1.75), (CORS, 5.0), (None, 5.125), (CORS, 6.0), (None, 6.125)]
    spent = by_plugin(exchange_of(stamps=stamps), 9.0)
    assert spent == {KEY: 0.25, LIMIT: 0.5, CORS: 0.25}


def test_one_that_ends_the_request_has_the_time_up_to_the_end(exchange_of):
    """It answered, or the client left while it waited."""
    assert by_plugin(exchange_of(stamps=[(KEY, 1.0), (LIMIT, 1.25)]), 3.0) == {KEY: 0.25, LIMIT: 1.75}


def test_body_filters_stand_beside(exchange_of):
    """Their time is kept as a sum, for a body has any number of pieces."""
    spent = by_plugin(exchange_of(filtering={"response-transformer": 0.5}), 1.0)
    assert spent == {("response-transformer", "body_filter"): 0.5}


def test_without_stamps_nothing_is_known(exchange_of):
    """Plugins are timed where somebody asks for it."""
    assert by_plugin(exchange_of(), 1.0) == {}


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"stamps": [(KEY, 1000.5), (None, 1001.0)], "sent": 1002.0}, 0.5),
        ({"sent": 1002.0}, 2.0),
        ({"dialled": 1001.0, "sent": 1002.0}, 1.0),
        ({"ended": 1003.0}, 3.0),
    ],
)
def test_a_request_queues_until_something_is_done_for_it(exchange_of, values, seconds):
    """The first plugin begins, the upstream is asked, or it is over."""
    assert queued(exchange_of(**values)) == pytest.approx(seconds)
