from __future__ import annotations

import random
from collections import Counter

import pytest
from upstream_fakes import make_exchange, make_peer

from proxyd.errors import GatewayError, Kind
from proxyd.upstream.algorithms import Latency, LeastConnections, Nobody, RoundRobin, Single, measure

EXCHANGE = make_exchange()


def peers(*weights):
    return [(make_peer(f"10.0.0.{number}"), weight) for number, weight in enumerate(weights, 1)]


def shares(algorithm, entries, picks):
    """Count picks per entry, each exchange ending before the next begins."""
    counts = Counter()
    for _ in range(picks):
        peer = algorithm.pick(EXCHANGE, ())
        peer.inflight -= 1
        counts[peer] += 1
    return [counts[peer] for peer, _ in entries]


@pytest.mark.parametrize(
    ("weights", "picks", "expected"),
    [
        ((1, 1), 10, [5, 5]),
        ((100, 100, 100), 9, [3, 3, 3]),
        ((5, 1, 1), 7, [5, 1, 1]),
        ((5, 1, 1), 70, [50, 10, 10]),
        ((65535, 1), 65536, [65535, 1]),
        ((3, 7, 11, 13), 34, [3, 7, 11, 13]),
    ],
)
def test_round_robin_share_is_exact(weights, picks, expected):
    """Over a whole cycle each target gets exactly its weight's share."""
    entries = peers(*weights)
    assert shares(RoundRobin(entries, random.Random(3)), entries, picks) == expected


def test_round_robin_is_smooth():
    """The light targets come in the middle of the heavy one's turns, not behind them."""
    entries = peers(6, 1)
    heavy, light = (peer for peer, _ in entries)
    algorithm = RoundRobin(entries, random.Random(3))
    turns = [algorithm.pick(EXCHANGE, ()) for _ in range(7)]
    assert turns.index(light) in {3, 4}
    assert turns.count(heavy) == 6


def test_round_robin_avoids_the_tried():
    """A retry goes to a target not tried yet, and to any when all were."""
    entries = peers(1, 1, 1)
    algorithm = RoundRobin(entries, random.Random(3))
    tried = []
    for _ in range(3):
        tried.append(algorithm.pick(EXCHANGE, tried))
    assert len(set(tried)) == 3
    assert algorithm.pick(EXCHANGE, tried) in tried


def test_round_robin_retries_take_no_turns():
    """Passing over a tried target leaves its turn in place."""
    entries = peers(1, 1)
    algorithm = RoundRobin(entries, random.Random(3))
    first = algorithm.pick(EXCHANGE, ())
    second = algorithm.pick(EXCHANGE, ())
    assert algorithm.pick(EXCHANGE, [first]) is second
    assert algorithm.pick(EXCHANGE, ()) is first


def test_every_pick_counts_the_exchange():
    """What was picked counts as under way, by every algorithm."""
    for make in (
        lambda entries: RoundRobin(entries, random.Random(3)),
        lambda entries: LeastConnections(entries, random.Random(3)),
        lambda entries: Latency(entries, random.Random(3), lambda: 0.0),
        lambda entries: Single(entries[0][0]),
    ):
        entries = peers(1, 1)
        algorithm = make(entries)
        for _ in range(5):
            algorithm.pick(EXCHANGE, ())
        assert sum(peer.inflight for peer, _ in entries) == 5


def test_least_connections_levels_by_weight():
    """Exchanges that stay open end up in proportion to the weights."""
    entries = peers(1, 3)
    algorithm = LeastConnections(entries, random.Random(3))
    for _ in range(40):
        algorithm.pick(EXCHANGE, ())
    assert [peer.inflight for peer, _ in entries] == [10, 30]


def test_least_connections_takes_turns_when_idle():
    """Equal targets without load share evenly instead of one taking all."""
    entries = peers(1, 1, 1)
    assert shares(LeastConnections(entries, random.Random(3)), entries, 9) == [3, 3, 3]


def test_least_connections_avoids_the_tried():
    """A retry goes elsewhere even if the tried target is the least loaded."""
    entries = peers(1, 1)
    first, second = (peer for peer, _ in entries)
    second.inflight = 9
    algorithm = LeastConnections(entries, random.Random(3))
    assert algorithm.pick(EXCHANGE, [first]) is second
    assert algorithm.pick(EXCHANGE, [first, second]) in {first, second}


def test_latency_prefers_the_fast():
    """Of two targets, the slow one gets nothing while the other is faster."""
    entries = peers(1, 1)
    measure(entries[0][0], 0.5, 0.0)
    measure(entries[1][0], 0.005, 0.0)
    assert shares(Latency(entries, random.Random(3), lambda: 0.0), entries, 20) == [0, 20]


def test_latency_weighs_load():
    """A fast target with many exchanges under way gives way to an idle slower one."""
    entries = peers(1, 1)
    fast, slow = (peer for peer, _ in entries)
    measure(fast, 0.010, 0.0)
    measure(slow, 0.020, 0.0)
    fast.inflight = 5
    assert Latency(entries, random.Random(3), lambda: 0.0).pick(EXCHANGE, ()) is slow


def test_latency_forgives():
    """A peak decays, so that a target that was slow once is tried again."""
    entries = peers(1, 1)
    once_slow, steady = (peer for peer, _ in entries)
    now = [0.0]
    measure(once_slow, 5.0, 0.0)
    algorithm = Latency(entries, random.Random(3), lambda: now[0])
    now[0] = 60.0
    measure(steady, 0.1, 60.0)
    assert algorithm.pick(EXCHANGE, ()) is once_slow


def test_latency_takes_newcomers_for_average():
    """A target that was never measured does not draw every request."""
    entries = peers(1, 1, 1)
    measure(entries[0][0], 0.1, 0.0)
    measure(entries[1][0], 0.3, 0.0)
    Latency(entries, random.Random(3), lambda: 0.0)
    assert entries[2][0].ewma == pytest.approx(0.2)


def test_latency_avoids_the_tried():
    """A retry goes to the one target left."""
    entries = peers(1, 1, 1)
    algorithm = Latency(entries, random.Random(3), lambda: 0.0)
    first, second, third = (peer for peer, _ in entries)
    assert {algorithm.pick(EXCHANGE, [first, third]) for _ in range(20)} == {second}
    assert algorithm.pick(EXCHANGE, [first, second, third]) in {first, second, third}


def test_measure_peaks_at_once_and_improves_gradually():
    """A worse latency is believed immediately, a better one over ten seconds."""
    peer = make_peer()
    measure(peer, 0.1, 0.0)
    measure(peer, 1.0, 1.0)
    assert peer.ewma == 1.0
    measure(peer, 0.0, 11.0)
    assert peer.ewma == pytest.approx(0.3679, abs=0.001)


def test_single_is_returned_even_if_tried():
    """The only target is tried again rather than giving up."""
    peer = make_peer()
    assert Single(peer).pick(EXCHANGE, [peer]) is peer


def test_nobody_raises_its_reason():
    """With no target, every pick is the given error."""
    with pytest.raises(GatewayError) as caught:
        Nobody(Kind.NO_TARGET, "all are down").pick(EXCHANGE, ())
    assert (caught.value.kind, caught.value.status, caught.value.cause) == (
        Kind.NO_TARGET,
        503,
        "all are down",
    )
