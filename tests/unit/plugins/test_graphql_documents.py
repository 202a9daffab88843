"""Documents by name: automatic persisted queries and the safelist, as the plugin has them."""

from __future__ import annotations

import json
import os

import orjson
import pytest
from plugin_case import exchange, make

from proxyd.errors import ConfigError
from proxyd.graphql.kept import digest_of
from proxyd.plugins.graphql import GraphQL

TEXT = "query A { a }"
OTHER = "query B { b }"
HASH = digest_of(TEXT)
NOT_FOUND = (200, "PERSISTED_QUERY_NOT_FOUND")
UNLISTED = (400, "QUERY_NOT_IN_SAFELIST")


def hashed(digest=HASH, **more):
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}, **more}


def ask(plugin, members, *fields, groups=None):
    """Post members; return what the backend would get, or status and code of the refusal."""
    body = orjson.dumps(members)
    made = exchange(
        (b"content-type", b"application/json"),
        (b"accept", b"application/graphql-response+json"),
        *fields,
        method="POST",
        body=body,
    )
    made.buffered = body
    made.groups = groups
    reply = plugin.access(made)
    if reply is None:
        return orjson.loads(made.buffered)
    told = orjson.loads(reply.body)
    codes = [one["errors"][0]["extensions"]["code"] for one in (told if isinstance(told, list) else [told])]
    return reply.status, next(code for code in codes if code != "BATCH_REFUSED")


def get(plugin, query):
    """Ask by GET; return the query that the backend would get, or status and code."""
    made = exchange((b"accept", b"application/graphql-response+json"), target=f"/a?{query}")
    reply = plugin.access(made)
    if reply is None:
        return made.request.query
    return reply.status, orjson.loads(reply.body)["errors"][0]["extensions"]["code"]


@pytest.fixture
def listed(tmp_path):
    """Give what makes a plugin with a safelist of these documents."""

    def start(documents, **config):
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps(documents))
        more = {name: config.pop(name) for name in ("persisted_queries",) if name in config}
        return make(GraphQL, safelist={"manifests": [str(path)], **config}, limits={"max_batch": 3}, **more)

    return start


# --- automatic persisted queries ---------------------------------------------------------------------------------


def test_a_document_is_known_once_it_was_sent():
    """An unknown hash is told so; sent with its document it is known from then on, and the backend gets the text."""
    plugin = make(GraphQL, persisted_queries={})
    assert ask(plugin, hashed()) == NOT_FOUND
    assert ask(plugin, hashed(query=TEXT, variables={"a": 1})) == {"query": TEXT, "variables": {"a": 1}}
    assert ask(plugin, hashed(operationName="A")) == {"query": TEXT, "operationName": "A"}
    assert ask(plugin, {"documentId": f"sha256:{HASH}"}) == {"query": TEXT}
    assert get(plugin, "extensions=" + json.dumps(hashed()["extensions"]).replace(" ", "")) == (
        "?query=query%20A%20%7B%20a%20%7D"
    )


def test_it_can_be_sent_by_get():
    """As Apollo Client does for queries whose hash is not known."""
    plugin = make(GraphQL, persisted_queries={})
    extensions = json.dumps(hashed()["extensions"])
    assert get(plugin, f"query={TEXT}&extensions={extensions}") == "?query=query%20A%20%7B%20a%20%7D"
    assert ask(plugin, hashed()) == {"query": TEXT}


def test_the_request_as_it_came():
    """With forward: hash, the backend is one that knows hashes itself."""
    plugin = make(GraphQL, persisted_queries={"forward": "hash"})
    both = hashed(query=TEXT)
    assert ask(plugin, both) == both
    assert ask(plugin, hashed()) == hashed()


def test_another_document_beside_the_one_that_was_read():
    """The backend sees no name by which it might look for another document."""
    for config in ({"forward": "text"}, {"forward": "hash"}):
        plugin = make(GraphQL, persisted_queries=config)
        for member in ("documentId", "doc_id", "id"):
            assert ask(plugin, {"query": TEXT, member: "1"}) == {"query": TEXT}
            assert ask(plugin, hashed(query=TEXT, **{member: "1"})) == {"query": TEXT}
            assert ask(plugin, hashed(**{member: "1"})) == (400, "BAD_REQUEST")
    assert get(plugin, f"query={TEXT}&documentId=1") == "?query=query%20A%20%7B%20a%20%7D"


