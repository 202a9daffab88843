"""graphql: which requests are taken, and how those that are not are told."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from plugin_case import exchange, make

from proxyd.errors import ProtocolError
from proxyd.exchange import Reply
from proxyd.plugins.graphql import GraphQL

JSON = (b"content-type", b"application/json")
ONLY_JSON = (b"accept", b"application/json")
RESPONSE = (b"accept", b"application/graphql-response+json")
CHROME = (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0")
QUERY = {"query": "{ a }"}
GET = "/graphql?query=%7Ba%7D"


def asked(*fields, method="POST", target="/graphql", body=b"", **config):
    """Return what comes of a request: the exchange, and the reply or None."""
    made = exchange(*fields, method=method, target=target)
    if method == "POST":
        made.buffered = body if isinstance(body, bytes) else orjson.dumps(body)
    return made, make(GraphQL, **config).access(made)


def told(reply):
    """Return status, media type and code of a refusal."""
    (error,) = orjson.loads(reply.body)["errors"]
    media = reply.headers.get(b"content-type").decode()
    assert media.endswith("; charset=utf-8")
    return reply.status, media.partition(";")[0].rpartition("/")[2], error["extensions"]["code"]


# --- GraphQL over HTTP -----------------------------------------------------------------------------------------

BAD = "BAD_REQUEST"
INVALID = "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("body", "with_response", "with_json", "code"),
    [
        (b"{", 400, 400, BAD),
        (b"", 400, 400, BAD),
        (b"1", 400, 400, BAD),
        ({"query": 1}, 400, 400, BAD),
        ({"qeury": "{ a }"}, 400, 400, BAD),
        ({}, 400, 400, BAD),
        ({"query": ""}, 400, 400, BAD),
        ({"query": "{ a"}, 400, 200, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ ...F }"}, 400, 200, INVALID),
        ({"query": "query A { a } query B { b }"}, 400, 200, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query A { a }", "operationName": "B"}, 400, 200, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "{ a " + "a: b " * 31 + "}"}, 400, 200, "LIMIT_EXCEEDED"),
        ([QUERY], 400, 400, "LIMIT_EXCEEDED"),
    ],
)
def test_statuses_of_what_is_asked(body, with_response, with_json, code):
    """A request that is well-formed is answered with 200 for clients that know no other type than JSON."""
    _, reply = asked(JSON, RESPONSE, body=body)
    assert told(reply) == (with_response, "graphql-response+json", code)
    _, reply = asked(JSON, ONLY_JSON, body=body)
    assert told(reply) == (with_json, "json", code)
    _, reply = asked(JSON, body=body)
    assert told(reply) == (with_json, "json", code)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([(b"content-type", b"text/plain")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([(b"content-type", b"application/graphql")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([(b"content-type", b"application/x-www-form-urlencoded")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([(b"content-type", b"multipart/form-data; boundary=b")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([(b"content-type", b"application/json; charset=utf-16")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            [(b"content-type", b"application/json; charset=utf-8; charset=utf-16")],
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        ([JSON, (b"content-encoding", b"gzip")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        ([JSON, (b"accept", b"text/html")], 406, "NOT_ACCEPTABLE"),
        ([JSON, (b"accept", b"*/*;q=0")], 406, "NOT_ACCEPTABLE"),
    ],
)
def test_statuses_of_heads(fields, status, code):
    """Before a body is read."""
    _, reply = asked(*fields, body=QUERY)
    assert told(reply) == (status, "json", code)


@pytest.mark.parametrize(
    "fields",
    [
        [JSON],
        [(b"content-type", b"Application/JSON ;charset=UTF-8")],
        [(b"content-type", b'application/json; charset="utf-8"')],
        [JSON, (b"accept", b"text/event-stream")],
        [JSON, (b"accept", b"multipart/mixed, application/json;q=0")],
        [JSON, (b"content-encoding", b"identity")],
    ],
)
def test_requests_that_pass(fields):
    """Are told of to those that come later."""
    made, reply = asked(*fields, body={"query": "query A { a { b } }"})
    assert reply is None
    operated = made.graphql
    assert (operated.name, operated.type, operated.depth, operated.count) == ("A", "query", 2, 1)
    assert (operated.known, len(operated.digest)) == (False, 64)


def test_a_document_that_is_known():
    """Is so from the second request on, and refusals are too."""
    plugin = make(GraphQL)
    known = []
    for query in ("{ a }", "{ a }", "{ a", "{ a"):
        made = exchange(JSON, method="POST")
        made.buffered = orjson.dumps({"query": query})
        reply = plugin.access(made)
        known.append((made.graphql.known, made.graphql.codes, reply is None))
    assert known == [
        (False, (), True),
        (True, (), True),
        (False, ("GRAPHQL_PARSE_FAILED",), False),
        (False, ("GRAPHQL_PARSE_FAILED",), False),
    ]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "QUERY"])
def test_other_methods(method):
    """Are none of GraphQL's."""
    _, reply = asked(method=method)
    assert told(reply) == (405, "json", "METHOD_NOT_ALLOWED")
    assert reply.headers.get(b"allow") == b"GET, HEAD, POST"


