"""Whose time an exchange took."""

from __future__ import annotations

import pytest

from proxyd.telemetry.timing import NO_UPSTREAM, connect_seconds, split


def seconds(*expected):
    return pytest.approx(expected, abs=1e-9)


def test_a_pooled_connection_leaves_the_gateway_what_is_before_and_behind_the_upstream(exchange_of):
    """On a pooled connection, the upstream's part runs from the head sent to the answer's last byte."""
    exchange = exchange_of(
        connected=1000.001, sent=1000.001, response_started=1000.011, response_ended=1000.013, ended=1000.0135
    )
    assert split(exchange) == seconds(0.0135, 0.012, 0.0015)
    assert connect_seconds(exchange) == 0.0


def test_waiting_for_a_connection_is_the_upstreams_time(exchange_of):
    """Where a connection had to be dialled, the upstream's part begins with the dialling."""
    exchange = exchange_of(
        dialled=1000.002,
        connected=1000.102,
        sent=1000.102,
        response_started=1000.2,
        response_ended=1000.202,
        ended=1000.203,
    )
    assert split(exchange) == seconds(0.203, 0.2, 0.003)
    assert connect_seconds(exchange) == pytest.approx(0.1)


def test_waiting_for_the_clients_body_is_nobodys_overhead(exchange_of):
    """What a phase waited for the client to send its body is taken off the gateway's own part."""
    exchange = exchange_of(body_waited=0.5, sent=1000.504, response_ended=1000.6, ended=1000.6)
    assert split(exchange) == seconds(0.6, 0.096, 0.004)


def test_a_local_answer_has_no_upstream_part(exchange_of):
    """An answer that the gateway gives itself is all its own time."""
    assert split(exchange_of(ended=1000.002)) == seconds(0.002, NO_UPSTREAM, 0.002)


def test_an_upstream_that_never_answers_is_waited_for_to_the_end(exchange_of):
    """Where no answer came, the upstream's part ends with the exchange."""
    assert split(exchange_of(sent=1000.001, ended=1005.0)) == seconds(5.0, 4.999, 0.001)
    assert connect_seconds(exchange_of(dialled=1000.5, ended=1001.0)) == 0.0


def test_an_upgraded_connection_counts_with_its_handshake(exchange_of):
    """A WebSocket that stays open for an hour has the latency of its handshake."""
    exchange = exchange_of(
        upgraded=True, sent=1000.001, response_started=1000.02, response_ended=4600.0, ended=4600.0
    )
    assert split(exchange) == seconds(0.02, 0.019, 0.001)


def test_the_own_part_is_never_negative(exchange_of):
    """Moments that contradict one another do not make a counter go down."""
    assert split(exchange_of(body_waited=3.0, ended=1000.001))[2] == 0.0
