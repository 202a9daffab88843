"""Templates: what they may look at, what they make of it, and what is refused where."""

from __future__ import annotations

import pytest
from template_case import exchange, render

from proxyd.transform.lua import MAX_RESULT
from proxyd.transform.parser import MAX_DEPTH, MAX_OPERATIONS
from proxyd.transform.template import MAX_TEMPLATE, RenderError, Scope, Template, TemplateError

FIELDS = [
    (b"Authorization", b"Bearer sb_publishable_1"),
    (b"apikey", b"sb_publishable_1"),
    (b"X-User-Id", b"42"),
    (b"X-Twice", b"a"),
    (b"X-Twice", b"b"),
]
CAPTURES = {1: "one", 2: "t%20wo", "user": "ann"}
QUERY = "?q=1&name=J%C3%BCr+gen&flag&empty=&r=1&r=2&x-y=z"

# Key translation as Supabase's start script writes it, and a path as Kong's ingress controller does.
TRANSLATE = (
    "$((headers.authorization ~= nil and headers.authorization:sub(1, 10) ~= 'Bearer sb_' and headers.authorization)"
    " or (headers.apikey == 'sb_secret_1' and 'Bearer service') or (headers.apikey == 'sb_publishable_1' and"
    " 'Bearer anon') or headers.apikey)"
)
REWRITE = """/v2$(uri_captures[1] == nil and "" or "/" .. uri_captures[1])"""

RENDERED = [
    # --- where values come from
    ("plain", b"plain"),
    ("$5 and $ and $)", b"$5 and $ and $)"),
    ("$(headers.apikey)", b"sb_publishable_1"),
    ("$(headers.Apikey)", b"sb_publishable_1"),
    ("$(headers['X-User-Id'])", b"42"),
    ('$(headers["x-user-id"])', b"42"),
    ("$(headers.x_user_id)", b"42"),
    ("$(headers.host)", b"api.example.com"),
    ("$(headers[1])", b""),
    ("$(headers.x_twice)", b"a, b"),
    ("$(headers.x_twice[2])$(headers.x_twice[3])$(headers.x_twice[1.5])", b"b"),
    ("$(#headers.x_twice)", b"2"),
    ("$(query_params.q)", b"1"),
    ("$(query_params.name)", "Jür gen".encode()),
    ("$(query_params['x-y'])", b"z"),
    ("$(query_params.flag)", b"true"),
    ("$(query_params.empty)", b""),
    ("$(query_params.r)", b"1, 2"),
    ("$(query_params.none)$(query_params[1])", b""),
    ("$(uri_captures[1])/$(uri_captures['user'])", b"one/ann"),
    ("$(uri_captures.user)$(uri_captures[3])$(uri_captures[true])", b"ann"),
    ("$(uri_captures[0])", b"/a"),
    ("$(shared.version)$(shared.count)$(shared.on)", b"1.2.33true"),
    ("$(shared.claims.sub)$(shared.claims['none'])$(shared[1])", b"bob"),
    ("$(headers[query_params.flag == true and 'apikey'])", b"sb_publishable_1"),
    # --- what real files hold
    (TRANSLATE, b"Bearer anon"),
    (REWRITE, b"/v2/one"),
    ("$(headers.none or query_params['none'] or 'unknown')", b"unknown"),
    ("$(nil)", b""),
    ("Bearer $(headers.apikey)", b"Bearer sb_publishable_1"),
    ("$(10 * headers.x_user_id)", b"420"),
    ("$('$(escaped)')", b"$(escaped)"),
    ("$(type(headers['X-Twice']) == 'table' and headers['X-Twice'][1] .. '-first')", b"a-first"),
    ("$(type(headers.none))", b"nil"),
    # --- texts
    (r"$('a\'b\\c\110\x41\n')", b"a'b\\cnA\n"),
    ('$("ü" .. #"ü")', "ü2".encode()),
    ("$(headers.apikey:sub(1, 3))", b"sb_"),
    ("$(headers.apikey:sub(-1))", b"1"),
    ("$(headers.apikey:sub(4):upper():lower():reverse():len())", b"13"),
    ("$(headers.apikey:find('_', 4, true))", b"15"),
    ("$(headers.apikey:find('secret'))", b""),
    ("$((headers.apikey):find(')') == nil)", b"true"),
    ("$(1e3 .. 0x10 .. .5 .. 1/3)", b"1000160.50.33333333333333"),
]