def test_preflights():
    """Ask for nothing, and are answered by whoever answers them."""
    asks = (b"access-control-request-method", b"POST")
    made, reply = asked(asks, method="OPTIONS", target="/graphql?key=1")
    assert (reply, made.request.query) == (None, "?key=1")


def test_a_preflight_with_a_query():
    """Is that of a GET, whose parameters no backend sees before they are examined."""
    made, reply = asked((b"access-control-request-method", b"GET"), method="OPTIONS", target=GET)
    assert (reply, made.request.query) == (None, "")


# --- GET -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_queries_by_get(method):
    """Pass, as do subscriptions, which are answered by events."""
    made, reply = asked(method=method, target=GET)
    assert (reply, made.graphql.type) == (None, "query")
    assert asked(method=method, target="/graphql?query=subscription%7Ba%7D")[1] is None


def test_refusals_are_kept_by_no_cache():
    """One of a GET with 200 might be told to others, who may ask."""
    _, reply = asked(ONLY_JSON, method="GET", target="/graphql?query=%7B...F%7D")
    assert told(reply) == (200, "json", INVALID)
    assert reply.headers.get(b"cache-control") == b"no-store"


def test_mutations_by_get():
    """Are told which method is right."""
    _, reply = asked(RESPONSE, method="GET", target="/graphql?query=mutation%7Ba%7D")
    assert told(reply) == (405, "graphql-response+json", "METHOD_NOT_ALLOWED")
    assert reply.headers.get(b"allow") == b"POST"


@pytest.mark.parametrize(
    "target", ["/graphql", "/graphql?query=", "/graphql?query=a&query=b", "/graphql?variables=1"]
)
def test_get_without_a_query(target):
    """Is no request."""
    assert told(asked(method="GET", target=target)[1]) == (400, "json", BAD)


def test_get_with_a_body():
    """Nobody can say which of both counts."""
    made = exchange(method="GET", target=GET)
    made.request.framing = 5
    assert told(make(GraphQL).access(made)) == (400, "json", BAD)


def test_get_where_it_is_not_taken():
    """Is another method."""
    _, reply = asked(method="GET", target=GET, requests={"get": False})
    assert told(reply) == (405, "json", "METHOD_NOT_ALLOWED")
    assert reply.headers.get(b"allow") == b"POST"


@pytest.mark.parametrize(
    "query",
    [
        "query=%7Bb%7D",
        "a=1&operationName=B",
        "%71uery=%7Bb%7D",
        "QUERY=b",
        "documentId=1",
        "doc_id=1",
        "id=1",
        "a=1;query=b",
        "query[]=b",
        "+query=b",
        "query%00a=b",
        "exten%C5%BFions=1",
    ],
)
def test_post_with_parameters_in_its_url(query):
    """Some servers would take them instead of the body's."""
    assert told(asked(JSON, target=f"/graphql?{query}", body=QUERY)[1]) == (400, "json", BAD)
    assert asked(JSON, target="/graphql?key=1&subquery=2", body=QUERY)[1] is None


# --- pages -----------------------------------------------------------------------------------------------------