@pytest.mark.parametrize("digest", [digest_of(OTHER), HASH.upper(), "x"])
def test_another_documents_hash(digest):
    """Nothing is kept by a hash that is not its own, so that nobody can put a document in another's place."""
    plugin = make(GraphQL, persisted_queries={})
    assert ask(plugin, hashed(digest, query=TEXT)) == (400, "PERSISTED_QUERY_HASH_MISMATCH")
    assert ask(plugin, hashed(digest)) == NOT_FOUND


def test_what_is_refused_is_not_kept():
    """A document that is no GraphQL, or too long, or asks for an operation that it has not, is unknown afterwards."""
    plugin = make(GraphQL, persisted_queries={}, limits={"max_tokens": 10})
    for text, name in (("{ a", None), ("{ a b c d e f g h i j k }", None), (TEXT, "B")):
        status, code = ask(plugin, hashed(digest_of(text), query=text, operationName=name))
        assert status == 400
        assert code != "PERSISTED_QUERY_HASH_MISMATCH"
        assert ask(plugin, hashed(digest_of(text))) == NOT_FOUND


def test_memory_is_bounded():
    """The documents that nobody asks for are forgotten."""
    plugin = make(GraphQL, persisted_queries={"max_size": 2000})
    texts = [f"query A{number} {{ a }}" for number in range(20)]
    for text in texts:
        assert ask(plugin, hashed(digest_of(text), query=text)) == {"query": text}
    known = [text for text in texts if ask(plugin, hashed(digest_of(text))) == {"query": text}]
    assert 3 < len(known) < 10
    assert known == texts[-len(known) :]


def test_a_batch():
    """Each operation may have a hash, a name or a text."""
    plugin = make(GraphQL, persisted_queries={}, limits={"max_batch": 3})
    ask(plugin, hashed(query=TEXT))
    assert ask(plugin, [hashed(), {"query": OTHER}, {"id": HASH}]) == [
        {"query": TEXT},
        {"query": OTHER},
        {"query": TEXT},
    ]


# --- the safelist ------------------------------------------------------------------------------------------------


def test_only_what_is_listed_passes(listed):
    """By its id, its hash, or its text; other texts are refused before anybody parses them."""
    plugin = listed({"1": TEXT})
    for members in (
        {"id": "1"},
        {"documentId": HASH},
        hashed(),
        {"query": TEXT},
        {"query": "query A{a} # mine"},
    ):
        assert ask(plugin, members) == {"query": TEXT}
    assert ask(plugin, {"query": OTHER}) == UNLISTED
    assert ask(plugin, {"query": "{ not GraphQL"}) == UNLISTED
    assert ask(plugin, {"id": "2"}) == (404, "PERSISTED_QUERY_NOT_IN_LIST")
    assert ask(plugin, [{"id": "1"}, {"query": OTHER}]) == UNLISTED
    assert get(plugin, "query={b}") == UNLISTED
    assert get(plugin, "id=1&variables={}") == "?query=query%20A%20%7B%20a%20%7D&variables=%7B%7D"
    assert repr(plugin._examiner).startswith("<Examiner <Cache documents=1+0 ")


def test_the_backend_gets_what_was_read(listed):
    """A member that comes twice is not left for the backend to choose from."""
    plugin = listed({"1": TEXT})
    body = b'{"query":"{ everything }","query":"query A { a }"}'
    made = exchange((b"content-type", b"application/json"), method="POST", body=body)
    made.buffered = body
    if plugin.access(made) is None:
        assert orjson.loads(made.buffered) == {"query": TEXT}
        assert b"everything" not in made.buffered


def test_exact_texts(listed):
    """With match: exact, spaces count."""
    plugin = listed({"1": TEXT}, match="exact")
    assert ask(plugin, {"query": TEXT}) == {"query": TEXT}
    assert ask(plugin, {"query": TEXT + " "}) == UNLISTED


def test_names_only(listed):
    """A listed document has to be asked for by name as well."""
    plugin = listed({"1": TEXT}, names_only=True)
    assert ask(plugin, {"id": "1"}) == {"query": TEXT}
    assert ask(plugin, {"query": TEXT}) == (400, "PERSISTED_QUERY_ID_REQUIRED")
    assert ask(plugin, {"query": OTHER}) == UNLISTED


