"""request-transformer: what it may be told, and what it makes of a request."""

from __future__ import annotations

import inspect
import json

import pytest
from plugin_case import exchange, make, sent
from pydantic import ValidationError

from proxyd.errors import ConfigError, ProtocolError
from proxyd.model.load import load_text
from proxyd.plugins.request_transformer import Config, RequestTransformer

FORM = (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8")
JSON = (b"content-type", b"application/json")


async def run(one, **config):
    """Put an exchange through the plugin; what it answers."""
    outcome = make(RequestTransformer, **config).access(one)
    return await outcome if inspect.isawaitable(outcome) else outcome


# --- config --------------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's: nothing is changed."""
    empty = {"headers": (), "querystring": (), "body": ()}
    assert Config().model_dump() == {
        "http_method": None,
        "remove": empty,
        "rename": empty,
        "replace": {**empty, "uri": None},
        "add": empty,
        "append": empty,
        "max_body_size": 1_048_576,
        "omit_empty": False,
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"http_method": "get"}, "pattern"),
        ({"http_method": "CONNECT"}, "CONNECT cannot be sent"),
        ({"add": {"headers": ["x y:1"]}}, "not the name of a header"),
        ({"add": {"headers": ["x-a"]}}, "a name and a value"),
        ({"add": {"headers": ["x-a:1\n"]}}, "cannot stand in a header"),
        ({"add": {"headers": [":1"]}}, "not the name of a header"),
        ({"add": {"headers": ["x-a:$(foo)"]}}, "at character 7: there is nothing of this name"),
        ({"add": {"querystring": ["a:"]}}, "a name and a value"),
        ({"append": {"body": ["a:$(1 +)"]}}, "at character 8: a value is missing"),
        ({"replace": {"uri": "x"}}, "starts with a slash"),
        ({"replace": {"uri": "/a/../b"}}, "dot segment"),
        ({"replace": {"uri": "/%zz"}}, "malformed escape"),
        ({"replace": {"uri": "/$("}}, "the expression has no end"),
        ({"replace": {"headers": ["host:a b"]}}, "this is no host"),
        ({"rename": {"headers": ["a:b c"]}}, "not the name of a header"),
        ({"rename": {"headers": ["a:Host"]}}, "no header can become Host"),
        ({"remove": {"headers": [""]}}, "not the name of a header"),
        ({"remove": {"body": [":"]}}, "a name is missing"),
        ({"remove": {"uri": "/"}}, "Extra inputs"),
        *(
            ({kind: {"headers": [f"{name}:x"]}}, "writes this header itself")
            for kind in ("add", "append", "replace", "rename")
            for name in ("Content-Length", "transfer-encoding", "Connection", "Upgrade", "TE", "keep-alive")
        ),
        ({"rename": {"headers": ["x-length:Content-Length"]}}, "writes this header itself"),
    ],
)
def test_what_is_refused(config, message):
    """What could not be sent, and what the gateway alone may write."""
    with pytest.raises(ValidationError, match=message):
        Config(**config)