HTML = (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")


def test_pages():
    """A browser that asks for GraphiQL gets it where the configuration says so, and then only without arguments."""
    assert told(asked(HTML, CHROME, method="GET")[1])[0] == 400
    made, reply = asked(HTML, CHROME, method="GET", requests={"pages": True})
    assert (reply, made.graphql) == (None, None)
    for target in (GET, "/graphql?extensions=%7B%7D", "/graphql?documentId=a", "/graphql?%71uery=a"):
        _, reply = asked(HTML, CHROME, method="GET", target=target, requests={"pages": True})
        assert told(reply) == (400, "json", "CSRF_PREVENTED")


# --- other sites' pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ([], True),
        ([(b"user-agent", b"curl/8.0")], True),
        ([(b"sec-fetch-mode", b"cors"), (b"user-agent", b"node")], True),
        ([CHROME], False),
        ([(b"origin", b"https://evil.example")], False),
        ([(b"cookie", b"a=b")], False),
        ([(b"sec-fetch-site", b"cross-site")], False),
        ([(b"sec-fetch-site", b"same-site"), CHROME], False),
        ([(b"sec-fetch-site", b"same-origin"), CHROME, (b"cookie", b"a=b")], True),
        ([(b"sec-fetch-site", b"none"), CHROME], True),
        ([CHROME, (b"apollo-require-preflight", b"true")], True),
        ([CHROME, JSON], True),
        ([CHROME, (b"content-type", b"Text/Plain; a=b")], False),
        ([CHROME, (b"x-apollo-operation-name", b"A")], True),
    ],
)
def test_what_a_page_of_another_site_may_have_sent(fields, passes):
    """A browser's GET is refused that it sends for anybody; a header that it would ask for first shows that it has."""
    _, reply = asked(*fields, method="GET", target=GET)
    if passes:
        assert reply is None
    else:
        assert told(reply) == (400, "json", "CSRF_PREVENTED")
        assert b"Apollo-Require-Preflight" in reply.body
    assert asked(*fields, method="GET", target=GET, requests={"csrf_prevention": False})[1] is None


# --- bodies that are yet to come -------------------------------------------------------------------------------


class Coming:
    """A body that comes later, or fails."""

    def __init__(self):
        self.future = asyncio.get_running_loop().create_future()
        self.limits = []

    def read(self, limit):
        self.limits.append(limit)
        return self.future


async def test_a_body_is_waited_for():
    """And then examined as any other."""
    for query, passes in (("{ a }", True), ("{ a", False)):
        made = exchange(JSON, method="POST")
        made.body = coming = Coming()
        waiting = asyncio.ensure_future(make(GraphQL).access(made))
        await asyncio.sleep(0)
        coming.future.set_result(orjson.dumps({"query": query}))
        made.buffered = coming.future.result()
        reply = await waiting
        assert (reply is None) == passes
        assert coming.limits == [1_048_576]


@pytest.mark.parametrize("late", [False, True])
async def test_a_body_that_is_too_large(late):
    """Is told as a limit, whenever it is noticed."""
    made = exchange(JSON, method="POST")
    made.body = coming = Coming()
    if not late:
        coming.future.set_exception(ProtocolError("too large", 413))
        made.bytes_received = 2000
    found = make(GraphQL, limits={"max_body_size": 1000}).access(made)
    if late:
        waiting = asyncio.ensure_future(found)
        await asyncio.sleep(0)
        made.bytes_received = 2000
        coming.future.set_exception(ProtocolError("too large", 413))
        found = await waiting
    assert told(found) == (413, "json", "LIMIT_EXCEEDED")
    told_limit = orjson.loads(found.body)["errors"][0]["extensions"]
    assert (told_limit["limit"], told_limit["maximum"], told_limit["found"]) == ("body_size", 1000, 2000)


async def test_a_body_that_says_that_it_is_too_large():
    """Is not read at all."""
    made = exchange(JSON, method="POST")
    made.body = coming = Coming()
    made.request.framing = 10_000_000
    assert told(make(GraphQL).access(made))[0] == 413
    assert coming.limits == []


async def test_a_body_that_breaks_the_protocol():
    """Is no affair of GraphQL."""
    made = exchange(JSON, method="POST")
    made.body = coming = Coming()
    coming.future.set_exception(ProtocolError("no chunk"))
    with pytest.raises(ProtocolError, match="no chunk"):
        make(GraphQL).access(made)


