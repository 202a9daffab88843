"""Zipkin's JSON, and what becomes of a delivery."""

from __future__ import annotations

import json

import pytest

from proxyd.telemetry.spans import Event, Span, Trace
from proxyd.telemetry.zipkin import ZipkinSender, encode, tags_of

TRACE = Trace(0x1A, 0, 0x2B, 0x3C)


def span(**values):
    given = {
        "trace": TRACE,
        "span_id": 0x2B,
        "parent_id": 0,
        "name": "GET",
        "kind": "SERVER",
        "start": 1_700_000_000_000_001_000,
        "end": 1_700_000_000_050_001_000,
        "error": "",
        "attributes": {"http.status_code": 200, "peer": "192.0.2.1:4000"},
        **values,
    }
    return Span(**given)


def test_a_span_is_version_2_json():
    """Microseconds, hexadecimal ids, text for every tag; who is at the other end is no tag."""
    (document,) = json.loads(encode([span(events=(Event("kas", 1_700_000_000_010_000_000),))], "edge"))
    assert document == {
        "traceId": f"{0x1A:032x}",
        "id": f"{0x2B:016x}",
        "kind": "SERVER",
        "name": "GET",
        "timestamp": 1_700_000_000_000_001,
        "duration": 50_000,
        "localEndpoint": {"serviceName": "edge"},
        "remoteEndpoint": {"ipv4": "192.0.2.1", "port": 4000},
        "tags": {"http.status_code": "200"},
        "annotations": [{"timestamp": 1_700_000_000_010_000, "value": "kas"}],
    }


def test_parents_short_ids_and_errors_are_written():
    """A trace of 64 bits has 16 digits; a span that took no time took a microsecond."""
    one = span(trace=TRACE._replace(short=True), parent_id=5, error="reset", end=1_700_000_000_000_001_000)
    (document,) = json.loads(encode([one], "edge"))
    assert (document["traceId"], document["parentId"]) == (f"{0x1A:016x}", f"{5:016x}")
    assert (document["tags"]["error"], document["duration"]) == ("reset", 1)


@pytest.mark.parametrize(
    ("peer", "name", "endpoint"),
    [
        ("[2001:db8::1]:443", "shop", {"serviceName": "shop", "ipv6": "2001:db8::1", "port": 443}),
        ("2001:db8::1", "", {"ipv6": "2001:db8::1"}),
        ("shop.internal:80", "shop", {"serviceName": "shop"}),
        ("unix:", "", None),
        ("", "", None),
    ],
)
def test_the_other_end_has_an_address_or_a_name(peer, name, endpoint):
    """An address that is none is left out."""
    (document,) = json.loads(encode([span(attributes={"peer": peer, "peer.service": name})], "edge"))
    assert document.get("remoteEndpoint") == endpoint


def test_tags_of_a_request_are_pairs():
    """What is no pair is left out, and so is what is too much."""
    assert tags_of("fg=blue; bg = red;x;=y;z=;a=b=c") == {"fg": "blue", "bg": "red", "a": "b=c"}
    assert tags_of("a=1;" * 1000 + "b=2") == {"a": "1"}


def test_a_batch_is_posted_whole():
    """One body per batch, with the gateway's name in it."""
    bodies = []
    ZipkinSender(bodies.append, "edge").send([span(), span()])
    (body,) = bodies
    assert [document["localEndpoint"]["serviceName"] for document in json.loads(body)] == ["edge", "edge"]
