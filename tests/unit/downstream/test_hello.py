"""The server name in a ClientHello, as real clients send it and as nobody should."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.downstream.hello import MAX_HELLO, HelloReader


def hello(name, *, alpn=()):
    """Return the ClientHello that OpenSSL sends."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def server_name(data):
    return HelloReader().name(data)


HELLO = hello("api.example.com")


def in_records(data, size):
    """Return a message in records of ``size`` bytes."""
    message = data[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize(
    ("name", "found"), [("api.example.com", "api.example.com"), ("API.test", "api.test"), (None, "")]
)
def test_the_name_is_found(name, found):
    """Whatever extensions stand before it; in lower case; nothing where the client says none."""
    assert server_name(hello(name, alpn=["h2", "http/1.1"])) == found


@given(end=st.integers(0, len(HELLO) - 1))
def test_a_part_of_it_is_waited_for(end):
    """No name is made up before the message is whole."""
    assert server_name(HELLO[:end]) is None


@given(size=st.integers(1, 700), ends=st.sets(st.integers(0, len(HELLO))))
def test_it_may_come_in_pieces(size, ends):
    """Wherever it is cut, between records and within them."""
    data = in_records(HELLO, size)
    reader = HelloReader()
    assert all(reader.name(data[:end]) is None for end in sorted(ends) if end < len(data))
    assert reader.name(data) == "api.example.com"


def test_what_was_read_is_not_read_again():
    """However many pieces it comes in, or one connection would hold up all others: for minutes, here."""
    message = b"\x01" + (MAX_HELLO - 4).to_bytes(3, "big") + bytes(MAX_HELLO - 5)
    data = in_records(bytes(5) + message, 1)
    reader = HelloReader()
    assert all(reader.name(data[:end]) is None for end in range(0, len(data), 60))


@given(size=st.integers(1, 700))
def test_records_do_not_matter(size):
    """A ClientHello may be spread over many records, of one byte each even."""
    data = in_records(HELLO, size)
    assert server_name(data) == "api.example.com"
    assert server_name(data[:-1]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01" + (MAX_HELLO + 1).to_bytes(3, "big"),
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
    ],
    ids=["http", "alert", "empty record", "another message", "too long", "empty message"],
)
def test_what_is_no_hello_has_no_name(data):
    """It is not waited for: OpenSSL is to say what is wrong with it."""
    assert server_name(data) == ""


@given(data=st.binary(max_size=200))
def test_any_bytes_are_answered(data):
    """Whatever comes, there is a name or none, or more is wanted."""
    assert isinstance(server_name(data), str | None)


@given(position=st.integers(0, len(HELLO) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_answered(position, value):
    """The same of a ClientHello with a byte that is wrong."""
    data = HELLO[:position] + bytes([value]) + HELLO[position + 1 :]
    assert isinstance(server_name(data), str | None)
