"""proxyd graphql manifest: from files of operations to a manifest, and every error with its place."""

from __future__ import annotations

import json
import stat

import pytest

from proxyd.cli.main import main
from proxyd.graphql.kept import digest_of
from proxyd.graphql.listed import load

ORDERS = """
query Orders($n: Int = 2) { # the newest ones
  orders(first: $n) { ...Order }
}
mutation Cancel { cancel { ok } }
"""
ORDER = "fragment Order on Order { id buyer { ...Person, name } }"
PERSON = "fragment Person on Person { name }"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Give what runs the command in a folder of these files; returns code, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def start(files, *options):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        code = main(["graphql", "manifest", *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return start


FILES = {
    "src/orders.graphql": ORDERS,
    "src/deep/order.gql": ORDER,
    "src/person.graphql": PERSON,
    "src/node_modules/x.graphql": "query X {",
    "src/.hidden/x.graphql": "query X {",
    "src/readme.md": "{",
}


def test_apollos_format(run, tmp_path):
    """Each operation has the fragments that it uses, itself first; the id is the hash, and the list knows the text."""
    code, out, err = run(FILES, "src")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["format"], document["version"]) == ("apollo-persisted-query-manifest", 1)
    cancel, orders = document["operations"]
    assert (cancel["name"], cancel["type"], orders["name"], orders["type"]) == (
        "Cancel",
        "mutation",
        "Orders",
        "query",
    )
    assert cancel["body"] == "mutation Cancel {\n  cancel {\n    ok\n  }\n}"
    assert [text.split(" ")[:2] for text in orders["body"].split("\n\n")] == [
        ["query", "Orders($n:"],
        ["fragment", "Order"],
        ["fragment", "Person"],
    ]
    assert orders["id"] == digest_of(orders["body"])
    (tmp_path / "made.json").write_text(out)
    assert load([str(tmp_path / "made.json")], by_tokens=True).named(orders["id"]) == orders["body"]


def test_relays_format(run):
    """It is the same documents by their ids."""
    _, apollo, _ = run(FILES, "src")
    code, out, _ = run({}, "src", "--format", "relay")
    assert code == 0
    assert json.loads(out) == {one["id"]: one["body"] for one in json.loads(apollo)["operations"]}
    assert list(json.loads(out)) == sorted(json.loads(out))


def test_the_same_operations_give_the_same_bytes(run):
    """Order of files, spaces, commas and comments make no difference."""
    _, first, _ = run(FILES, "src")
    other = {
        "src/orders.graphql": ORDER.replace(",", "\n\n"),
        "src/deep/order.gql": "# all of it\n" + PERSON.replace(" ", "  "),
        "src/person.graphql": ORDERS.replace(" # the newest ones", ""),
    }
    _, second, _ = run(other, "src/person.graphql", "src")
    assert second == first


def test_typename(run):
    """Every selection but the operations' own asks for it, once, and none of introspection."""
    text = "query A { a { b { __typename c } ... on T { d } } __schema { types { name } } }"
    _, out, _ = run({"a.graphql": text}, "a.graphql", "--typename")
    (operation,) = json.loads(out)["operations"]
    assert operation["body"].replace("\n", " ").split() == [
        "query",
        "A",
        "{",
        "a",
        "{",
        "b",
        "{",
        "__typename",
        "c",
        "}",
        "...",
        "on",
        "T",
        "{",
        "d",
        "__typename",
        "}",
        "__typename",
        "}",
        "__schema",
        "{",
        "types",
        "{",
        "name",
        "__typename",
        "}",
        "__typename",
        "}",
        "}",
    ]


@pytest.mark.parametrize(
    ("files", "problems"),
    [
        (
            {
                "a.graphql": "query A {\n  a(",
                "b.graphql": "query {\n a }",
                "c.graphql": "query C { ...None }",
            },
            [
                "./a.graphql:2:5: error: Expected Name, found <EOF>",
                "./b.graphql:1:1: error: the operation has no name",
                "./c.graphql:1:11: error: there is no fragment None",
            ],
        ),
        (
            {"a.graphql": "query A { a }\nquery A { b }", "b.graphql": PERSON, "c.graphql": " " + PERSON},
            [
                "./a.graphql:2:1: error: there is another operation A (the first one is at ./a.graphql:1:1)",
                "./c.graphql:1:2: error: there is another fragment Person (the first one is at ./b.graphql:1:1)",
            ],
        ),
        (
            {
                "a.graphql": "query A { ...F }",
                "f.graphql": "fragment F on T { a { ...G } }\nfragment G on T { ...F }",
            },
            [
                "./f.graphql:1:1: error: the fragment F spreads itself",
                "./f.graphql:2:1: error: the fragment G spreads itself",
            ],
        ),
        (
            {"a.graphql": "query A { a }\ntype A { a: Int }", "schema.graphql": "type A { a: Int }"},
            ["a.graphql:2:1: error: is a definition of types (they are in files of their own)"],
        ),
        ({"a.graphql": "# nothing\n" + PERSON}, [".: error: there is no operation in these files"]),
        (
            {"a.graphql": "query A " + "{ a " * 5000},
            ["a.graphql:1:809: error: Document is nested too deeply. Parsing aborted"],
        ),
    ],
)
def test_what_is_wrong(run, files, problems):
    """All of it is told, with its place; nothing is written."""
    code, out, err = run(files, ".")
    assert (code, out) == (1, "")
    assert [line.replace("./", "") for line in err.splitlines()] == [
        line.replace("./", "") for line in problems
    ]


def test_files_that_are_not_there(run, tmp_path):
    """What cannot be read is told by its name."""
    (tmp_path / "latin.graphql").write_bytes(b'query A { a(b: "\xe4") }')
    assert run({}, "none", "latin.graphql")[2] == "none: error: there is no such file or folder\n"
    assert run({}, "latin.graphql")[2] == "latin.graphql: error: is not UTF-8\n"


def test_a_file_is_written_once(run, tmp_path):
    """The second time, it is up to date and not touched; it can be read by whom the umask lets."""
    code, out, _ = run(FILES, "src", "-o", "made.json")
    assert (code, out) == (0, "made.json: written: 2 operations\n")
    made = tmp_path / "made.json"
    before = made.stat()
    code, out, _ = run({}, "src", "--output", "made.json")
    assert (code, out) == (0, "made.json: up to date: 2 operations\n")
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    (tmp_path / "any").touch()
    assert stat.S_IMODE(before.st_mode) == stat.S_IMODE((tmp_path / "any").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_whether_it_is_up_to_date(run, tmp_path):
    """--check tells by its exit code, and what is new or gone; it writes nothing."""
    assert run(FILES, "src", "-o", "made.json", "--check")[0] == 1
    assert not (tmp_path / "made.json").exists()
    run({}, "src", "-o", "made.json")
    assert run({}, "src", "-o", "made.json", "--check")[0] == 0
    before = (tmp_path / "made.json").read_bytes()
    code, _, err = run({"src/new.graphql": "query New { a }"}, "src", "-o", "made.json", "--check")
    assert code == 1
    assert err.splitlines() == [
        "made.json: not up to date",
        f"  + New {digest_of('query New {' + chr(10) + '  a' + chr(10) + '}')}",
    ]
    (tmp_path / "src/new.graphql").unlink()
    code, _, err = run(
        {"src/orders.graphql": "mutation Cancel { cancel { ok } }"}, "src", "-o", "made.json", "--check"
    )
    assert [line[:4] for line in err.splitlines()[1:]] == ["  - "]
    assert (tmp_path / "made.json").read_bytes() == before


SDL = "type Query { orders(first: Int): [Order] } type Order { id: ID buyer: Person } type Person { name: String }"


def test_a_schema(run):
    """What is not valid for it is told, with its place in the files; a wrong schema too."""
    files = {**FILES, "schema.graphqls": SDL}
    del files["src/orders.graphql"]
    good = {"src/orders.graphql": "query Orders($n: Int = 2) { orders(first: $n) { ...Order } }"}
    assert run(files | good, "src", "--schema", "schema.graphqls")[0] == 0
    bad = {"src/orders.graphql": "query Orders($n: Int) {\n  orders { ...Order none } }"}
    code, out, err = run(bad, "src", "--schema", "schema.graphqls")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "src/orders.graphql:1:14: error: Variable '$n' is never used in operation 'Orders'.",
        "src/orders.graphql:2:21: error: Cannot query field 'none' on type 'Order'.",
    ]
    code, _, err = run({"schema.graphqls": "type Query {"}, "src", "--schema", "schema.graphqls")
    assert (code, err.startswith("proxyd: schema.graphqls:1:13: ")) == (1, True)
    assert (
        run({}, "src", "--schema", "none")[2] == "proxyd: none: cannot be read: No such file or directory\n"
    )


def test_check_is_about_a_file(run):
    """Without one, there is nothing to compare with."""
    code, _, err = run(FILES, "src", "--check")
    assert (code, err) == (1, "proxyd: --check is about a file: name it by --output\n")


def test_a_place_that_cannot_be_written(run):
    """The reason is the system's."""
    code, _, err = run(FILES, "src", "-o", "none/made.json")
    assert (code, err) == (1, "proxyd: none/made.json: cannot be written: No such file or directory\n")
