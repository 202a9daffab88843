"""The peers of the scenario policies, run for real: each policy is at work."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.origin import static_origin
from benchmarks.peers.policies import HEADERS, LOG, POLICY_PEERS
from benchmarks.process import Server, free_port
from benchmarks.scenarios.base import fetch

# proxyd-python is proxyd here.
WITH_POLICIES = [peer for peer in POLICY_PEERS if not peer.name.endswith(("-plain", "-python"))]


@pytest.mark.parametrize("peer", WITH_POLICIES, ids=lambda peer: peer.name)
def test_every_policy_is_at_work(tmp_path, peer):
    """A key is asked for and hidden, the answer has CORS and an id, and a line of JSON tells of the request."""
    if reason := peer.missing():
        pytest.skip(reason)
    listen = free_port()
    with static_origin(tmp_path, 0) as origin:
        command = peer.command(tmp_path, listen=listen, origin=origin.port)
        with Server(peer.name, command, port=listen, core=0, directory=tmp_path):
            assert fetch(listen, "/api/v1/orders/1", HEADERS) == fetch(origin.port, "/")
            request = urllib.request.Request(f"http://127.0.0.1:{listen}/a?b=c", headers=HEADERS)
            with urllib.request.urlopen(request, timeout=10) as answer:
                headers = answer.headers
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{listen}/", timeout=10)
            refused.value.close()
            lines = _lines(tmp_path / LOG, 3)
    assert headers["Access-Control-Allow-Origin"] == HEADERS["Origin"]
    assert any(headers[name] for name in ("Kong-Request-ID", "X-Request-ID"))
    assert refused.value.code == 401
    assert [_status(line) for line in lines] == [200, 200, 401]


def _lines(log, count):
    """Return the log's lines; they are flushed within a second or so."""
    give_up = time.monotonic() + 20
    while True:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count or time.monotonic() > give_up:
            return [json.loads(line) for line in lines]
        time.sleep(0.05)


def _status(line):
    return int(line["status"] if "status" in line else line["response"]["status"])