def test_a_template_is_refused_at_its_place():
    """File, line, column, path, what is wrong and what would be right; and none of the text."""
    text = """
_format_version: "3.0"
plugins:
  - name: request-transformer
    config:
      http_method: null
      add:
        body: null
        headers:
          - "x-ok:1"
          - "Authorization: $(headers.apikey == sb_secret and 'x')"
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text, env={}, plugins={"request-transformer": Config})
    (problem,) = caught.value.problems
    assert str(problem) == (
        "<text>:11:13: plugins[0].config.add.headers[1]: at character 36: there is nothing of this name"
        " (there are headers, query_params, uri_captures, shared and type(); a string is in quotes)"
    )


def test_values_are_not_shown():
    """They hold keys in many a file."""
    config = {"add": {"headers": ["a:s3cret"]}, "replace": {"querystring": ["b:s3cret"]}}
    assert "s3cret" not in repr(Config(**config)) + repr(make(RequestTransformer, **config))


# --- headers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({"remove": {"headers": ["X-A", "x-none", "x-b:x"]}}, {"x-c": "3"}),
        ({"rename": {"headers": ["x-a:X-New"]}}, {"x-b": "2", "x-c": "3", "x-new": "1"}),
        ({"rename": {"headers": ["x-a:X-C", "x-none:X-B"]}}, {"x-b": "2", "x-c": "1"}),
        ({"replace": {"headers": ["x-a:9", "x-none:9"]}}, {"x-b": "2", "x-c": "3", "x-a": "9"}),
        ({"add": {"headers": ["x-a:9", "x-new: 9 "]}}, {"x-a": "1", "x-b": "2", "x-c": "3", "x-new": "9"}),
        ({"add": {"headers": ["x-new:", "host:x"]}}, {"x-a": "1", "x-b": "2", "x-c": "3"}),
        ({"add": {"headers": ["x-new::a:b"]}}, {"x-a": "1", "x-b": "2", "x-c": "3", "x-new": "a:b"}),
        ({"add": {"headers": ["x-forwarded-for:x", "X-Real-IP:x"]}}, {"x-a": "1", "x-b": "2", "x-c": "3"}),
        (
            {"remove": {"headers": ["x-a"]}, "add": {"headers": ["x-a:9"]}},
            {"x-b": "2", "x-c": "3", "x-a": "9"},
        ),
        (
            {
                "remove": {"headers": ["x-b"]},
                "rename": {"headers": ["x-c:x-b"]},
                "replace": {"headers": ["x-b:r", "x-c:r"]},
                "add": {"headers": ["x-c:a", "x-b:a"]},
            },
            {"x-a": "1", "x-b": "r", "x-c": "a"},
        ),
    ],
)
async def test_headers(config, result):
    """Remove, rename, replace, add: in this order, with names in any case."""
    one = exchange((b"X-A", b"1"), (b"X-B", b"2"), (b"X-C", b"3"))
    assert await run(one, **config) is None
    assert sent(one) == result


async def test_appended_headers_come_behind():
    """As fields of their own."""
    one = exchange((b"X-A", b"1"))
    await run(one, append={"headers": ["x-a:2", "x-b:$(headers.x_a)"]})
    assert one.headers.get_all(b"x-a") == [b"1", b"2"]
    assert one.headers.get_all(b"x-b") == [b"1"]


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({"add": {"headers": ["X-Role:guest"]}}, {"x-role": "guest", "x_other": "1"}),
        ({"remove": {"headers": ["X-Role"]}}, {"x_other": "1"}),
        ({"replace": {"headers": ["X-Role:guest"]}}, {"x_other": "1"}),
        ({"rename": {"headers": ["x_other:X-Role"]}}, {"x-role": "1"}),
        (
            {"add": {"headers": ["X-Role:guest", "X_Role:other"]}},
            {"x-role": "guest", "x_role": "admin", "x_other": "1"},
        ),
    ],
)
async def test_what_looks_like_a_changed_header_is_taken_out(config, result):
    """A backend that reads ``_`` as ``-`` would take a client's for it; names that the file writes so itself stay."""
    one = exchange((b"X_Role", b"admin"), (b"X_Other", b"1"))
    assert await run(one, **config) is None
    assert sent(one) == result


async def test_renaming_keeps_every_field():
    """One that is sent twice is renamed twice."""
    one = exchange((b"X-A", b"1"), (b"X-A", b"2"))
    await run(one, rename={"headers": ["x-a:X-B"]})
    assert one.headers.encode() == b"X-B: 1\r\nX-B: 2\r\n"


async def test_what_frames_the_message_cannot_be_taken_out():
    """The length stays with its body."""
    one = exchange((b"Content-Length", b"3"), body=b"abc")
    await run(one, remove={"headers": ["Content-Length"]})
    assert sent(one) == {"content-length": "3"}


async def test_templates_see_the_request_as_it_came():
    """A header that was removed, an argument that was replaced."""
    one = exchange((b"X-A", b"1"), target="/?q=2")
    config = {
        "remove": {"headers": ["x-a"]},
        "replace": {"querystring": ["q:$(headers['x-a'])"]},
        "add": {"headers": ["x-b:$(headers['X-A'])$(query_params.q)"]},
    }
    await run(one, **config)
    assert (sent(one), one.request.query) == ({"x-b": "12"}, "?q=1")


@pytest.mark.parametrize(("omit", "result"), [(False, {"x-a": "", "x-b": ""}), (True, {})])
async def test_a_header_that_comes_to_nothing(omit, result):
    """Kong sends it empty; with omit_empty it is left out."""
    one = exchange((b"X-A", b"1"))
    config = {"replace": {"headers": ["x-a: $(nil)"]}, "add": {"headers": ["x-b: $(headers.none)"]}}
    await run(one, omit_empty=omit, **config)
    assert sent(one) == result


