"""The record of Kong's log plugins, field by field, and what is kept out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from proxyd.exchange import Operated
from proxyd.http1.headers import Headers
from proxyd.http1.message import ResponseHead
from proxyd.model.entities import Consumer, KeyAuthCredential, Route, Service
from proxyd.telemetry.kong_record import WORKSPACE, Recorder, latencies
from proxyd.telemetry.lua_fields import compile_fields
from proxyd.telemetry.redact import Redactor

WALL = 1_700_000_000.0 - 1000.0  # an exchange begins at 1000.0
GUIDE = Path(__file__).parents[3] / "docs/logging.md"


def answer(*fields, status=200):
    return ResponseHead(status, b"OK", 1, Headers.of(fields), 2, keep_alive=True)


@pytest.fixture
def whole(exchange_of):
    """An exchange of which everything is known."""
    made = exchange_of(
        "POST",
        query="?a=1&b&a=x%20y&token=t0p",
        headers=[
            (b"Accept", b"*/*"),
            (b"X-Two", b"1"),
            (b"X-Two", b"2"),
            (b"Authorization", b"Basic s3cr3t"),
        ],
        response=answer((b"Content-Type", b"text/plain"), (b"Set-Cookie", b"id=s3cr3t")),
        route=Route(id="route-id", name="orders", paths=("/",), service="service-id"),
        consumer=Consumer(id="consumer-id", username="ann"),
        credential=KeyAuthCredential(id="credential-id", key="s3cr3t", consumer="consumer-id"),
        request_id="0" * 32,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        correlation_id=b"corr",
        graphql=Operated("Orders", "query", "ab", cost=3, codes=("FORBIDDEN",)),
        upstream_path="/v1/orders?a=1&token=t0p",
        address="10.0.0.1:9000",
        tries=2,
        failed_tries=[("[2001:db8::1]:9000", 502)],
        bytes_received=7,
        bytes_sent=11,
        head_received=100,
        head_sent=200,
        sent=1000.001,
        response_started=1000.005,
        response_ended=1000.006,
        ended=1000.0064,
    )
    made.request.host = "api.test:8443"
    return made


def record(exchange, **fields):
    return json.loads(Recorder(Redactor(), compile_fields(fields)).line(exchange, WALL))


def test_everything_is_in_it(whole):
    """Names and shapes are Kong's."""
    made = record(whole)
    assert made.pop("route")["service"] == {"id": "service-id"}
    assert made.pop("service")["host"] == "shop.internal"
    assert made == {
        "request": {
            "id": "0" * 32,
            "uri": "/orders?a=1&b&a=x%20y&token=REDACTED",
            "url": "https://api.test:8443/orders?a=1&b&a=x%20y&token=REDACTED",
            "querystring": {"a": ["1", "x y"], "b": True, "token": "REDACTED"},
            "method": "POST",
            "headers": {
                "accept": "*/*",
                "x-two": ["1", "2"],
                "authorization": "REDACTED",
                "host": "api.test:8443",
            },
            "size": 107,
            "tls": {"version": "TLSv1.3"},
        },
        "upstream_uri": "/v1/orders?a=1&token=REDACTED",
        "upstream_status": "200",
        "response": {
            "status": 200,
            "headers": {"content-type": "text/plain", "set-cookie": "REDACTED"},
            "size": 211,
        },
        "latencies": {"kong": 1, "proxy": 4, "request": 6, "receive": 1},
        "tries": [
            {"ip": "2001:db8::1", "port": 9000, "state": "failed", "code": 502},
            {"ip": "10.0.0.1", "port": 9000},
        ],
        "authenticated_entity": {"id": "credential-id", "consumer_id": "consumer-id"},
        "consumer": {"id": "consumer-id", "tags": None, "username": "ann", "custom_id": None},
        "client_ip": "192.0.2.7",
        "started_at": 1_700_000_000_000,
        "source": "upstream",
        "workspace": WORKSPACE,
        "workspace_name": "default",
        "trace_id": {"w3c": "a" * 32},
        "correlation_id": "corr",
        "graphql": {
            "operation": "Orders",
            "type": "query",
            "hash": "ab",
            "cost": 3,
            "depth": None,
            "operations": 1,
            "known": False,
            "errors": ["FORBIDDEN"],
        },
    }


def test_no_credential_is_in_it(whole):
    """Neither a header's, nor an argument's, nor the entity's own; with custom fields just as little."""
    line = json.dumps([record(whole), record(whole, x="return 'y'")])
    assert "s3cr3t" not in line
    assert "t0p" not in line


def test_nothing_matched(exchange_of):
    """Without a route there is neither a service nor a try, and the gateway is the source."""
    made = record(exchange_of(matched=False, status=404, own_headers=Headers.of([(b"A", b"b")])))
    assert {"route", "service", "consumer", "authenticated_entity", "trace_id", "correlation_id"}.isdisjoint(
        made
    )
    assert (made["source"], made["tries"], made["upstream_status"]) == ("kong", [], "")
    assert (made["upstream_uri"], made["latencies"]["proxy"], made["response"]["headers"]) == (
        "",
        -1,
        {"a": "b"},
    )


