"""One exchange as one JSON line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyd.errors import GatewayError, Kind
from proxyd.exchange import Operated
from proxyd.http1.headers import Headers
from proxyd.http1.message import ResponseHead
from proxyd.model.entities import Consumer
from proxyd.telemetry.access_line import access_line, milliseconds, timestamp
from proxyd.telemetry.operated import told
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.timing import NO_UPSTREAM, split

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

WALL = 1_700_000_000.0 - 1000.0


def line_of(exchange: Exchange) -> dict:
    line = access_line(exchange, WALL, Redactor())
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_a_proxied_request_is_told_in_full(exchange_of):
    """Every field of an ordinary proxied request, as it stands in the line."""
    line = line_of(
        exchange_of(
            headers=[(b"User-Agent", b"curl/8"), (b"Referer", b"https://app.test/?token=abc")],
            query="?page=2&apikey=hush",
            request_id="ab" * 16,
            traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            consumer=Consumer(id="c", username="mobile"),
            peer="10.0.0.1:9000",
            tries=1,
            response=ResponseHead(200, b"OK", 1, Headers(), 0, keep_alive=True),
            dialled=1000.001,
            connected=1000.003,
            sent=1000.003,
            response_started=1000.01,
            response_ended=1000.011,
            ended=1000.0125,
            bytes_sent=512,
        )
    )
    assert line == {
        "time": "2023-11-14T22:13:20.000Z",
        "request_id": "ab" * 16,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "client_ip": "192.0.2.7",
        "scheme": "https",
        "tls_version": "TLSv1.3",
        "method": "GET",
        "host": "api.test",
        "path": "/orders",
        "query": "page=2&apikey=REDACTED",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes_received": 0,
        "bytes_sent": 512,
        "route": "orders",
        "service": "shop",
        "consumer": "mobile",
        "upstream": "10.0.0.1:9000",
        "upstream_status": 200,
        "tries": 1,
        "total_ms": 12.5,
        "gateway_ms": 2.5,
        "upstream_ms": 10.0,
        "connect_ms": 2.0,
        "user_agent": "curl/8",
        "referer": "https://app.test/?token=REDACTED",
        "upgraded": False,
        "aborted": False,
        "error": None,
        "error_source": None,
        "error_cause": None,
        "graphql": None,
    }


def test_a_failed_request_names_kind_fault_and_cause(exchange_of):
    """A failure to forward is logged with what the client is not told."""
    error = GatewayError(Kind.CONNECT_TIMEOUT, "10.0.0.1:9000 after 5 s")
    line = line_of(exchange_of(status=504, error=error, dialled=1000.0, ended=1005.0))
    assert (line["error"], line["error_source"]) == ("connect_timeout", "upstream")
    assert line["error_cause"] == "10.0.0.1:9000 after 5 s"
    assert line["connect_ms"] is None


def test_bytes_that_are_no_request_say_why(exchange_of):
    """A refused head has its reason as the cause, and no route."""
    line = line_of(exchange_of("-", matched=False, status=400, refusal="bare LF in a header"))
    assert (line["error_cause"], line["route"], line["service"]) == ("bare LF in a header", None, None)


def test_a_websocket_has_the_time_that_it_was_open(exchange_of):
    """For an upgraded connection the total is its life, the gateway's part that of the handshake."""
    line = line_of(
        exchange_of(status=101, upgraded=True, sent=1000.001, response_started=1000.01, ended=1060.0)
    )
    assert (line["total_ms"], line["gateway_ms"], line["upstream_ms"]) == (60000.0, 1.0, 9.0)
    assert line["upgraded"] is True


@pytest.mark.parametrize(
    ("value", "shown"),
    [(b"caf\xc3\xa9", "café"), (b"\xff\xfe", "\\xff\\xfe"), (b'"\\\t\x01"', '"\\\t\x01"'), (b"", "")],
)
def test_header_bytes_never_break_a_line(exchange_of, value, shown):
    """UTF-8 is shown as it is, other bytes as escapes, and quotes stay inside their string."""
    assert line_of(exchange_of(headers=[(b"User-Agent", value)]))["user_agent"] == shown


def test_text_that_no_utf8_stands_for_is_escaped(exchange_of):
    """A lone surrogate in a path does not cost the line."""
    assert line_of(exchange_of(path="/\udcff"))["path"] == "/\\udcff"


def test_credentials_are_in_no_field(exchange_of):
    """No header that carries a credential, and no secret of a query, is in the line in any form."""
    hush = "hush-hush-hush"
    headers = [(b"Authorization", hush), (b"Cookie", hush), (b"apikey", hush), (b"X-Api-Key", hush)]
    exchange = exchange_of(
        headers=[(name, value.encode()) for name, value in headers]
        + [(b"Referer", f"https://me:{hush}@app.test/?password={hush}#{hush}".encode())],
        query=f"?apikey={hush}",
    )
    assert hush.encode() not in access_line(exchange, WALL, Redactor())


def test_names_fall_back_to_ids(exchange_of):
    """A route, service or consumer without a name is logged by its id."""
    exchange = exchange_of(consumer=Consumer(id="consumer-id"))
    exchange.route = exchange.route.model_copy(update={"name": None})
    exchange.service = exchange.service.model_copy(update={"name": None})
    line = line_of(exchange)
    assert (line["route"], line["service"], line["consumer"]) == ("route-id", "service-id", "consumer-id")


def test_times_are_utc_in_milliseconds():
    """Seconds since the epoch are shown as RFC 3339 has them."""
    assert timestamp(1_700_000_000.0009) == "2023-11-14T22:13:20.000Z"
    assert timestamp(1_700_000_000.999) == "2023-11-14T22:13:20.999Z"