@pytest.mark.parametrize(
    ("value", "status", "refusal"),
    [
        ("$(headers.none .. 'x')", 500, "request-transformer: attempt to concatenate a nil value"),
        ("$(query_params.evil)", 400, "request-transformer: a value cannot stand in a header"),
    ],
)
async def test_a_value_that_cannot_be_is_refused(value, status, refusal):
    """500 for what the file has wrong, 400 for what the client sent; the reason is in the log."""
    one = exchange(target="/?evil=a%0D%0AX-Evil:%201")
    reply = await run(one, add={"headers": [f"x-a:{value}"]})
    assert (reply.status, one.refusal, sent(one)) == (status, refusal, {})


async def test_a_template_that_does_not_apply_is_not_evaluated():
    """It fails nobody's request."""
    one = exchange((b"X-A", b"1"))
    config = {
        "add": {"headers": ["x-a:$(headers.no .. '')"]},
        "replace": {"headers": ["x-b:$(headers.no .. '')"]},
    }
    assert await run(one, **config) is None


async def test_the_host_is_the_upstreams():
    """As Kong has it: replaced whether the request had one or not, and no header of the request's."""
    one = exchange((b"X-Tenant", b"Ann"))
    await run(one, replace={"headers": ["Host: $(headers['x-tenant']).example.com:8080"]})
    assert (one.replaced_host, sent(one)) == ("ann.example.com:8080", {"x-tenant": "Ann"})
    reply = await run(exchange((b"X-Tenant", b"a/b")), replace={"headers": ["host:$(headers['x-tenant'])"]})
    assert reply.status == 400


# --- method, path and query ----------------------------------------------------------------------------------


async def test_the_method():
    """It is the upstream's alone, and not a handshake's."""
    one, handshake = exchange(method="POST"), exchange()
    handshake.request.upgrade = "websocket"
    for each in (one, handshake):
        await run(each, http_method="PUT")
    assert (one.request.method, one.upstream_method, handshake.upstream_method) == ("POST", "PUT", "GET")


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        ("/fixed", "/fixed", "?q=1"),
        ("/users/$(uri_captures['id'])/x", "/users/a%2Fb/x", "?q=1"),
        ("/t\u00e9st $(query_params.q)", "/t%C3%A9st%201", "?q=1"),
        ("/a//b/%7ec?x=$(headers.host)#", "/a/b/~c", "?x=h%23&q=1"),
        ("$(uri_captures[1] == nil and '/' or uri_captures[1])", "/", "?q=1"),
    ],
)
async def test_the_path(uri, path, query):
    """In place of the service's and the request's, in its normal form; the request's query stays."""
    one = exchange(target="/?q=1")
    one.captures = {"id": "a%2Fb"}
    assert await run(one, replace={"uri": uri}) is None
    assert (one.replaced_path, one.request.query, one.request.path) == (path, query, "/")


@pytest.mark.parametrize("value", ["..", "a/../b", "%2e%2E/b", "./", "%zz", "%00", "..%2Fa"])
async def test_a_client_does_not_climb(value):
    """Whatever a template takes from it."""
    one = exchange((b"X-Path", value.encode()))
    reply = await run(one, replace={"uri": "/files/$(headers['x-path'])"})
    assert (reply.status, one.replaced_path) == (400, "")


async def test_a_path_that_comes_to_nothing_is_refused():
    """It has no slash to begin with."""
    assert (await run(exchange(), replace={"uri": "$(headers.none)"})).status == 400


async def test_the_query():
    """Remove, rename, replace, add, append; the rest stays as it was written."""
    one = exchange(target="/?a=1&b=%32&c=3&keep=%41")
    config = {
        "remove": {"querystring": ["a"]},
        "rename": {"querystring": ["b:B"]},
        "replace": {"querystring": ["c:$(query_params.a)"]},
        "add": {"querystring": ["B:x", "d:4 5"]},
        "append": {"querystring": ["c:6"]},
    }
    await run(one, **config)
    assert one.request.query == "?B=%32&c=1&keep=%41&d=4%205&c=6"


async def test_an_empty_query_has_no_mark():
    """And one that is not touched is left alone."""
    one = exchange(target="/?a=1")
    await run(one, remove={"querystring": ["a"]})
    assert one.request.query == ""