def test_an_answer_of_the_gateway_hides_the_upstreams(exchange_of):
    """Where a filter failed, what was sent is the gateway's, though the upstream did answer."""
    made = record(
        exchange_of(
            response=answer((b"X-Theirs", b"1")), own_headers=Headers.of([(b"X-Own", b"1")]), status=500
        )
    )
    assert (made["source"], made["response"]["headers"], made["upstream_status"]) == (
        "kong",
        {"x-own": "1"},
        "200",
    )


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("Proxy-Authorization", True),
        ("Cookie", True),
        ("apikey", True),
        ("X-API-Key", True),
        ("X_Internal-Key", True),
        ("X-Auth-Token", True),
        ("X-Hub-Signature", True),
        ("my-own", True),
        ("X-Auth", True),
        ("Cf-Access-Jwt-Assertion", True),
        ("X-Amzn-Oidc-Data", True),
        ("X-Idempotency-Key", False),
        ("Sec-WebSocket-Key", False),
        ("X-Credential-Identifier", False),
        ("Accept", False),
        ("X-Consumer-Username", False),
    ],
)
def test_secret_headers(exchange_of, name, secret):
    """Whatever is a key, a token or a cookie, and what plugins call one; not what merely sounds so."""
    redactor = Redactor(["My-Own"])
    line = Recorder(redactor).line(exchange_of(headers=[(name.encode(), b"value")]), WALL)
    assert json.loads(line)["request"]["headers"][name.lower()] == ("REDACTED" if secret else "value")


def test_a_name_learnt_later_counts(exchange_of):
    """What is remembered of names is forgotten when another becomes secret."""
    redactor = Redactor()
    recorder = Recorder(redactor)
    made = exchange_of(headers=[(b"X-Mine", b"value")])
    before, _ = json.loads(recorder.line(made, WALL)), redactor.add(["x-mine"])
    after = json.loads(recorder.line(made, WALL))
    assert [one["request"]["headers"]["x-mine"] for one in (before, after)] == ["value", "REDACTED"]


def test_urls_in_headers(exchange_of):
    """Secrets in Referer and Location are taken out as in the request's own query."""
    made = exchange_of(
        headers=[(b"Referer", b"https://u:p@a.example/?token=x")],
        response=answer((b"Location", b"/next?code=x")),
    )
    made = record(made)
    assert made["request"]["headers"]["referer"] == "https://a.example/?token=REDACTED"
    assert made["response"]["headers"]["location"] == "/next?code=REDACTED"


def test_what_is_no_text(exchange_of):
    """Bytes that are not UTF-8 and lone surrogates do not cost the record."""
    made = record(exchange_of(headers=[(b"X-Raw", b"\xff")], path="/\udcff", correlation_id=b"\xfe"))
    assert made["request"]["headers"]["x-raw"] == "\\xff"
    assert made["request"]["uri"] == "/\\udcff"
    assert made["correlation_id"] == "\\xfe"


def test_an_absolute_target_is_told_by_its_path(exchange_of):
    """A client that talks to a proxy is logged as one that does not."""
    made = exchange_of(query="?a")
    made.request.target = "http://user:pw@api.test/orders?a"
    assert record(made)["request"]["uri"] == "/orders?a"


def test_a_secret_that_a_route_matches_on(exchange_of):
    """A header value that opens a route is a credential too."""
    route = Route(id="r", headers={"X-Secret": ("s3cr3t",), "X-Version": ("2",)})
    assert record(exchange_of(route=route))["route"]["headers"] == {
        "X-Secret": ["REDACTED"],
        "X-Version": ["2"],
    }


def test_an_upgrade_counts_with_its_handshake(exchange_of):
    """However long the tunnel stays open."""
    made = exchange_of(
        upgraded=True, sent=1000.001, response_started=1000.003, response_ended=1900.0, ended=1900.0
    )
    assert latencies(made) == {"kong": 1, "proxy": 2, "request": 3, "receive": 0}


def test_entities_are_written_once(exchange_of):
    """The JSON of an entity is remembered for that very entity, and not for another one with its id."""
    recorder = Recorder(Redactor())
    first, second = (Service(id="s", name=name, host="h") for name in ("one", "two"))
    names = [
        json.loads(recorder.line(exchange_of(service=one), WALL))["service"]["name"]
        for one in (first, second)
    ]
    assert names == ["one", "two"]


def test_the_guide_has_every_field(whole):
    """docs/logging.md tells each field of the record, and none that is not there."""
    made = record(whole)
    names = {*made}
    for group in ("request", "response", "latencies"):
        names |= {f"{group}.{name}" for name in made[group]}
        names.remove(group)
    table = GUIDE.read_text().partition("## The record")[2].partition("\n## ")[0]
    told = {
        name
        for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z_.]+)`", row)
    }
    assert told == names
