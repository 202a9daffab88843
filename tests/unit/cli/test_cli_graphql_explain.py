"""proxyd graphql explain: counts beside limits, for whoever writes documents."""

from __future__ import annotations

import io
import json
import sys

import pytest

from proxyd.cli.main import main
from proxyd.graphql.kept import digest_of

TEXT = """\
query Orders($n: Int) {
  first: orders(first: $n) { ...Order }
  orders { id @include(if: true) }
}
query Deep { a { b { c { d } } } }
fragment Order on Order { id buyer { name } }
"""
KONG = """
_format_version: "3.0"
services:
  - name: backend
    url: http://127.0.0.1:9
    routes:
      - name: graphql
        paths: [/graphql]
        plugins:
          - name: graphql
            config: {limits: {max_depth: 2, max_aliases: 0, measure: [aliases]}%s}
      - {name: plain, paths: [/plain]}
plugins:
  - name: graphql
    config: {limits: {max_depth: 1}}
    enabled: %s
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Give what runs the command beside a document; returns code, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def start(*options, text=TEXT, more="", everywhere="false"):
        (tmp_path / "orders.graphql").write_text(text)
        (tmp_path / "kong.yml").write_text(KONG % (more, everywhere))
        code = main(["graphql", "explain", *(options or ("orders.graphql",))])
        told = capsys.readouterr()
        return code, told.out, told.err

    return start


ROUTE = ("orders.graphql", "--config", "kong.yml", "--route", "graphql")


def test_what_is_counted(run):
    """Of the document its text, and of each operation what it asks for, fragments included."""
    code, out, err = run("orders.graphql", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["digest"] == digest_of(TEXT)
    assert document["refused_by"] == []
    found = {
        one["name"]: {name: measure["found"] for name, measure in one["measures"].items()}
        for one in document["operations"]
    }
    assert found["Orders"] == {
        "depth": 3,
        "nesting": 4,
        "root_fields": 2,
        "fields": 6,
        "aliases": 1,
        "directives": 1,
    }
    assert found["Deep"]["depth"] == 4
    assert document["measures"]["operations"] == {"found": 2, "maximum": 10, "beyond": 0, "enforced": True}


def test_the_limits_of_a_route(run):
    """What is beyond them is told, with by how much, and whether it is refused; the exit code says so too."""
    code, out, _ = run(*ROUTE)
    assert code == 1
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == f"orders.graphql sha256 {digest_of(TEXT)}"
    assert "query Orders" in lines
    assert "depth 3 of 2 1 beyond: refused" in lines
    assert "aliases 1 of 0 1 beyond: measured only" in lines
    assert "depth 4 of 2 2 beyond: refused" in lines
    assert "\x1b" not in out


def test_one_operation(run):
    """Others are not told of, and do not count for the exit code."""
    code, out, _ = run(*ROUTE, "--operation", "Deep", "--json")
    document = json.loads(out)
    assert code == 1
    assert [one["name"] for one in document["operations"]] == ["Deep"]
    assert document["refused_by"] == ["depth"]
    assert run(*ROUTE, "--operation", "None")[2] == "proxyd: there is no operation 'None'\n"


def test_the_most_specific_plugin_counts(run):
    """A route without one of its own has the one that runs everywhere, unless that is switched off."""
    plain = ("orders.graphql", "--config", "kong.yml", "--route", "plain", "--json")
    document = json.loads(run(*plain, everywhere="true")[1])
    assert document["operations"][0]["measures"]["depth"]["maximum"] == 1
    assert run(*plain)[2] == "proxyd: no plugin graphql runs on the route 'plain'\n"
    assert run(*ROUTE[:-1], "other")[2] == "proxyd: there is no route 'other'\n"
    assert run("orders.graphql", "--config", "kong.yml")[2].startswith("proxyd: --config goes with --route")


@pytest.mark.parametrize("given", ['{"n": [[1]]}', "variables.json"])
def test_variables(run, tmp_path, given):
    """They are given as they are, or as a file."""
    (tmp_path / "variables.json").write_text('{"n": [[1]]}')
    _, out, _ = run("orders.graphql", "--variables", given, "--json")
    measures = json.loads(out)["operations"][0]["measures"]
    assert (measures["variables_size"]["found"], measures["variables_nesting"]["found"]) == (11, 3)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("{1}", "proxyd: the variables are not JSON: "),
        ("list.json", "proxyd: the variables must be an object\n"),
        ("none.json", "proxyd: none.json: cannot be read: No such file or directory\n"),
    ],
)
def test_variables_that_are_none(run, tmp_path, given, wrong):
    """What is wrong with them is told."""
    (tmp_path / "list.json").write_text("[]")
    code, _, err = run("orders.graphql", "--variables", given)
    assert code == 1
    assert err.startswith(wrong)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("query A {\n  a(\n", "orders.graphql:3:1: error: Expected Name, found <EOF>"),
        ("{ ...None }", "orders.graphql: error: Unknown fragment None"),
        ("type A { a: Int }", "orders.graphql: error: Only operations and fragments can be executed"),
    ],
)
def test_what_is_no_document(run, text, wrong):
    """Its place is told, where one is known."""
    assert run(text=text) == (1, "", wrong + "\n")


def test_too_much_to_look_at(run):
    """What the gateway never parses is not parsed here."""
    code, out, err = run(text="{" * 100_000)
    assert code == 1
    assert "nesting" in out
    assert err == "orders.graphql: too large to be looked at any further\n"


def test_standard_input(run, monkeypatch):
    """A document may come from a pipe; bytes that are no UTF-8 are told."""
    for data, code in ((b"{ a }", 0), (b"\xff", 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert run("-")[0] == code


def test_whether_it_is_listed(run, tmp_path):
    """Where the route has a safelist, other documents are refused."""
    (tmp_path / "manifest.json").write_text(json.dumps({"1": "query Deep { a }"}))
    more = ", safelist: {manifests: [manifest.json]}"
    code, out, _ = run(*ROUTE, text="query Deep { a } # mine\n", more=more)
    assert (code, "safelist: listed" in out) == (0, True)
    code, out, _ = run(*ROUTE, text="query Deep { b }", more=more)
    assert (code, "safelist: not listed" in out) == (1, True)
    code, out, _ = run(*ROUTE, "--json", text="query Deep { b }", more=more[:-1] + ", mode: log}")
    assert (code, json.loads(out)["listed"]) == (0, False)


def test_colours_are_for_terminals(run, monkeypatch):
    """What is beyond is red there."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    run(*ROUTE)
    assert "\x1b[31m  1 beyond: refused\x1b[0m" in terminal.getvalue()


