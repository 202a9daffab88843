"""response-transformer: what it may be told, and what it makes of an answer."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.errors import GatewayError
from proxyd.http1.headers import Headers
from proxyd.plugins.response_transformer import Config, ResponseTransformer

TYPE = (b"Content-Type", b"application/json; charset=utf-8")


def filtered(body, *fields, size=3, method="GET", status=200, **config):
    """Put an answer through the plugin, in pieces; its body, or None where it is not wanted, and its headers."""
    plugin = make(ResponseTransformer, **config)
    asked, headers = exchange(method=method), Headers.of(fields or [TYPE])
    plugin.access(asked)
    plugin.header_filter(asked, status, headers)
    if not plugin.wants_body(asked, status, headers):
        return None, headers
    pieces = [plugin.body_filter(asked, body[at : at + size], False) for at in range(0, len(body), size)]
    assert b"".join(pieces) == b""
    return plugin.body_filter(asked, b"", True), headers


# --- config --------------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's: nothing is changed."""
    values = {"headers": (), "json": (), "json_types": ()}
    assert Config().model_dump(by_alias=True) == {
        "remove": {"headers": (), "json": ()},
        "rename": {"headers": (), "json": ()},
        "replace": values,
        "add": values,
        "append": values,
        "max_body_size": 8_388_608,
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"add": {"headers": ["x y:1"]}}, "not the name of a header"),
        ({"add": {"headers": ["x-a"]}}, "a name and a value"),
        ({"add": {"headers": ["Content-Length:1"]}}, "writes this header itself"),
        ({"append": {"headers": ["Transfer-Encoding:chunked"]}}, "writes this header itself"),
        ({"rename": {"headers": ["X-Length:content-length"]}}, "writes this header itself"),
        ({"add": {"headers": ["x-a:1\r\nx-b:2"]}}, "cannot stand in a header"),
        ({"add": {"json": ["a"]}}, "a name and a value"),
        ({"add": {"json": ["a:1x"], "json_types": ["number"]}}, "the value is none"),
        ({"add": {"json": ["a:1"], "json_types": ["integer"]}}, "'boolean', 'number' or 'string'"),
        ({"rename": {"json": ["a:"]}}, "needs a new name"),
        ({"remove": {"json_types": ["string"]}}, "Extra inputs"),
        ({"remove": {"members": ["a"]}}, "Extra inputs"),
    ],
)
def test_what_is_refused(config, message):
    """What could not be sent, and what the gateway alone may write."""
    with pytest.raises(ValidationError, match=message):
        Config(**config)


# --- headers -------------------------------------------------------------------------------------------------


def test_headers():
    """Remove, rename, replace, add, append; a template means nothing here, as in Kong."""
    config = {
        "remove": {"headers": ["Server", "Content-Length"]},
        "rename": {"headers": ["x-old:X-New"]},
        "replace": {"headers": ["x-new:2", "x-none:2"]},
        "add": {"headers": ["x-new:3", "x-add:$(headers.x)"]},
        "append": {"headers": ["Set-Cookie:b=2"]},
    }
    fields = [(b"Server", b"x"), (b"X-Old", b"1"), (b"Set-Cookie", b"a=1"), (b"Content-Length", b"2")]
    body, headers = filtered(b"", *fields, **config)
    assert body is None
    assert sorted(headers.encode().splitlines()) == sorted(
        [b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Content-Length: 2", b"x-new: 2", b"x-add: $(headers.x)"]
    )


# --- bodies --------------------------------------------------------------------------------------------------


def test_a_body():
    """Members are changed, in Kong's order, and all others stay as they were written."""
    config = {
        "remove": {"json": ["secret"]},
        "rename": {"json": ["old:new"]},
        "replace": {"json": ["new:a:b", "none:1"]},
        "add": {
            "json": ["new:x", "yes:true", "no:no", "n:-1.50e3", "s:1"],
            "json_types": ["string", "boolean", "boolean", "number"],
        },
        "append": {"json": ["list:2", "empty:x"], "json_types": ["number"]},
    }
    body, _ = filtered(b'{"secret":{"x":[1]},"old":1.0,"list":[1],"price":1.10}', **config)
    assert body == (
        b'{"new":"a:b","list":[1,2],"price":1.10,"yes":true,"no":false,"n":-1.50e3,"s":"1","empty":["x"]}'
    )


REMOVE = {"remove": {"json": ["a"]}}
ADD = {"add": {"json": ["a:1"]}}


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Type", b"text/html")],
        [(b"Content-Type", b"application/problem+json")],
        [(b"X-Other", b"application/json")],
    ],
)
def test_what_is_not_json_is_not_wanted(fields):
    """It goes through as it came, and keeps its length."""
    assert filtered(b"{}", *fields, **REMOVE)[0] is None


