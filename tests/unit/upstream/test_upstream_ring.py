from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from upstream_fakes import make_exchange, make_peer

from proxyd.upstream.ring import ConsistentHashing, position

KEYS = [f"user-{number}" for number in range(4000)]


def ring(entries, total=None, slots=10_000):
    total = total or sum(weight for _, weight in entries)
    return ConsistentHashing(entries, lambda exchange: exchange.client_ip, slots, total, random.Random(5))


def owners(algorithm):
    return {key: algorithm.pick(make_exchange(client=key), ()) for key in KEYS}


def test_a_key_stays():
    """The same key gets the same target every time, from rings made apart."""
    entries = [(make_peer(f"10.0.0.{number}"), 100) for number in range(1, 6)]
    assert owners(ring(entries)) == owners(ring(entries)) == owners(ring(entries[::-1]))


def test_only_the_leaver_s_keys_move():
    """When a target is out, the keys of the others stay where they were."""
    entries = [(make_peer(f"10.0.0.{number}"), 100) for number in range(1, 6)]
    before = owners(ring(entries))
    after = owners(ring(entries[1:], total=500))
    gone = entries[0][0]
    assert all(after[key] is owner for key, owner in before.items() if owner is not gone)
    assert gone not in after.values()
    assert len({after[key] for key, owner in before.items() if owner is gone}) == 4


@pytest.mark.parametrize("weights", [(100, 100, 100), (100, 200, 300), (1, 9)])
def test_keys_spread_by_weight(weights):
    """Each target gets its share of many keys within a fifth."""
    entries = [(make_peer(f"10.0.0.{number}"), weight) for number, weight in enumerate(weights, 1)]
    counts = Counter(owners(ring(entries)).values())
    for peer, weight in entries:
        share = weight / sum(weights)
        assert counts[peer] / len(KEYS) == pytest.approx(share, rel=0.2)


def test_a_retry_walks_on():
    """Tried targets are passed over, each once, and the owner is returned when all were tried."""
    entries = [(make_peer(f"10.0.0.{number}"), 100) for number in range(1, 5)]
    algorithm = ring(entries)
    exchange = make_exchange(client="somebody")
    tried = []
    for _ in range(4):
        tried.append(algorithm.pick(exchange, tried))
    assert len(set(tried)) == 4
    assert algorithm.pick(exchange, tried) is tried[0]


def test_without_a_key_the_choice_is_random():
    """An exchange without the hashed value is spread over all targets."""
    entries = [(make_peer(f"10.0.0.{number}"), 100) for number in range(1, 4)]
    algorithm = ConsistentHashing(entries, lambda exchange: None, 1000, 300, random.Random(5))
    assert {algorithm.pick(make_exchange(), ()) for _ in range(50)} == {peer for peer, _ in entries}


def test_processes_agree():
    """The place of a key does not depend on the process's hash seed."""
    code = "from proxyd.upstream.ring import position; print(position('consumer-1'))"
    output = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "77"}, capture_output=True, check=True, text=True
    )
    assert float(output.stdout) == position("consumer-1")