SDL = 'type Query { orders(first: Int): [Order] @listSize(slicingArguments: ["first"]) } type Order { id: ID name: String @cost(weight: 2) }'
PRICED = """
query Some($n: Int) { orders(first: $n) { name } }
query One { orders(first: 1) { id } }
"""


def test_what_operations_cost(run, tmp_path):
    """Where the schema is in a file, with the variables given, beside the most that one may cost."""
    (tmp_path / "schema.graphql").write_text(SDL)
    more = ", schema_from: {file: schema.graphql}, cost: {max: 29}"
    code, out, _ = run(*ROUTE, "--json", "--variables", '{"n": 10}', text=PRICED, more=more)
    document = json.loads(out)
    costs = [one["measures"]["cost"] for one in document["operations"]]
    assert [(one["found"], one["maximum"], one["beyond"]) for one in costs] == [(30, 29, 1), (1, 29, 0)]
    assert (code, document["refused_by"]) == (1, ["cost"])
    more = ", schema_from: {file: schema.graphql}, cost: {}"
    code, out, _ = run(*ROUTE, "--variables", '{"n": 10}', text=PRICED, more=more)
    assert code == 0
    assert "cost" in out
    assert "9007199254740992" not in out


def test_what_the_schema_does_not_know(run, tmp_path):
    """It is told as the gateway would tell it."""
    (tmp_path / "schema.graphql").write_text(SDL)
    more = ", schema_from: {file: schema.graphql}"
    code, _, err = run(*ROUTE, text="{orders(first: 1){nme}}", more=more)
    assert code == 1
    assert "There is no field 'nme' here" in err