def test_without_changes_to_members_no_body_is_wanted():
    """However much is changed in the headers; nor is anything asked of the upstream."""
    assert filtered(b"{}", TYPE, remove={"headers": ["a"]})[0] is None
    asked = exchange((b"Accept-Encoding", b"gzip"), (b"Range", b"bytes=0-1"))
    make(ResponseTransformer, remove={"headers": ["a"]}).access(asked)
    assert asked.headers.encode() == b"Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n"


def test_the_upstream_is_asked_for_what_can_be_changed():
    """All of it, and not compressed."""
    asked = exchange((b"Accept-Encoding", b"gzip"), (b"Range", b"bytes=0-1"))
    make(ResponseTransformer, **REMOVE).access(asked)
    assert asked.headers.encode() == b"Accept-Encoding: identity\r\n"


@pytest.mark.parametrize("body", [b"", b'["a"]', b'"a"', b"null", b'{ "b" : 1 }'])
def test_a_body_without_the_member_stays_as_it_is(body):
    """Byte for byte."""
    assert filtered(body, **REMOVE)[0] == body


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{", [TYPE]),
        (b"\x1f\x8b", [TYPE, (b"Content-Encoding", b"gzip")]),
    ],
)
@pytest.mark.parametrize(
    "config", [REMOVE, {"rename": {"json": ["a:b"]}}, {"replace": {"json": ["a:b"]}}, ADD]
)
def test_what_cannot_be_read_does_not_get_through(body, fields, config):
    """Where a member was not to be seen; what would only have been added to is left alone, as in Kong."""
    if config is ADD:
        assert filtered(body, *fields, **config)[0] in {None, body}
    else:
        with pytest.raises(GatewayError, match="bad_response: the body that is to be changed is"):
            filtered(body, *fields, **config)


def test_an_object_of_too_many_members_is_one_that_cannot_be_read():
    """What is to be hidden among them is not shown."""
    body = b"{" + b'"a":1,' * 2000 + b'"secret":1}'
    assert filtered(body, size=len(body), **ADD)[0] == body
    with pytest.raises(GatewayError, match="too many members"):
        filtered(body, size=len(body), **REMOVE)


@pytest.mark.parametrize("fields", [[TYPE], [TYPE, (b"Content-Length", b"9")]])
@pytest.mark.parametrize("config", [REMOVE, ADD])
def test_a_body_is_bounded(fields, config):
    """A larger one does not get through unchanged; one that fits does, to the byte."""
    assert filtered(b'{"b": 1}', *fields[:1], max_body_size=8, **config)[0] is not None
    with pytest.raises(GatewayError, match="larger than max_body_size"):
        filtered(b'{"b": 12}', *fields, max_body_size=8, **config)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_an_answer_without_a_body_fails_nobody(method, status):
    """Whatever its head says of one; the gateway takes its length away."""
    plugin = make(ResponseTransformer, max_body_size=1, **REMOVE)
    headers = Headers.of([TYPE, (b"Content-Length", b"99"), (b"Content-Encoding", b"gzip")])
    assert plugin.wants_body(exchange(method=method), status, headers)


def test_values_are_not_shown():
    """They hold keys in many a file."""
    assert "s3cret" not in repr(Config(add={"headers": ["a:s3cret"], "json": ["b:s3cret"]}))