def test_names_as_they_came(listed):
    """With forward: name, the backend has the documents too."""
    plugin = listed({"1": TEXT}, forward="name")
    assert ask(plugin, {"id": "1"}) == {"id": "1"}


def test_a_clients_own_documents(listed):
    """An id may stand for another document of the client that says its name."""
    operation = {"id": "1", "body": TEXT, "name": "A", "type": "query"}
    own = {**operation, "body": OTHER, "clientName": "ios"}
    plugin = listed(
        {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation, own]}
    )
    assert ask(plugin, {"id": "1"}) == {"query": TEXT}
    assert ask(plugin, {"id": "1"}, (b"apollographql-client-name", b"ios")) == {"query": OTHER}


def test_only_logged(listed, capfd):
    """In mode log everything passes as its text, and each document is told of once; an unknown name is one all the same."""
    plugin = listed({"1": TEXT}, mode="log")
    other = {"query": OTHER, "operationName": "B", "id": "x"}
    for _ in range(2):
        assert ask(plugin, other) == {"query": OTHER, "operationName": "B"}
    assert ask(plugin, {"query": TEXT + " "}) == {"query": TEXT + " "}
    assert ask(plugin, {"id": "2"}) == (404, "PERSISTED_QUERY_NOT_IN_LIST")
    (line,) = capfd.readouterr().err.splitlines()
    event = json.loads(line)
    assert event["event"] == "document not in the safelist"
    assert (event["digest"], event["operation"]) == (digest_of(OTHER), "B")
    assert OTHER not in line


def test_whoever_is_exempt(listed):
    """Those with a role may send anything; everybody else is held to the list."""
    plugin = listed({"1": TEXT}, exempt_roles=["developers"])
    assert ask(plugin, {"query": OTHER}, groups=("developers", "staff")) == {"query": OTHER}
    assert ask(plugin, {"query": OTHER}, groups=("staff",)) == UNLISTED
    assert ask(plugin, {"query": OTHER}) == UNLISTED


def test_whom_it_is_enforced_for(listed):
    """With mode: enforce-for-roles, those with one of them are held to the list; callers whom nobody knows are anonymous."""
    plugin = listed({"1": TEXT}, mode="enforce-for-roles", roles=["partners", "anonymous"])
    assert ask(plugin, {"query": OTHER}, groups=("partners",)) == UNLISTED
    assert ask(plugin, {"query": OTHER}) == UNLISTED
    assert ask(plugin, {"query": OTHER}, groups=("staff",)) == {"query": OTHER}


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"mode": "enforce-for-roles"}, "roles go with mode: enforce-for-roles"),
        ({"roles": ["a"]}, "roles go with mode: enforce-for-roles"),
        ({"mode": "log", "exempt_roles": ["a"]}, "exempt_roles go with mode: enforce"),
    ],
)
def test_roles_without_their_mode(listed, config, wrong):
    """A setting that would do nothing is refused."""
    with pytest.raises(ValueError, match=wrong):
        listed({"1": TEXT}, **config)


def test_what_a_developer_has_kept_is_held_to_the_list(listed):
    """A hash that somebody exempt has made known does not bring its document past the list for others."""
    plugin = listed({"1": TEXT}, exempt_roles=["developers"], persisted_queries={})
    named = hashed(digest_of(OTHER))
    assert ask(plugin, {**named, "query": OTHER}) == UNLISTED
    assert ask(plugin, named) == NOT_FOUND
    assert ask(plugin, {**named, "query": OTHER}, groups=("developers",)) == {"query": OTHER}
    assert ask(plugin, named, groups=("developers",)) == {"query": OTHER}
    assert ask(plugin, named) == UNLISTED


def test_a_listed_document_with_the_hash_of_its_other_look(listed):
    """A client whose text differs in spaces can have it kept by the hash that it knows."""
    plugin = listed({"1": TEXT}, persisted_queries={})
    mine = "query A {\n  a\n}"
    named = hashed(digest_of(mine))
    assert ask(plugin, named) == NOT_FOUND
    assert ask(plugin, {**named, "query": mine}) == {"query": TEXT}
    assert ask(plugin, named) == {"query": TEXT}


# --- its files ---------------------------------------------------------------------------------------------------