# --- bodies --------------------------------------------------------------------------------------------------

CHANGES = {
    "remove": {"body": ["secret"]},
    "rename": {"body": ["old:new"]},
    "replace": {"body": ["a:$(headers.x_a)"]},
    "add": {"body": ["b:2", "a:3"]},
    "append": {"body": ["list:x"]},
}


def with_body(field, body, **more):
    made = exchange(field, (b"X-A", b"\xc3\xbc"), method="POST", body=body, **more)
    made.request.framing = len(body)
    return made


async def test_a_json_body():
    """Values are strings; what is not named stays as it was written, numbers among it."""
    one = with_body(JSON, b'{"secret":1, "old":1.50, "a":0, "list":[1]}')
    assert await run(one, **CHANGES) is None
    assert one.buffered == '{"new":1.50,"a":"ü","list":[1,"x"],"b":"2"}'.encode()


async def test_a_form():
    """Encoded, behind what was there."""
    one = with_body(FORM, b"secret=1&old=%31&a=0&list=1")
    await run(one, **CHANGES)
    assert one.buffered == b"new=%31&a=%C3%BC&list=1&b=2&list=x"


async def test_a_multipart_form():
    """Part by part."""
    part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    body = part % (b"secret", b"1") + part % (b"old", b"1") + b"--b--\r\n"
    one = with_body((b"Content-Type", b"multipart/form-data; boundary=b"), body)
    await run(one, **CHANGES)
    assert (
        one.buffered
        == part % (b"new", b"1")
        + b"".join(part % pair for pair in [(b"b", b"2"), (b"a", b"3"), (b"list", b"x")])
        + b"--b--\r\n"
    )


@pytest.mark.parametrize("config", [CHANGES, {"http_method": "GET"}])
async def test_a_form_of_too_many_fields_is_refused(config):
    """Whether they are changed or become a query."""
    one = with_body((b"Content-Type", b"application/x-www-form-urlencoded"), b"a=1&" * 2001)
    with pytest.raises(ProtocolError) as refused:
        await run(one, **config)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("field", "body"),
    [
        (JSON, b"malformed"),
        (JSON, b'["secret"]'),
        ((b"Content-Type", b"multipart/form-data"), b"x"),
        (JSON, b"\xff"),
    ],
)
async def test_what_cannot_be_read_goes_on_as_it_came(field, body):
    """It has no fields of these names, as Kong sees it."""
    one = with_body(field, body)
    assert await run(one, **CHANGES) is None
    assert one.buffered == body


@pytest.mark.parametrize(
    "field", [(b"Content-Type", b"text/plain"), (b"Content-Type", b"application/x-json"), (b"X", b"")]
)
async def test_a_body_of_another_type_is_not_read(field):
    """It streams."""
    one = with_body(field, b'{"secret":1}')
    assert make(RequestTransformer, **CHANGES).access(one) is None
    assert one.buffered is None


async def test_a_request_without_a_body_is_given_one():
    """Where something is added, and the type says what; at once, for there is nothing to wait for."""
    one = exchange()
    config = {"http_method": "POST", "add": {"headers": ["Content-Type:application/json"], "body": ["a:1"]}}
    assert make(RequestTransformer, **config).access(one) is None
    assert one.buffered == b'{"a":"1"}'
    nothing = exchange(JSON)
    assert make(RequestTransformer, remove={"body": ["a"]}).access(nothing) is None
    assert nothing.buffered is None


async def test_a_form_becomes_a_query():
    """Where the method is made one without a body, as in Kong."""
    one = with_body(FORM, b"a=b c&d", target="/?x=1")
    await run(one, http_method="GET", replace={"querystring": ["d:2"]})
    assert (one.request.query, one.upstream_method) == ("?x=1&a=b%20c&d=2", "GET")


async def test_a_value_that_breaks_a_form_is_refused():
    """A client adds no part by a header."""
    body = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
    one = with_body((b"Content-Type", b"multipart/form-data; boundary=b"), body, target="/?v=--b--")
    assert (await run(one, add={"body": ["c:$(query_params.v)"]})).status == 400


async def test_a_body_that_was_read_before_is_changed():
    """By another plugin, which may have changed it too."""
    one = exchange(JSON)
    one.buffered = b'{"secret":1}'
    assert make(RequestTransformer, remove={"body": ["secret"]}).access(one) is None
    assert json.loads(one.buffered) == {}