@pytest.mark.parametrize(("text", "rendered"), RENDERED)
def test_what_is_rendered(text, rendered):
    """Lua's value of the expression, in its place in the text."""
    shared = {"version": "1.2.3", "count": 3, "on": True, "claims": {"sub": "bob"}}
    more = {"query": QUERY, "captures": CAPTURES, "prefix": "/a", "shared": shared}
    assert render(text, *FIELDS, **more) == rendered


@pytest.mark.parametrize("text", ["", "plain", "$('x')", "a $(1 + 1) b", "$(nil)", "$(type('x'))"])
def test_what_never_changes_is_known_at_load(text):
    """Nothing is left to do for a request."""
    one = Template(text)
    assert one.literal is not None
    assert one.render(None) is one.literal
    assert repr(one) == "<Template literal>"


def test_what_depends_on_the_request_is_not():
    """And the text is not shown, for it may hold a key."""
    assert repr(Template("secret $(headers.x)")) == "<Template parts=2>"
    assert Template("$(headers.x)").literal is None


def test_the_request_is_seen_as_it_was():
    """What is changed after a scope was made is not seen by its templates."""
    one = exchange([(b"X-A", b"1")], query="?q=1")
    scope = Scope(one)
    one.headers.set(b"X-A", b"2")
    one.request.query = ""
    assert Template("$(headers.x_a)$(query_params.q)").render(scope) == b"11"


