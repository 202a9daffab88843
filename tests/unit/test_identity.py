"""Who a request comes from is the gateway's to say."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.http1.framing import is_trailer
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.http1.parser import HeadLimits, parse_request
from proxyd.identity import IDENTITY_HEADERS, forget_claimed, header_list, identify
from proxyd.model.entities import Consumer

LIMITS = HeadLimits(8192, 32768, 100)


def exchange(*fields):
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of(fields), 0, keep_alive=True)
    return Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)


@pytest.mark.parametrize("name", sorted(IDENTITY_HEADERS))
@pytest.mark.parametrize("spell", [bytes.lower, bytes.title, lambda name: name.replace(b"-", b"_")])
def test_a_claimed_identity_is_taken_out(name, spell):
    """In any spelling, whichever way the head is parsed: one with such a field is never passed on as it came."""
    parsed = parse_request(
        b"GET / HTTP/1.1\r\nHost: h\r\n%b: admin\r\nAccept: a\r\n\r\n" % spell(name), LIMITS
    )
    headers = parsed[0].headers
    assert headers.raw is None
    forget_claimed(headers)
    assert list(headers) == [(b"accept", b"a")]


@pytest.mark.parametrize("name", sorted(IDENTITY_HEADERS))
def test_no_identity_is_claimed_behind_a_body(name):
    """A trailer of such a name is none, however it is spelt: some servers take trailers for headers."""
    assert not is_trailer(name)
    assert not is_trailer(name.replace(b"-", b"_"))


def test_other_names_stay():
    """Only the gateway's own names are taken."""
    headers = Headers.of([(b"X-Consumer", b"1"), (b"X_Mine", b"2"), (b"Consumer-Id", b"3")])
    forget_claimed(headers)
    assert [value for _, value in headers] == [b"1", b"2", b"3"]


def test_a_list_of_names_is_written_in_time_linear_in_them():
    """A token's groups may hold any text: white space inside one costs no more than letters (it was minutes, squared)."""
    inside = "a" + " " * 300_000 + "b"
    assert header_list([inside, " a ", "  "]) == inside.encode() + b", %20a%20, %20%20"


def test_the_upstream_is_told_once():
    """A second identity takes the first one's headers back, what it does not have included."""
    one = exchange((b"x-consumer-custom-id", b"claimed"))
    identify(one, Consumer(id="1", username="ann", custom_id="c\r\nX: y"), None, "key")
    assert dict(one.headers) == {
        b"x-consumer-id": b"1",
        b"x-consumer-custom-id": b"c  X: y",
        b"x-consumer-username": b"ann",
        b"x-credential-identifier": b"key",
    }
    identify(one, Consumer(id="2", username="nobody"), anonymous=True)
    assert dict(one.headers) == {
        b"x-consumer-id": b"2",
        b"x-consumer-username": b"nobody",
        b"x-anonymous-consumer": b"true",
    }
