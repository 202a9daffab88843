"""proxyd keys: what is printed, what is written, and what is refused."""

from __future__ import annotations

import io
import json
import sys

import pytest

from proxyd.cli.main import main
from proxyd.crypto.api_keys import KeyText
from proxyd.database.entries import AuditQuery, Author, Change
from proxyd.database.opening import once
from proxyd.model.load import settings_of

PEPPER = {"PROXYD_KEY_PEPPER": "0123456789abcdef0123456789abcdef"}
ANN = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Give what runs a verb in a directory of its own, and returns its code and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "kong.json").write_text('{"_format_version": "3.0", "consumers": [{"username": "ann"}]}')

    def start(*arguments, env=PEPPER):
        for name in ("PROXYD_KEY_PEPPER", "PROXYD_DATABASE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        try:
            code = main(["keys", *arguments])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return start


IN_FILE = ("--config", "kong.json")


@pytest.mark.parametrize(
    ("arguments", "code", "words", "env"),
    [
        (("create", "--consumer", "ann", *IN_FILE), 1, "PROXYD_KEY_PEPPER", {}),
        (("create", "--consumer", "an", *IN_FILE), 1, "there is no consumer an in", PEPPER),
        (("create", "--consumer", "ann", "--expires", "2020-01-01"), 2, "is over already", PEPPER),
        (("create", "--consumer", "ann", "--scope", "a b"), 2, "must be printable ASCII", PEPPER),
        (("rotate", "abcdefghijkl", *IN_FILE), 1, "there is no key abcdefghijkl", PEPPER),
        (("rotate", "abcdefghijkl", "--overlap", "soon"), 2, "must be a duration", PEPPER),
        (("revoke", "pxd_live_x", *IN_FILE), 1, "no key: it is not of the form", PEPPER),
    ],
)
def test_what_the_commands_refuse(run, arguments, code, words, env):
    """No pepper, no such consumer, no such key, an end in the past: why, and no key."""
    ended, out, said = run(*arguments, env=env)
    assert (ended, out) == (code, "")
    assert words in said


def test_a_new_key_is_printed_with_what_belongs_into_the_file(run):
    """The key alone in the first line; that it is shown once stands elsewhere."""
    code, out, said = run("create", "--consumer", "ann", "--name", "ci", "--scope", "a", *IN_FILE)
    first, _, left = out.partition("\n")
    key = KeyText(first.encode())
    assert code == 0
    assert f"key_id: {key.id}" in left
    assert "name: ci" in left
    assert first not in left + said
    assert "shown this once" in said


def test_a_key_is_checked_without_anything(run, monkeypatch):
    """Environment, id and checksum, from standard input where no list of processes is to show it."""
    key = KeyText.make("test")
    monkeypatch.setattr(sys, "stdin", io.StringIO(key.text + "\n"))
    code, out, said = run("check", "-", env={})
    assert (code, said, out.split()) == (0, "", ["environment", "test", "id", key.id, "checksum", "right"])
    for wrong in (key.text[:-1] + ("a" if key.text[-1] != "a" else "b"), "pxd_test"):
        code, out, said = run("check", wrong, env={})
        assert (code, out) == (1, "")
        assert wrong not in said


def test_the_commands_write_into_the_database(run, tmp_path):
    """Made, listed, rotated and revoked there, by whoever has its URL; the audit log says who, and holds no hash."""
    env = {**PEPPER, "PROXYD_DATABASE": f"sqlite:///{tmp_path}/proxyd.db"}
    settings = settings_of("{}", "none", env)

    async def add_ann(store):
        return await store.change(lambda _: [Change("consumers", ANN, {"username": "ann"})], Author("test"))

    async def look(store):
        return await store.contents(), await store.audit(AuditQuery(collection="keyauth_credentials"))

    def stored(*arguments, code=0):
        ended, out, said = run(*arguments, env=env)
        assert ended == code, said
        return out or said

    once(settings, env, {}, add_ann)
    made = json.loads(stored("create", "--consumer", "ann", "--scope", "a", "--expires", "2d", "--json"))
    assert (made["stored"], made["consumer"]["username"], made["scopes"]) == (True, "ann", ["a"])
    new = stored("rotate", made["key_id"], "--overlap", "1h")
    assert KeyText(new.strip().encode()).id != made["key_id"]
    (old, fresh) = json.loads(stored("list", "--json"))
    assert (old["key_id"], old["created_at"] < old["expires_at"] < fresh["expires_at"]) == (
        made["key_id"],
        True,
    )
    assert stored("revoke", made["key"]) == f"revoked: {made['key_id']}\n"
    told = stored("revoke", made["key_id"], code=1)
    assert told == f"proxyd: there is no key {made['key_id']} in the database\n"
    contents, audited = once(settings, env, {}, look)
    assert [one.document["scopes"] for one in contents.entries["keyauth_credentials"].values()] == [["a"]]
    assert {one.author.name for one in audited} == {"proxyd keys"}
    assert "v1:" not in repr([(one.before, one.after) for one in audited])
