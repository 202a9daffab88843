"""Quantiles, and what is added to them."""

from __future__ import annotations

import math

import pytest

from benchmarks.load import LoadError
from benchmarks.quantiles import quantile, summary
from benchmarks.scenarios.latency import digest, notes


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (0.9995, 1000), (1.0, 1000)]
)
def test_a_quantile_is_the_smallest_value_that_enough_others_do_not_exceed(share, value):
    """It is one of the values, and never between two."""
    assert quantile(list(range(1, 1001)), share) == value


def test_nothing_has_no_quantile():
    """It is not zero, which would look like a fast proxy."""
    assert math.isnan(quantile([], 0.5))


def test_values_are_summed_up_in_any_order():
    """One is every quantile of itself."""
    assert summary([3.0, 1.0, 2.0]) == {"p50": 2.0, "p99": 3.0, "p99.9": 3.0}


def measured(**more):
    values = {"through": [10.0, 11.0, 30.0, 13.0], "straight": [4.0, 9.0], "every": 2, "failed": 0}
    return values | {"requests": 4, "cpu_ns": 80_000, "latest_us": 1.0} | more


def test_added_is_the_difference_of_quantiles_and_pairs_have_the_quantiles_of_differences():
    """Every second request has a twin: 10 and 4, 30 and 9."""
    made = digest(measured())
    assert made["through"]["p50"] == 11.0
    assert made["straight"]["p50"] == 4.0
    assert made["added"]["p50"] == 7.0
    assert made["pairs"] == {"p50": 6.0, "p99": 21.0, "p99.9": 21.0}
    assert (made["cpu_us"], made["compared"]) == (20.0, 2)


def test_a_request_that_failed_makes_the_row_invalid():
    """Latencies of the others alone would flatter."""
    with pytest.raises(LoadError, match="1 of 4 requests"):
        digest(measured(failed=1))


def test_a_load_side_that_was_full_is_named():
    """Its own queue is in the tail then."""
    taken = {("nginx", level): [{"load_share": 0.2}, {"load_share": 0.97}] for level in (0.5, 0.8)}
    assert notes(taken)[1].startswith("nginx at 50%, 80%: load tool and backend filled their core")
    assert len(notes({("envoy", 0.5): [{"load_share": 0.5}]})) == 1