def test_a_body_that_is_only_measured():
    """Passes, and is told of."""
    made, reply = asked(JSON, body=QUERY, limits={"max_body_size": 5, "measure": ["body_size"]})
    assert (reply, made.graphql.exceeded, made.graphql.count, made.graphql.name) == (
        None,
        ("body_size",),
        1,
        "",
    )


# --- batches ---------------------------------------------------------------------------------------------------


def test_batches():
    """Pass where they are allowed, with what the first operation is called."""
    two = [{"query": "query A { a }"}, {"query": "mutation B { b { c } }"}]
    made, reply = asked(JSON, body=two, limits={"max_batch": 2})
    assert reply is None
    assert (made.graphql.name, made.graphql.type, made.graphql.count, made.graphql.depth) == (
        "A",
        "query",
        2,
        2,
    )
    assert told(asked(JSON, body=[*two, QUERY], limits={"max_batch": 2})[1]) == (
        400,
        "json",
        "LIMIT_EXCEEDED",
    )
    assert told(asked(JSON, body=[], limits={"max_batch": 2})[1]) == (400, "json", BAD)
    made, reply = asked(JSON, body=two, limits={"max_batch": 1, "measure": ["batch"]})
    assert (reply, made.graphql.exceeded, made.graphql.count) == (None, ("batch",), 2)


def test_a_batch_of_which_some_are_refused():
    """Is refused whole, and each operation is told why in its place."""
    three = [QUERY, {"query": "{ a"}, {"query": "{ ...F }"}]
    made, reply = asked(JSON, RESPONSE, body=three, limits={"max_batch": 3})
    codes = [one["errors"][0]["extensions"]["code"] for one in orjson.loads(reply.body)]
    assert (reply.status, codes) == (400, ["BATCH_REFUSED", "GRAPHQL_PARSE_FAILED", INVALID])
    assert made.graphql.codes == ("GRAPHQL_PARSE_FAILED",)
    assert asked(JSON, body=three, limits={"max_batch": 3})[1].status == 200


# --- files -----------------------------------------------------------------------------------------------------

FORM = (b"content-type", b"multipart/form-data; boundary=b")
PREFLIGHTED = (b"apollo-require-preflight", b"1")


def form(*parts):
    """Return a form of fields and their contents."""
    written = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts
    ]
    return ("".join(written) + "--b--\r\n").encode()


ASKED = '{"query": "mutation A { a }"}'


def headed(line):
    """Return a form whose operations have one more line in their head."""
    return form(("operations", ASKED)).replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode(), 1)


def test_files():
    """Come with an operation where that is allowed, and are not looked at."""
    body = form(("operations", '{"query": "mutation A { a }"}'), ("map", "{}"), ("0", "x"))
    made, reply = asked(FORM, PREFLIGHTED, body=body, requests={"uploads": True})
    assert (reply, made.graphql.name, made.buffered) == (None, "A", body)
    _, reply = asked(FORM, CHROME, body=body, requests={"uploads": True})
    assert told(reply) == (400, "json", "CSRF_PREVENTED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        form(("map", "{}")),
        form(("operations", "{}"), ("operations", "{}")),
        form(("operations", "{")),
        form(("operations", '{"query": 1}')),
        b'--b\r\nContent-Disposition: form-data; x="operations"\r\n\r\n{}\r\n--b--\r\n',
        form(("operations", ASKED), ("map", "{}"), ("map", "{}")),
        form(("operations", ASKED), ("map", "[]")),
        form(("operations", ASKED), ("map", '{"0":"variables.a"}')),
        form(("operations", ASKED), ("map", '{"0":["query"]}')),
        form(("operations", ASKED), ("map", '{"0":["variables.a","extensions.persistedQuery"]}')),
        form(("operations", ASKED), ("map", '{"0":["0.query"]}')),
        form(("operations", ASKED), ("map", '{"0":["variables.a"],"0":["query"]}')),
        form(("operations", ASKED), ("_charset_", "gbk")),
        form(('operations"; name*="utf-8', ASKED)),
        form(("operations", ASKED), ('x"; name*0="operations', ASKED)),
        b"\r\n" + form(("operations", ASKED)),
        form(("operations", ASKED), ("0", "x\n--b\nContent-Disposition: form-data; name=operations\n\n{}")),
        headed("Content-Transfer-Encoding: quoted-printable"),
        headed("Content-Transfer-Encoding : BASE64"),
        headed("Content-Type: application/json; charset=gbk"),
        headed("Content-Type: application/json; charset=utf-8; charset=utf-7"),
        headed('Content-Disposition: form-data; name="x"'),
        headed(" folded"),
        headed("X: y\nContent-Transfer-Encoding: base64"),
    ],
)
def test_forms_that_are_no_request(body):
    """Whatever is wrong with them, or may be read in two ways."""
    assert told(asked(FORM, PREFLIGHTED, body=body, requests={"uploads": True})[1]) == (400, "json", BAD)


