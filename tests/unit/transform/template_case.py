"""What tests of templates start from: requests, and Lua itself to compare with."""

from __future__ import annotations

from urllib.parse import quote

from lupa import luajit21

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.transform.template import RenderError, Scope, Template


def exchange(fields=(), query="", captures=None, prefix="", shared=None, host="api.example.com"):
    head = RequestHead("GET", "/a", "/a", query, 1, host, Headers.of(fields), 0, keep_alive=True)
    made = Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)
    made.captures, made.matched_prefix, made.shared = captures, prefix, shared
    return made


def render(text, *fields, **more):
    """Render a template for a request with these header fields."""
    return Template(text).render(Scope(exchange(fields, **more)))


LUA = luajit21.LuaRuntime(encoding=None, register_eval=False, max_memory=64 << 20)
# What Penlight's template makes of ``$(expression)``, with Kong's look-up of headers.
RUN = LUA.execute(b"""
    return function(source, names, values)
        local headers = {}
        for number = 1, #names do headers[names[number]] = values[number] end
        local chunk = loadstring('return tostring((' .. source .. ") or '')")
        if not chunk then return 'syntax' end
        setfenv(chunk, {headers = headers, type = type, tostring = tostring})
        local fine, result = pcall(chunk)
        return fine and 'value' or 'failure', result
    end
""")


def in_lua(expression, headers):
    """Return what Lua makes of an expression: its text, or None where it fails."""
    outcome = RUN(expression, LUA.table_from(list(headers)), LUA.table_from(list(headers.values())))
    assert outcome != b"syntax", expression
    return outcome[1] if outcome[0] == b"value" else None


def ours(expression, headers):
    """Return what a template makes of it."""
    try:
        return render(f"$({expression.decode()})", *headers.items(), query=f"?x={quote(expression)}")
    except RenderError:
        return None