def test_a_graphql_request_tells_what_it_asked_for(exchange_of):
    """Every member, null where there is nothing; names and codes are cut."""
    exchange = exchange_of()
    exchange.graphql = Operated(
        "Users", "query", "ab" * 32, depth=3, cost=7, known=True, codes=("FORBIDDEN",)
    )
    assert line_of(exchange)["graphql"] == {
        "operation": "Users",
        "type": "query",
        "hash": "ab" * 32,
        "cost": 7,
        "depth": 3,
        "operations": 1,
        "known": True,
        "errors": ["FORBIDDEN"],
    }
    exchange.graphql = Operated(codes=("x" * 1000,) * 100)
    told = line_of(exchange)["graphql"]
    assert told["errors"] == ["x" * 128] * 10
    assert [told[name] for name in ("operation", "type", "hash", "cost", "depth")] == [None] * 5
    exchange.graphql = Operated(codes=("\ud800",))
    assert line_of(exchange)["graphql"]["errors"] == ["\ud800"]


@pytest.mark.parametrize(
    "asked",
    [
        Operated(),
        Operated("Users", "query", "ab" * 32, depth=3, known=True),
        Operated("U" * 129, "query", "ab" * 32, depth=3),
        Operated('a"b\\', "mutation", "", count=2000, depth=1001),
        Operated("Users", "query", "ab" * 32, cost=7, codes=("X",)),
    ],
    ids=["nothing", "ordinary", "a long name", "what JSON escapes", "with cost and errors"],
)
def test_what_was_asked_is_written_as_it_is_told(exchange_of, asked):
    """However a line is put together, it says what records and spans say."""
    exchange = exchange_of()
    exchange.graphql = asked
    for _ in range(2):
        assert list(line_of(exchange)["graphql"].items()) == list(told(asked).items())


# --- held to what a JSON library makes of the same values ----------------------------------------------------

TEXTS = st.text(max_size=20) | st.sampled_from(['"', "\\", "\x00\x1f\x7f", "\ud800", "\u2028é😀", "a" * 300])
MOMENTS = st.floats(0.0, 10_000.0) | st.sampled_from([0.0, 999.9, 1e9, 1e13])
COUNTS = st.integers(0, 1001) | st.integers(0, 2**53)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it is a function, and keeps nothing
@given(
    texts=st.lists(TEXTS, min_size=9, max_size=9),
    moments=st.lists(MOMENTS, min_size=6, max_size=6),
    counts=st.lists(COUNTS, min_size=5, max_size=5),
    agent=st.binary(max_size=20).map(lambda value: value.translate(None, bytes(range(32)) + b"\x7f")),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_a_line_is_what_orjson_writes(exchange_of, texts, moments, counts, agent, flags):
    """To the byte, whatever stands in the fields."""
    names = ("client_ip", "scheme", "request_id", "peer", "refusal")
    exchange = exchange_of(
        texts[0],
        headers=[(b"User-Agent", agent)],
        path=texts[1],
        query="?" + texts[2],
        consumer=Consumer(id="c", username=texts[3]) if texts[3].isprintable() and texts[3] else None,
        traceparent=f"00-{texts[8]}",
        upgraded=flags[0],
        aborted=flags[1],
        response=ResponseHead(counts[0], b"", 1, Headers(), 0, keep_alive=True) if flags[0] else None,
        **dict(zip(names, texts[4:9], strict=True)),
        **dict(
            zip(
                ("dialled", "connected", "sent", "response_started", "response_ended", "ended"),
                moments,
                strict=True,
            )
        ),
        **dict(zip(("status", "bytes_received", "bytes_sent", "tries"), counts[1:], strict=True)),
    )
    line = access_line(exchange, WALL, Redactor())
    assert line == orjson.dumps(fields_of(exchange), option=orjson.OPT_APPEND_NEWLINE)


def fields_of(exchange):
    """Return what the line of an exchange tells, by name."""
    response, consumer = exchange.response, exchange.consumer
    _, upstream, own = split(exchange)
    connect = max(exchange.connected - exchange.dialled, 0.0)
    agent = exchange.request.headers.get(b"user-agent")
    fields = {
        "time": timestamp(exchange.started + WALL),
        "request_id": exchange.request_id,
        "trace_id": exchange.traceparent[3:35] or None,
        "client_ip": exchange.client_ip,
        "scheme": exchange.scheme,
        "tls_version": "TLSv1.3",
        "method": exchange.request.method,
        "host": "api.test",
        "path": exchange.request.path,
        "query": Redactor().query(exchange.request.query[1:]),
        "protocol": "HTTP/1.1",
        "status": exchange.status,
        "bytes_received": exchange.bytes_received,
        "bytes_sent": exchange.bytes_sent,
        "route": "orders",
        "service": "shop",
        "consumer": consumer and consumer.username,
        "upstream": exchange.peer or None,
        "upstream_status": response and response.status,
        "tries": exchange.tries,
        "total_ms": milliseconds(exchange.ended - exchange.started),
        "gateway_ms": milliseconds(own),
        "upstream_ms": None if upstream == NO_UPSTREAM else milliseconds(upstream),
        "connect_ms": milliseconds(connect) if exchange.dialled and exchange.connected else None,
        "user_agent": agent.decode("utf-8", "backslashreplace"),
        "referer": None,
        "upgraded": exchange.upgraded,
        "aborted": exchange.aborted,
        "error": None,
        "error_source": None,
        "error_cause": exchange.refusal or None,
        "graphql": None,
    }
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in fields.items()
    }