def test_forms_as_clients_write_them():
    """Their heads may say what they like of files, and repeat of themselves what is so anyway."""
    for body in (
        headed("Content-Type: application/json; charset=UTF-8"),
        headed("Content-Transfer-Encoding: 8bit"),
        form(
            ("operations", ASKED),
            ("map", '{"0":["variables.files.0"],"1":["0.variables.file"]}'),
            ('0"; filename="name; x.txt', "a\r\n--c\r\n"),
        ),
    ):
        assert asked(FORM, PREFLIGHTED, body=body, requests={"uploads": True})[1] is None
    chrome = (b"content-type", b"multipart/form-data; boundary=----WebKitFormBoundaryAbC")
    body = form(("operations", ASKED)).replace(b"--b", b"------WebKitFormBoundaryAbC")
    assert asked(chrome, PREFLIGHTED, body=body, requests={"uploads": True})[1] is None
    twice = (b"content-type", b"multipart/form-data; boundary=b; boundary=c")
    _, reply = asked(twice, PREFLIGHTED, body=form(("operations", ASKED)), requests={"uploads": True})
    assert told(reply) == (400, "json", BAD)


def test_a_form_that_cannot_be_written_anew():
    """What stands there in escapes may hold the boundary: that is the client's fault."""
    body = form(("operations", '{"query": "{ a(b: \\"\\u002d\\u002db\\") }", "id": "1"}'))
    assert told(asked(FORM, PREFLIGHTED, body=body, requests={"uploads": True})[1]) == (400, "json", BAD)


# --- the rest --------------------------------------------------------------------------------------------------


def test_what_many_operations_exceed_is_told_once():
    """A WebSocket may carry any number of them on one exchange."""
    plugin = make(GraphQL, limits={"max_batch": 50, "max_depth": 1, "measure": ["depth"]})
    made = exchange(JSON, method="POST")
    made.buffered = orjson.dumps([{"query": "{ a { b } }"}] * 50)
    assert plugin.access(made) is None
    assert (made.graphql.count, made.graphql.exceeded) == (50, ("depth",))


def test_a_refusal_that_is_kept_holds_on_to_no_request():
    """What is raised again has no past: neither a traceback nor the request of whoever was first."""
    plugin = make(GraphQL)
    for _ in range(3):
        made = exchange(JSON, method="POST")
        made.buffered = orjson.dumps({"query": "{ a"})
        assert isinstance(plugin.access(made), Reply)
    (kept,) = plugin._examiner._cache._refused.values()
    assert (kept.__traceback__, kept.__context__) == (None, None)


def test_what_upgrades_is_another_part_s():
    """A handshake has no operation, which nobody holds against it; what it offers to speak counts."""
    made = exchange(method="GET")
    made.request.upgrade = "websocket"
    assert make(GraphQL).access(made).message.startswith("Sec-WebSocket-Protocol")
    assert make(GraphQL, subscriptions={"other_protocols": "pass"}).access(made) is None


@pytest.mark.parametrize("protocol", [b"graphql-transport-ws", b"other"])
def test_a_handshake_with_a_query(protocol):
    """A backend that does not switch would answer it, by HTTP and unexamined."""
    made = exchange((b"sec-websocket-protocol", protocol), method="GET", target=GET)
    made.request.upgrade = "websocket"
    reply = make(GraphQL, subscriptions={"other_protocols": "pass"}).access(made)
    assert (reply.status, made.carrier) == (400, None)