def test_a_wrong_manifest_is_a_wrong_configuration(listed):
    """The gateway does not start with it."""
    with pytest.raises(ConfigError, match=r"manifest\.json: 1: must be a document"):
        listed({"1": 5})


def test_instances_share_a_manifest(listed):
    """Many routes with one list have it in memory once."""
    one, other = listed({"1": TEXT}), listed({"1": TEXT, "2": OTHER})
    again = make(GraphQL, safelist={"manifests": list(other.config.safelist.manifests)})
    assert one._documents._listed._listed is not other._documents._listed._listed
    assert again._documents._listed._listed is other._documents._listed._listed


async def test_a_manifest_that_changes(listed, tmp_path, capfd):
    """It is taken over once it is left alone; a wrong one changes nothing, and the log says where it is wrong."""
    plugin = listed({"1": TEXT})
    safelist = plugin._documents._listed
    path = tmp_path / "manifest.json"

    async def write(text):
        path.write_text(text)
        for age in (5, 5, 0):  # as long as a clock is too coarse to tell two writings apart
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime + age))
        for _ in range(3):
            await safelist.look(safelist._stamps())

    await write('{"1": 5}')
    assert ask(plugin, {"id": "1"}) == {"query": TEXT}
    problem = json.loads(capfd.readouterr().err)
    assert problem["event"] == "safelist not taken over"
    assert problem["problems"][0].startswith(f"{path}: 1: must be a document")
    await write(json.dumps({"2": OTHER}))
    assert ask(plugin, {"id": "2"}) == {"query": OTHER}
    assert ask(plugin, {"query": TEXT}) == UNLISTED
    assert json.loads(capfd.readouterr().err)["documents"] == 1


async def test_a_manifest_that_is_being_written(listed, tmp_path):
    """It is left alone until it looks the same twice."""
    plugin = listed({"1": TEXT})
    safelist = plugin._documents._listed
    path = tmp_path / "manifest.json"
    path.write_text("{")
    await safelist.look(safelist._stamps())
    path.write_text(json.dumps({"2": OTHER}))
    await safelist.look(safelist._stamps())
    assert ask(plugin, {"id": "1"}) == {"query": TEXT}
    await safelist.look(safelist._stamps())
    assert ask(plugin, {"id": "2"}) == {"query": OTHER}


async def test_watching_begins_and_ends(listed):
    """An instance that has not started stops as well; one without an interval watches nothing."""
    plugin = listed({"1": TEXT}, watch_interval=0.001)
    await plugin.stop()
    await plugin.start()
    assert plugin._documents._listed._watching is not None
    await plugin.stop()
    still = listed({"1": TEXT}, watch_interval=0)
    await still.start()
    assert still._documents._listed._watching is None


# --- what is counted ---------------------------------------------------------------------------------------------


def test_what_is_counted(listed):
    """What the safelist says of each request, and what came of hashes; whether an operation is listed goes to its metrics."""
    plugin = listed({"1": TEXT}, exempt_roles=["developers"], persisted_queries={})
    operations = plugin.kit.operations
    ask(plugin, {"query": TEXT})
    ask(plugin, {"id": "1"})
    ask(plugin, {"query": OTHER})
    ask(plugin, hashed(digest_of(OTHER), query=OTHER), groups=("developers",))
    ask(plugin, hashed(digest_of(OTHER)), groups=("developers",))
    ask(plugin, hashed("a" * 64))
    assert operations.safelist == {("", "allowed"): 2, ("", "refused"): 1, ("", "exempt"): 2}
    assert operations.persisted == {("", "offered"): 1, ("", "hit"): 1, ("", "miss"): 1}
    logging = listed({"1": TEXT}, mode="log")
    ask(logging, {"query": OTHER})
    ask(logging, {"id": "2"})
    assert logging.kit.operations.safelist == {("", "logged"): 1, ("", "unknown"): 1}


@pytest.mark.parametrize(
    ("members", "is_listed"), [({"query": TEXT}, True), ({"id": "1"}, True), ({"query": OTHER}, False)]
)
def test_whether_an_operation_is_listed_is_noted(listed, members, is_listed):
    """Names of listed operations can be labels without a bound."""
    plugin = listed({"1": TEXT}, mode="log")
    body = orjson.dumps(members)
    made = exchange((b"content-type", b"application/json"), method="POST", body=body)
    made.buffered = body
    assert plugin.access(made) is None
    assert made.graphql.listed is is_listed