# --- what fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$('x' .. headers.none)", "attempt to concatenate a nil value"),
        ("$(headers.none:sub(1))", "attempt to index a nil value"),
        ("$(headers.none.x)", "attempt to index a nil value"),
        ("$(headers.x_twice:lower())", "attempt to index a table value"),
        ("$(headers.x_twice .. '')", "attempt to concatenate a table value"),
        ("$(#headers.none)", "attempt to get length of a nil value"),
        ("$(headers.apikey + 1)", "attempt to perform arithmetic on a string value"),
        ("$(-headers.none)", "attempt to perform arithmetic on a nil value"),
        ("$(headers.apikey < 1)", "attempt to compare string with number"),
        ("$(headers.none >= nil)", "attempt to compare nil with nil"),
        ("$(headers.apikey:sub(headers.none))", "number expected, got nil"),
        ("$(headers.apikey:find(headers.x_twice))", "string expected, got table"),
        (
            "$(headers.apikey:find('_' .. '.'))",
            "patterns are not matched: find needs true as its third argument",
        ),
        ("$(shared.table)", "a table cannot stand in a text"),
    ],
)
def test_an_expression_that_fails(text, message):
    """It says what Lua says, and shows no value."""
    with pytest.raises(RenderError) as caught:
        render(text, *FIELDS, shared={"table": {}})
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["$(headers.x .. headers.x)", "$(headers.x)$(headers.x)"])
def test_what_a_template_makes_is_bounded(text):
    """However long the values are that it is given."""
    assert len(render(text, (b"X", b"a" * (MAX_RESULT // 2)))) == MAX_RESULT
    with pytest.raises(RenderError, match="too long"):
        render(text, (b"X", b"a" * (MAX_RESULT // 2 + 1)))


# --- what is refused -----------------------------------------------------------------------------------------

REFUSED = [
    # text, the character that is told, what is wrong
    ("$(headers", 10, "the expression has no end"),
    ("x $(headers.x", 14, "the expression has no end"),
    ("$()", 3, "an expression is missing"),
    ("$(headers)", 3, "a field of this table should be named"),
    ("$(type(headers))", 8, "a field of this table should be named"),
    ("$(headers.x-user)", 13, "there is nothing of this name"),
    ("$(os.execute('x'))", 3, "there is nothing of this name"),
    ("$(_G)", 3, "there is nothing of this name"),
    ("$(__import__('os'))", 3, "there is nothing of this name"),
    ("$(type)", 7, "( is missing behind type"),
    ("$(type('x')", 12, "the expression has no end"),
    ("$(type('x' 'y'))", 12, ") is missing behind the argument of type"),
    ("$((1)", 6, "the expression has no end"),
    ("$((1 2))", 6, ") is missing behind what ( opens"),
    ("$(1 2)", 5, "an operator or ) should stand here"),
    ("$(headers.x = 1)", 13, "an operator or ) should stand here"),
    ("$(headers.x {})", 13, "an operator or ) should stand here"),
    ("$({})", 3, "a value is missing"),
    ("$(1 +)", 6, "a value is missing"),
    ("$(and 1)", 3, "a value is missing"),
    ("$(not)", 6, "a value is missing"),
    ("$(headers.'x')", 11, "a name is missing"),
    ("$(headers['x')", 14, "] is missing behind what [ opens"),
    ("$(headers.x())", 12, "this is no function"),
    ("$(('x')())", 8, "this is no function"),
    ("$(headers.x:gsub('a', 'b'))", 13, ":gsub is not there"),
    ("$(headers.x:bit())", 13, "this method is not there"),
    ("$(headers.x:sub)", 16, "( is missing behind a method"),
    ("$(headers.x:sub())", 13, "this is not the number of arguments that it takes"),
    ("$(headers.x:len(1))", 13, "this is not the number of arguments that it takes"),
    ("$(headers.x:sub(1 2))", 19, ", is missing behind an argument"),
    ("$(headers.x:sub(headers.x:find('a')))", 17, "find gives two values here"),
    ("$(function() return 1 end)", 3, "statements and functions are not run, only an expression is"),
    ("$(return 1)", 3, "statements and functions are not run, only an expression is"),
    ("$('a)", 3, "the string has no end"),
    (r"$('\q')", 4, "there is no such escape"),
    (r"$('a\300')", 5, "there is no such byte"),
    ("$([[x]])", 3, "comments and long strings are not taken"),
    ("$(1 -- x)", 5, "comments and long strings are not taken"),
    ("$(1..2)", 3, "what stands here is not Lua"),
    ("$(3x)", 3, "what stands here is not Lua"),
    ("$(!x)", 3, "what stands here is not Lua"),
    ("a$('x' .. nil)", 2, "the expression always fails: attempt to concatenate a nil value"),
    ("$(" + "(" * MAX_DEPTH + "1", 3 + MAX_DEPTH, "levels deep"),
    ("$(" + "not " * (MAX_DEPTH + 1) + "1)", 3 + 4 * MAX_DEPTH, "levels deep"),
    ("$(" + "1+" * (MAX_OPERATIONS + 1) + "1)", 4 + 2 * MAX_OPERATIONS, "operations"),
    ("x" * (MAX_TEMPLATE + 1), 1, "characters at most"),
]


@pytest.mark.parametrize(("text", "position", "message"), REFUSED, ids=[row[0][:40] for row in REFUSED])
def test_what_is_refused(text, position, message):
    """With the character where it stands, and none of the text, which may hold a key."""
    with pytest.raises(TemplateError) as caught:
        Template(text)
    told = caught.value.args[0]
    assert (told.startswith(f"at character {position}: "), message in told) == (True, True), told


def test_the_place_counts_from_the_beginning_of_the_entry():
    """A template behind a name is told where it stands in the file."""
    with pytest.raises(TemplateError, match="at character 5: an expression"):
        Template("x:$()", 2)
    assert Template("x:y", 2).literal == b"y"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("$(headers)", "headers.name or headers['name']"),
        ("$(foo)", "there are headers, query_params, uri_captures, shared and type(); a string is in quotes"),
        ("$(headers.x:match('a'))", "there are find, len, lower, reverse, sub, upper"),
        ("$(", "$('$(') stands for $( itself"),
        ("$(headers.x = 1)", "nothing can be set; == compares"),
    ],
)
def test_it_is_said_what_would_be_right(text, hint):
    """As the second argument, which the configuration's reader puts behind the complaint."""
    with pytest.raises(TemplateError) as caught:
        Template(text)
    assert caught.value.args[1] == hint
