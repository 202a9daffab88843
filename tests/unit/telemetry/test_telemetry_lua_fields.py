"""custom_fields_by_lua: the lines that are understood, and the refusal of all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyd.http1.headers import Headers
from proxyd.model.entities import Consumer
from proxyd.model.load import load_text
from proxyd.plugins import BY_NAME
from proxyd.telemetry.kong_record import Recorder
from proxyd.telemetry.lua_fields import KEYED, NAMED, PLAIN, compile_fields, parse
from proxyd.telemetry.redact import Redactor


@pytest.fixture
def exchange(exchange_of):
    return exchange_of(
        "PUT",
        query="?q=a%20b&flag&token=t",
        headers=[(b"X-Id", b"7"), (b"Authorization", b"Basic x"), (b"User-Agent", b"curl")],
        consumer=Consumer(id="c", username="ann"),
        own_headers=Headers.of([(b"X-Answer", b"yes")]),
        status=418,
        request_id="rid",
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("return 'text'", "text"),
        ('return "two words";', "two words"),
        ("return ''", ""),
        ("return 12", 12),
        ("return -1.5", -1.5),
        ("return 999999999999999", 999_999_999_999_999),
        ("return 99999999999999999999", 1e20),
        ("return true", True),
        ("return false", False),
        ("return nil", None),
        ("  return 'spaced' \n", "spaced"),
        ("return kong.request.get_header('X-Id')", "7"),
        ('return kong.request.get_header("x-absent")', None),
        ("return kong.request.get_header('x-absent') or 'none'", "none"),
        ("return kong.request.get_header('x-id') or 'none'", "7"),
        ("return kong.request.get_header('Host')", "api.test"),
        ("return kong.request.get_header('authorization')", "REDACTED"),
        ("return kong.request.get_headers()['user-agent']", "curl"),
        ("return ngx.req.get_headers()['user-agent']", "curl"),
        ("return ngx.var.http_user_agent", "curl"),
        ("return kong.request.get_query_arg('q')", "a b"),
        ("return kong.request.get_query_arg('flag')", True),
        ("return kong.request.get_query_arg('token')", "REDACTED"),
        ("return kong.request.get_query_arg('none')", None),
        ("return kong.request.get_method()", "PUT"),
        ("return kong.request.get_path()", "/orders"),
        ("return ngx.var.request_uri", "/orders?q=a%20b&flag&token=REDACTED"),
        ("return ngx.var.remote_addr", "192.0.2.7"),
        ("return kong.client.get_forwarded_ip()", "192.0.2.7"),
        ("return kong.response.get_status()", 418),
        ("return kong.response.get_header('x-answer')", "yes"),
        ("return kong.service.response.get_status()", None),
        ("return kong.client.get_consumer().username", "ann"),
        ("return kong.client.get_consumer() and kong.client.get_consumer().username or 'anonymous'", "ann"),
        ("return kong.router.get_route().name", "orders"),
        ("return kong.router.get_service().name", "shop"),
        ("return kong.vault.get('resolved')", "resolved"),
        ("return ngx.var.request_id", "rid"),
    ],
)
def test_lines_that_are_understood(exchange, text, value):
    """Constants, and questions about the exchange; a secret is not told under another name either."""
    assert parse(text)(exchange, Redactor()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "production",
        "return",
        "return os.execute('rm')",
        "local x = 1 return x",
        "return 'a' .. 'b'",
        "return 'a' return 'b'",
        "return 'it\\'s'",
        "return kong.request.get_header(name)",
        "return kong.request.get_header('a') or kong.request.get_header('b')",
        "return kong.request.get_header('a'):sub(1)",
        "return kong.client.get_consumer().password",
        "return kong.ctx.shared.user",
        "return {a = 1}",
        "return kong.request.get_body()",
    ],
)
def test_all_other_lua_is_refused(text):
    """Rather than left out: a field that is never there is hard to notice."""
    with pytest.raises(ValueError, match="Lua is not run"):
        parse(text)


def test_the_refusal_names_the_place():
    """The file, the line and the very field."""
    config = {"path": "/dev/stdout", "custom_fields_by_lua": {"a": "return 1", "b": "return f()"}}
    text = json.dumps(
        {"_format_version": "3.0", "plugins": [{"name": "file-log", "config": config}]}, indent=1
    )
    with pytest.raises(Exception, match=r"custom_fields_by_lua\.b.*Lua is not run"):
        load_text(text, env={}, plugins={name: one.Config for name, one in BY_NAME.items()})


def test_the_guide_lists_what_can_be_asked():
    """docs/logging.md names each question, at least by the last part of its name."""
    guide = (Path(__file__).parents[3] / "docs/logging.md").read_text()
    names = {*PLAIN, *(f"{name}(" for name in NAMED), *(f"{name}()" for name in KEYED)}
    assert [name for name in names if f".{name.rpartition('.')[2]}" not in guide] == []


def test_fields_are_put_where_their_names_say(exchange):
    """A dot leads into what is there, or into what is made; nil takes out; through a value there is no way."""
    sources = {
        "team": "return 'shop'",
        "request.headers": "return nil",
        "route.name": "return 'renamed'",
        "new.deep": "return 1",
        "gone.deep": "return nil",
        "client_ip.part": "return 1",
    }
    made = json.loads(Recorder(Redactor(), compile_fields(sources)).line(exchange, 0.0))
    assert (made["team"], made["route"]["name"], made["new"]) == ("shop", "renamed", {"deep": 1})
    assert (made["client_ip"], "headers" in made["request"], "gone" in made) == ("192.0.2.7", False, False)
